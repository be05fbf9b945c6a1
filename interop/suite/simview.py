"""A simulated run to look at: the capture as tshark reads it, the page as Chromium shows it, both against the trace."""
import html
import json
import re
import tempfile

from .prepare import Need
from .rig import Failed, add, ended_well, must
from .tshark import TSHARK

CHROMIUM = Need({"chromium": "chromium"})

# Two calls over links that lose, one of which doubles as well.
MISHAPS = """
seed = 7
[[nodes]]
[[nodes]]
[[links]]
from = 0
to = 1
delay = "20ms"
elements = [
  { kind = { loss = { bernoulli = { p = 0.05 } } } },
  { kind = { duplicate = { p = 0.05, spread = "3ms" } } },
]
[[links]]
from = 1
to = 0
delay = "20ms"
elements = [{ kind = { loss = { bernoulli = { p = 0.05 } } } }]
[[calls]]
client = 0
server = 1
request = { len = 150_000 }
reply = { len = 40_000 }
[[calls]]
client = 1
server = 0
at = "30ms"
request = { len = 30_000 }
reply = { len = 200 }
"""

# More than 20 000 packets.
LARGE = """
seed = 3
[[nodes]]
[[nodes]]
[[links]]
from = 0
to = 1
elements = [{ kind = { loss = { bernoulli = { p = 0.002 } } } }]
[[calls]]
client = 0
server = 1
request = { len = 30_000_000 }
reply = { len = 100 }
"""

BROWSER = [
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1400,1200",
    "--virtual-time-budget=5000", "--dump-dom",
]


class Simulated:
    """A run, with everything that was written of it."""

    def __init__(self, rig, scenario):
        self.capture, self.page = rig.logs / "run.pcapng", rig.logs / "run.html"
        file, trace = rig.logs / "run.toml", rig.logs / "run.jsonl"
        file.write_text(scenario, encoding="utf-8")
        options = ["--pcap", str(self.capture), "--trace", str(trace), "--html", str(self.page)]
        ended_well(rig.rxrpc("sim", "run", "--scenario", str(file), *options, seconds=120.0))
        with open(trace, encoding="utf-8") as lines:
            self.lines = [json.loads(line) for line in lines]

    def of(self, kind):
        return [line for line in self.lines if line["kind"] == kind]


def expect(what, found, wanted):
    must(found == wanted, f"{what}: {found}, not {wanted}")


