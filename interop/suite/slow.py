"""Calls that take their time: slow services and slow readers."""
import re

from .rig import HOST, add, ended_well, must

PAUSE = 10.0
MB10 = 10_000_000
# How many packets may be lost because the reader pauses, and how soon the flow must go on afterwards.
LOST, RESUMED_MS = 20, 1000


def sleep_in_c(rig):
    ended_well(rig.our_client(rig.c_server(), "sleep", "15000", seconds=25.0))


def sleep_in_ours(rig):
    ended_well(rig.c_client(rig.our_server(), "sleep", "15000", seconds=25.0))


add("our client, C server: sleep 15 s", sleep_in_c, limit=25.0, waits=True)
add("C client, our server: sleep 15 s", sleep_in_ours, limit=25.0, waits=True)


def number(pattern, text, what):
    found = re.search(pattern, text)
    must(found, f"{what} is not in: {text.strip()[-400:]}")
    return int(found.group(1))


def judge_pause(report, sender):
    """A pause of our reader, by its own report and the C sender's statistics of its peer.

    Lost is what we refused because our window was closed and what came twice; and, whatever became of it, what the
    C library sent again. Resumed is when the reader got a byte that had not been received when the pause ended.
    """
    held = number(r"paused: held (\d+) bytes", report, "what was held")
    must(held < MB10, "all came during the pause: nothing had to resume")
    after = number(r"went on after (\d+) ms", report, "when the flow went on")
    must(after <= RESUMED_MS, f"the flow went on only {after} ms after the pause")
    refused = number(r"refused (\d+) packets", report, "what was refused")
    must(refused <= LOST, f"{refused} packets were refused")
    duplicates = number(r"(\d+) duplicates", report, "the number of duplicates")
    must(duplicates <= LOST, f"{duplicates} packets came twice")
    resent = number(r"resends (\d+)", sender, "the number of resends")
    must(resent <= LOST, f"{resent} packets were sent again")


def c_client_sends(operation):
    def body(rig):
        port, log = rig.pausing_server(PAUSE)
        statistics = ended_well(rig.c_client(port, "-D", operation, str(MB10), seconds=60.0))
        judge_pause(log.read_text(), statistics)

    return body


def c_server_sends(operation):
    def body(rig):
        port = rig.c_server()
        pause = ["--pause", str(int(PAUSE * 1000))]
        report = ended_well(rig.our_client(port, *pause, operation, str(MB10), seconds=60.0))
        statistics = ended_well(rig.run("rxdebug", ["rxdebug", HOST, str(port), "-peers", "-long"], 10.0))
        judge_pause(report, statistics)

    return body


for _operation in ("sink", "send"):
    _name = f"C client sends 10 MB while our server pauses 10 s: {_operation}"
    add(_name, c_client_sends(_operation), limit=60.0, waits=True)
for _operation in ("src", "recv"):
    _name = f"C server sends 10 MB while our client pauses 10 s: {_operation}"
    add(_name, c_server_sends(_operation), limit=60.0, waits=True)
