"""The examples, as their comments say to run them."""
from .cell import ADDR, CELL, cell
from .prepare import TARGET, Need, build_ours
from .rig import HOST, add, ended_well, free_port, must

EXAMPLES = Need(build=lambda: build_ours("the examples", "--examples", "-p", "rxrpc-tokio", "-p", "rxrpc-proto"))


def example(name):
    return str(TARGET / "examples" / name)


def seed(rig):
    port = free_port()
    server, log = rig.start("seed-server", [example("seed_server"), f"{HOST}:{port}"])
    rig.wait_for(server, log, "serving at")
    text = ended_well(rig.run("seed-client", [example("seed_client"), f"{HOST}:{port}"], 20.0))
    must(
        text.splitlines() == [
            "root.afs: 476 bytes",
            "root.cell: 476 bytes",
            "no.such.volume: the peer aborted the call with code 363524",
            "abort.me: the peer aborted the call with code -6 (RX_USER_ABORT)",
        ],
        f"the client says: {text}",
    )
    rig.wait_for(server, log, "root.afs: Ok(())")
    rig.wait_for(server, log, "root.cell: Ok(())")


def echo(rig):
    text = ended_well(rig.run("echo", [example("echo"), "hello", "world"], 20.0))
    must(text == "hello\nworld\n", f"it says: {text}")


def bulk(rig):
    text = ended_well(rig.run("bulk", [example("bulk"), "100"], 60.0))
    must("100000000 bytes arrived in" in text, f"it says: {text}")


def by_hand(rig):
    text = ended_well(rig.run("by-hand", [example("by_hand")], 20.0))
    must(text.endswith("reply: 3000 bytes\n") and "client sends Data seq 3" in text, f"it says: {text}")


def vl_server(rig):
    cell.up()
    command = cell.inside(example("vl_server"), f"{ADDR}:7003", "root.cell")
    text = ended_well(rig.run("vl-server", command, 30.0))
    must(f"root.cell has the id {cell.volume} and 1 site(s)\n  {ADDR} /vicepa" in text, f"it says: {text}")


for _name, _body in {"seed_client and seed_server": seed, "echo": echo, "bulk": bulk, "by_hand": by_hand}.items():
    add(f"example: {_name}", _body, limit=60.0, needs=[EXAMPLES])
add("example: vl_server, in the AFS cell", vl_server, limit=120.0, waits=True, needs=[CELL, EXAMPLES])