def tshark_rows(rig, capture, *fields):
    """The fields of every frame that tshark takes for Rx, a list a frame."""
    checks = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    command = ["tshark", "-n", *checks, "-r", str(capture), "-Y", "rx", "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    text = ended_well(rig.run("tshark", command, 60.0))
    return [line.split("\t") for line in text.splitlines() if line.count("\t") == len(fields) - 1]


def captured(rig):
    """tshark finds each packet where it left and where it arrived, with its number, and the comments of the rest."""
    run = Simulated(rig, MISHAPS)
    fields = ("frame.interface_name", "frame.packet_id", "frame.packet_flags_direction", "rx.serial", "frame.comment",
              "_ws.malformed", "ip.checksum.status", "udp.checksum.status")
    rows = tshark_rows(rig, run.capture, *fields)
    sent, delivered, lost, copied = (run.of(kind) for kind in ("sent", "delivered", "lost", "duplicated"))
    must(len(lost) > 5 and len(copied) > 3, f"only {len(lost)} lost and {len(copied)} copied")
    for node in (0, 1):
        for direction, lines in (("2", sent), ("1", delivered)):
            theirs = sorted(int(row[1]) for row in rows if row[0] == f"node{node}" and int(row[2], 16) == int(direction))
            ours = sorted(line["packet"] for line in lines if line["node"] == node)
            expect(f"packets at node{node}, direction {direction}", theirs, ours)
    serials = {line["packet"]: line["rx"]["serial"] for line in sent}
    expect("serials", [int(row[3].split(",")[0]) for row in rows], [serials[int(row[1])] for row in rows])
    expect("malformed packets", [row for row in rows if row[5]], [])
    expect("checksums", {(row[6], row[7]) for row in rows}, {("1", "1")})
    comments = [row[4] for row in rows]
    expect("comments on losses", sum(c.count("lost (by chance)") for c in comments), len(lost))
    expect("comments on copies made", sum("a copy made" in c for c in comments), len(copied))
    arrived = [line for line in delivered if line.get("copy")]
    expect("comments on copies that arrived", sum("a copy that the network made" in c for c in comments), len(arrived))
    ours = [json.loads(line) for line in ended_well(rig.rxrpc("decode", "--json", str(run.capture))).splitlines()]
    expect("frames in our own decoder", sum(line["kind"] == "packet" for line in ours), len(rows))


def show(rig, page, fragment=""):
    """The page as Chromium has it when it has drawn: the body's data, and its text by element id."""
    with tempfile.TemporaryDirectory() as profile:
        command = [*BROWSER, f"--user-data-dir={profile}", f"file://{page}#{fragment}"]
        code, text, _ = rig.run("chromium", command, 90.0)
    must(code == 0, f"Chromium ended with {code}")
    body = re.search(r"<body([^>]*)>", text)
    if body is None:
        raise Failed("Chromium shows no page")
    data = {name: html.unescape(value) for name, value in re.findall(r'data-([a-z-]+)="([^"]*)"', body.group(1))}
    return data, text


def shown_text(page, tag, name):
    """The text of an element, without tags."""
    inside = re.search(rf'<{tag} id="{name}"[^>]*>(.*?)</{tag}>', page, re.DOTALL).group(1)
    return html.unescape(re.sub(r"<[^>]*>", " ", inside))


def page_of(rig, page, fragment=""):
    data, text = show(rig, page, fragment)
    must("error" not in data, f"the page has failed: {data.get('error')}")
    return data, text


def page(rig):
    """The page shows as many packets, losses and copies as there were, and what is in one that is chosen."""
    run = Simulated(rig, MISHAPS)
    sent, ends = run.of("sent"), run.of("delivered") + run.of("lost")
    data, text = page_of(rig, run.page)
    expect("packets", int(data["packets"]), len(sent))
    expect("arrows", int(data["arrows"]), len(ends))
    expect("lost", int(data["lost"]), len(run.of("lost")))
    expect("copies", int(data["copies"]), len(run.of("duplicated")))
    must(0 < int(data["drawn"]) <= len(ends), f"{data['drawn']} arrows drawn")
    expect("rows of calls", len(re.findall("<tr", re.search(r'id="calls".*?</table>', text, re.DOTALL).group(0))), 3)
    only, _ = page_of(rig, run.page, "call=2")
    must(0 < int(only["drawn"]) < int(data["drawn"]), f"{only['drawn']} arrows drawn of one call")
    ack = next(line for line in sent if 0 in line["rx"].get("ack", {}).get("table", []))
    data, text = page_of(rig, run.page, f"packet={ack['packet']}&theme=dark")
    expect("chosen packet", data["selected"], str(ack["packet"]))
    details, rx = shown_text(text, "aside", "details"), ack["rx"]
    for wanted in (
        f"#{ack['packet']} ACK {rx['ack']['first']}", f"{rx['ack']['reason']} ({rx['ack']['reason_number']})",
        f"0x{rx['cid']:08x}", f"{len(rx['ack']['table'])} soft ACKs, from {rx['ack']['first']}", *rx["flags"],
    ):
        must(wanted in details, f"'{wanted}' is not in the details: {' '.join(details.split())}")
    expect("holes", len(re.findall('class="hole"', text)), rx["ack"]["table"].count(0))
    lost = run.of("lost")[0]
    _, text = page_of(rig, run.page, f"packet={lost['packet']}")
    must(re.search(r"lost after [^:]*: by chance", shown_text(text, "aside", "details")), "no reason for the loss")


def large_page(rig):
    """A page with more than 20 000 packets is drawn."""
    run = Simulated(rig, LARGE)
    must(len(run.of("sent")) >= 20_000, f"only {len(run.of('sent'))} packets")
    data, _ = page_of(rig, run.page)
    expect("packets", int(data["packets"]), len(run.of("sent")))
    must(int(data["drawn"]) >= 20_000, f"only {data['drawn']} arrows drawn")
    print(f"     {data['packets']} packets, drawn in {data['draw-ms']} ms", flush=True)


def broken_page(rig):
    """A page that fails says so, which is what the other tests rely on."""
    run = Simulated(rig, MISHAPS)
    text = run.page.read_text(encoding="utf-8")
    run.page.write_text(text.replace('"packets":[[', '"packets":[null,['), encoding="utf-8")
    data, text = show(rig, run.page)
    must("null" in data.get("error", ""), f"the page does not tell its error: {data}")
    must("The page has failed" in text, "the error is not shown")


add("sim: tshark reads the capture of a run", captured, limit=120.0, needs=[TSHARK])
add("sim: Chromium shows the page of a run", page, limit=240.0, needs=[CHROMIUM])
add("sim: Chromium draws the page of a long run", large_page, limit=240.0, needs=[CHROMIUM])
add("sim: a page that fails says so", broken_page, limit=120.0, needs=[CHROMIUM])
