"""A network that loses, duplicates and reorders; servers that die; addresses that change."""
import time

from .rig import add, ended_well, must

BAD = ["--drop", "0.03", "--dup", "0.03", "--reorder", "0.05"]
WORSE = ["--drop", "0.10"]
# Name, network, arguments of the client. OpenAFS waits seconds for whatever it loses, so several calls run at once.
CASES = [
    ("send 200 kB", BAD, ["send", "200000"]),
    ("recv 200 kB", BAD, ["recv", "200000"]),
    ("sink 200 kB with checksum", BAD, ["sink", "200000"]),
    ("src 200 kB with checksum", BAD, ["src", "200000"]),
    ("echo 200 kB", BAD, ["echo", "200000"]),
    ("200 small calls", BAD, ["-n", "4", "-T", "50", "rpc", "4", "4"]),
    ("50 small calls at 10 % loss", WORSE, ["-n", "4", "-T", "13", "rpc", "4", "4"]),
]
LIMIT = 300.0
# How long the C client bears silence: what AFS's cache managers ask for. With the 12 s that the library has by default, three
# PINGs lost in a row end a call; at 10 % loss that happens in one run of two hundred to OpenAFS's own server, too.
PATIENCE = ["-d", "50"]


def ours_to_c(network, args):
    def body(rig):
        port = rig.proxy(rig.c_server(), *network)
        ended_well(rig.our_client(port, "-d", "120", *args, seconds=LIMIT))

    return body


def c_to_ours(network, args):
    def body(rig):
        port = rig.proxy(rig.our_server(), *network)
        ended_well(rig.c_client(port, *PATIENCE, *args, seconds=LIMIT))

    return body


for _name, _network, _args in CASES:
    add(f"lossy: our client, C server: {_name}", ours_to_c(_network, _args), limit=LIMIT, waits=True)
    add(f"lossy: C client, our server: {_name}", c_to_ours(_network, _args), limit=LIMIT, waits=True)

# A call to a server that is gone must end by itself: ours after 20 s of silence, the C client's after 12.
GIVE_UP = 40.0


def restart(rig, start_server, client, again):
    """Kill the server while a call runs, start another on its port: the call ends, and the next one works."""
    process, port = start_server(None)
    running = client(port, "sleep", "30000")
    time.sleep(1.0)
    process.kill()
    process.wait()
    start_server(port)
    code = rig.wait_end(running, GIVE_UP)
    must(code != 0, "a call to a server that died ended with success")
    ended_well(again(port, "echo", "1000"))


def our_client_sees_c_restart(rig):
    restart(rig, rig.c_server_process, rig.our_client_process, rig.our_client)


def c_client_sees_ours_restart(rig):
    restart(rig, rig.our_server_process, rig.c_client_process, rig.c_client)


add("restart: our client, C server killed in mid-call", our_client_sees_c_restart, limit=60.0, waits=True)
add("restart: C client, our server killed in mid-call", c_client_sees_ours_restart, limit=60.0, waits=True)


def stream_over_restart(rig, start_server, client):
    """The same in the middle of a long request: the new server gets packets of a call it never saw begin."""
    process, port = start_server(None)
    running = client(rig.proxy(port, "--drop", "0.02"), "sink", "400000000")
    time.sleep(1.0)
    process.kill()
    process.wait()
    start_server(port)
    must(rig.wait_end(running, GIVE_UP) != 0, "half a request was answered")


add(
    "restart: our client, C server killed in mid-stream",
    lambda rig: stream_over_restart(rig, rig.c_server_process, rig.our_client_process),
    limit=60.0,
    waits=True,
)
add(
    "restart: C client, our server killed in mid-stream",
    lambda rig: stream_over_restart(rig, rig.our_server_process, rig.c_client_process),
    limit=60.0,
    waits=True,
)

# After so many datagrams of the client its port changes.
REBIND = ["--rebind", "100"]


def port_change_ours(rig):
    # OpenAFS goes on answering to the old port, to its own clients too: the call cannot succeed, but it ends,
    # and the next one works.
    port = rig.proxy(rig.c_server(), *REBIND)
    running = rig.our_client_process(port, "sink", "2000000")
    must(rig.wait_end(running, GIVE_UP) != 0, "the C server followed, which it is not known to do")
    ended_well(rig.our_client(port, "echo", "1000"))


def port_change_c(rig):
    port = rig.proxy(rig.our_server(), *REBIND)
    ended_well(rig.c_client(port, "sink", "2000000", seconds=60.0))


def port_change_reply(rig):
    port = rig.proxy(rig.our_server(), *REBIND)
    ended_well(rig.c_client(port, "src", "2000000", seconds=60.0))


add("port change in mid-call: our client gives up, C server keeps to the old port", port_change_ours, limit=60.0, waits=True)
add("port change in mid-call: C client sends, our server", port_change_c, limit=60.0, waits=True)
add("port change in mid-call: C client receives, our server", port_change_reply, limit=60.0, waits=True)
