"""Our own traffic as tshark sees it: every packet dissected, none malformed."""
import re
import time

from .prepare import Need
from .rig import Namespace, add, ended_well, must

CAPTURE = Need({"tshark": "tshark", "tcpdump": "tcpdump", "ethtool": "ethtool", "iproute2": "ip"})
PORT = "7009"
# Segmented before it is captured, so that the capture shows what a wire would.
SINGLE = ["ethtool", "-K", "lo", "tx-udp-segmentation", "off", "gso", "off", "gro", "off"]
CALLS = [
    ["sink", "200000"],
    ["src", "200000"],
    ["-n", "8", "-T", "10", "rpc", "4", "4"],
    ["abort", "12345"],
]


def dissected(rig):
    """Calls of every kind between our peers: tshark finds every datagram that was sent, as Rx, and none malformed."""
    with Namespace() as net:
        rig.run("lo", net.inside("ip", "link", "set", "lo", "up"), 10.0)
        ended_well(rig.run("ethtool", net.inside(*SINGLE), 10.0))
        file = rig.logs / "own.pcap"
        capture = ["tcpdump", "-i", "lo", "-U", "--immediate-mode", "-B", "65536", "-w", str(file), "udp"]
        tcpdump, log = rig.start("tcpdump", net.inside(*capture))
        rig.wait_for(tcpdump, log, "listening on")
        server, path = rig.start("our-server", net.inside(rig.built.our_peer, "server", "-p", PORT))
        rig.wait_for(server, path, "listening")
        there = back = 0
        for args in CALLS:
            client = [rig.built.our_peer, "client", "-p", PORT, *args]
            text = ended_well(rig.run("our-client", net.inside(*client), 20.0))
            counts = re.search(r"sent (\d+) datagrams, received (\d+)", text)
            there, back = there + int(counts.group(1)), back + int(counts.group(2))
        time.sleep(0.5)
        tcpdump.terminate()
        tcpdump.wait()
    must("\n0 packets dropped by kernel" in log.read_text(), "the capture is not whole")
    must(there > 200 and back > 200, f"only {there} and {back} datagrams were exchanged")
    for name, wanted, count in [
        ("datagrams to the server", f"udp.dstport == {PORT}", there),
        ("datagrams to the clients", f"udp.srcport == {PORT}", back),
        ("Rx packets", "rx", there + back),
        ("malformed packets", "_ws.malformed", 0),
    ]:
        found = frames(rig, file, wanted)
        must(found == count, f"tshark finds {found} {name}, not {count}")


def frames(rig, file, wanted):
    """How many frames of the capture tshark finds for a display filter."""
    read = ["tshark", "-r", str(file), "-T", "fields", "-e", "frame.number", "-Y", wanted]
    text = ended_well(rig.run("tshark", read, 60.0))
    return sum(line.isdigit() for line in text.splitlines())


add("capture: tshark dissects all of our own packets", dissected, limit=90.0, needs=[CAPTURE])
