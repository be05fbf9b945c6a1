"""Calls that take their time: slow services and slow readers."""
import re

from .rig import add, ended_well, must

PAUSE = 10.0
MB10 = "10000000"
# What may be lost while the reader pauses, and how soon the flow must go on afterwards.
LOST, RESUMED = 20, 1.0


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


def resends_of_c(text):
    """Packets the C peer sent again, by its own statistics of the peer."""
    return number(r"resends (\d+)", text, "the number of resends")


def c_sends_while_our_server_pauses(rig):
    port, server, log = rig.pausing_server(PAUSE)
    text = ended_well(rig.c_client(port, "-D", "sink", MB10, seconds=30.0))
    took = float(re.search(r"([0-9.]+) s ", text).group(1))
    must(PAUSE <= took <= PAUSE + RESUMED, f"took {took} s, not {PAUSE} s and at most {RESUMED} s more")
    # The server counts once it has the final acknowledgement.
    rig.wait_for(server, log, "duplicates")
    refused = number(r"refused (\d+) packets", log.read_text(), "what was refused")
    must(refused <= LOST, f"{refused} packets were refused")
    resent = resends_of_c(text)
    must(resent <= LOST, f"{resent} packets were sent again")


def c_sends_while_our_client_pauses(rig):
    port = rig.c_server()
    text = ended_well(rig.our_client(port, "--pause", str(int(PAUSE * 1000)), "src", MB10, seconds=30.0))
    took = float(re.search(r"ok 1  ([0-9.]+) s", text).group(1))
    must(PAUSE <= took <= PAUSE + RESUMED, f"took {took} s, not {PAUSE} s and at most {RESUMED} s more")
    refused = number(r"refused (\d+) packets", text, "what was refused")
    duplicates = number(r"(\d+) duplicates", text, "the number of duplicates")
    must(refused <= LOST, f"{refused} packets were refused")
    must(duplicates <= LOST, f"{duplicates} packets came twice")


add("C client sends 10 MB while our server pauses 10 s", c_sends_while_our_server_pauses, limit=30.0, waits=True)
add("C server sends 10 MB while our client pauses 10 s", c_sends_while_our_client_pauses, limit=30.0, waits=True)
