"""Calls of every kind and size, our client with the C server and the C client with ours."""
from .rig import HOST, add, free_port, ended_well, must

ECHOES = [0, 1, 1411, 1412, 1413, 1416, 1417, 100_000, 10_000_000]
# Name, arguments of the client before the operation, operation.
EXCHANGES = [(f"echo {size}", [], ["echo", str(size)]) for size in ECHOES] + [
    ("sink 10000000 with checksum", [], ["sink", "10000000"]),
    ("src 10000000 with checksum", [], ["src", "10000000"]),
    ("who", [], ["who"]),
    ("4 concurrent echoes of 20000", ["-n", "4"], ["echo", "20000"]),
    ("64 concurrent echoes of 2000", ["-n", "64"], ["echo", "2000"]),
    ("64 concurrent echoes, each on its own connection", ["-n", "64", "-c", "1"], ["echo", "2000"]),
    ("64 echoes that wait for the channels of one connection", ["-n", "64", "-c", "64"], ["echo", "2000"]),
    ("500 small calls one after the other", ["-T", "500"], ["echo", "4"]),
    ("rxperf send 1000000", [], ["send", "1000000"]),
    ("rxperf recv 1000000", [], ["recv", "1000000"]),
    ("rxperf rpc 4 4", ["-T", "100"], ["rpc", "4", "4"]),
]


def ours_to_c(before, operation):
    return lambda rig: ended_well(rig.our_client(rig.c_server(), *before, *operation))


def c_to_ours(before, operation):
    return lambda rig: ended_well(rig.c_client(rig.our_server(), *before, *operation))


for _name, _before, _operation in EXCHANGES:
    add(f"our client, C server: {_name}", ours_to_c(_before, _operation))
    add(f"C client, our server: {_name}", c_to_ours(_before, _operation))


def abort_from_c(code):
    # Our client itself checks that the code is the one it asked for.
    return lambda rig: ended_well(rig.our_client(rig.c_server(), "abort", str(code)))


def abort_from_ours(code):
    def body(rig):
        _, text, _ = rig.c_client(rig.our_server(), "abort", "--", str(code))
        must(f"bad 1 err {code} " in text, f"no abort {code}: {text.strip()}")

    return body


for _code in (12345, -1):
    add(f"our client, C server: abort {_code}", abort_from_c(_code))
    add(f"C client, our server: abort {_code}", abort_from_ours(_code))


def version_by_rxdebug(rig):
    port = rig.our_server()
    text = ended_well(rig.run("rxdebug", ["rxdebug", HOST, str(port), "-version"], 10.0))
    must("AFS version: rxrpc 0." in text, f"another version: {text.strip()}")


def version_of_c(rig):
    port = rig.c_server()
    text = ended_well(rig.rxrpc("version", f"{HOST}:{port}"))
    must("OpenAFS" in text, f"another version: {text.strip()}")


add("rxdebug -version of our server", version_by_rxdebug)
add("rxrpc version of the C server", version_of_c)

PERF = {
    "send": ["-c", "send", "-b", "1000000", "-T", "3"],
    "recv": ["-c", "recv", "-b", "1000000", "-T", "3"],
    "rpc": ["-c", "rpc", "-S", "4", "-R", "4", "-T", "50", "-t", "4"],
}


def perf_client(options):
    return lambda rig: ended_well(rig.rxrpc("perf", "client", "-s", HOST, "-p", str(rig.c_server()), *options))


def rxrpc_perf_server(operation):
    def body(rig):
        port = free_port()
        process, path = rig.start("perf-server", [rig.built.rxrpc, "perf", "server", "--bind", HOST, "-p", str(port)])
        rig.wait_for(process, path, str(port))
        ended_well(rig.c_client(port, *operation))

    return body


for _name, _options in PERF.items():
    add(f"rxrpc perf client, C server: {_name}", perf_client(_options))
for _operation in (["send", "1000000"], ["recv", "1000000"], ["rpc", "4", "4"]):
    add(f"C client, rxrpc perf server: {_operation[0]}", rxrpc_perf_server(_operation))
