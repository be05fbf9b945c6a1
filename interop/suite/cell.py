"""A throw-away AFS cell of Debian's servers in a network namespace of its own, and our command as its client."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

from . import prepare
from .prepare import OUT, Need
from .rig import BOUND, Failed, Namespace, add, ended_well, must

ADDR = "127.1.0.1"
# The key that peers/cell.sh gives the cell, for the one thing that needs an administrator: an access list.
KEY = "".join(f"{i:02x}" for i in range(32))
CELL = Need(
    {
        "openafs-dbserver": "/usr/lib/openafs/vlserver",
        "openafs-fileserver": "/usr/lib/openafs/fileserver",
        "iproute2": "ip",
    },
    lambda: prepare.build_c("afsprobe"),
)
FILE_SIZE = 3_000_000


class Cell:
    """Started by the first test that asks for it, stopped at the end."""

    def __init__(self):
        self.lock = threading.Lock()
        self.net = None
        self.error = None
        self.volume = None
        self.dir = OUT / "cell"

    def inside(self, *command):
        """The command, to be run within the cell's network."""
        return self.net.inside(*command)

    def sh(self, *command, seconds=60):
        done = subprocess.run(
            [*BOUND, *self.inside(*command)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=seconds, check=False,
        )
        if done.returncode != 0:
            raise Failed(f"{' '.join(map(str, command))}: {done.stdout.strip()[-300:]}")
        return done.stdout

    def script(self, *args, seconds=120):
        return self.sh(str(prepare.HERE / "peers" / "cell.sh"), str(self.dir), *args, seconds=seconds)

    def up(self):
        """Start the cell, once."""
        with self.lock:
            if self.error:
                raise Failed(f"the cell is not up: {self.error}")
            if self.net:
                return
            try:
                self.start()
            except (Failed, subprocess.TimeoutExpired) as failed:
                self.error = str(failed)
                raise Failed(f"the cell does not start: {failed}") from failed

    def start(self):
        probe = OUT / "afsprobe"
        shutil.rmtree(self.dir, ignore_errors=True)
        self.net = Namespace().__enter__()
        self.sh("ip", "link", "set", "lo", "up")
        self.script("init", "aes")
        self.script("start", "db", "fs", "bos")
        self.script("run", "vos", "create", ADDR, "a", "root.cell", "-localauth")
        self.script("run", "pts", "createuser", "admin", "-localauth")
        self.script("run", "pts", "adduser", "admin", "system:administrators", "-localauth")
        names = self.sh(str(probe), ADDR, "vl-name", "root.cell")
        self.volume = re.search(r" ids (\d+) ", names).group(1)
        everybody = "system:administrators 127 system:anyuser 127"
        self.sh(str(probe), ADDR, "-K", KEY, "-P", "admin", "fs-acl", self.volume, "1", "1", everybody)
        self.sh(str(probe), ADDR, "fs-create", self.volume, "1", "1", "file")
        self.sh(str(probe), ADDR, "fs-store", self.volume, "2", "2", str(FILE_SIZE))

    def down(self):
        with self.lock:
            if not self.net:
                return
            try:
                self.script("stop")
            except (Failed, subprocess.TimeoutExpired):
                pass
            self.net.__exit__()

    def kill(self):
        """End it from a program that ends too and waits for nothing."""
        if self.net:
            for path in self.dir.glob("*.pid"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(path.read_text()), signal.SIGKILL)


cell = Cell()


def call(rig, *args, seconds=40.0):
    """`rxrpc call` to a server of the cell."""
    cell.up()
    return rig.run("rxrpc-call", cell.inside(rig.built.rxrpc, "call", *args), seconds)


def reply(rig, *args):
    """The reply of a call that must succeed, as bytes."""
    return bytes.fromhex(json.loads(ended_well(call(rig, *args, "--json")))["reply_hex"])


def words(data):
    return [int.from_bytes(data[i : i + 4], "big") for i in range(0, len(data) - 3, 4)]


def aborts_with(rig, text, *args):
    code, out, _ = call(rig, *args)
    must(code == 3 and text in out, f"exit code {code}, not 3 with {text}: {out.strip()}")


def vl_probe(rig):
    must(reply(rig, f"{ADDR}:7003", "52", "514") == b"", "VL_ProbeServer answers with data")


def vl_present(rig):
    entry = reply(rig, f"{ADDR}:7003", "52", "519", "str:root.cell")
    name = "".join(chr(w) for w in words(entry[:260]) if w)
    must((len(entry), name) == (476, "root.cell"), f"{len(entry)} bytes for {name}")
    must(words(entry[420:424]) == [int(cell.volume)], "another volume id")


def vl_missing(rig):
    aborts_with(rig, "363524 (VL_NOENT)", f"{ADDR}:7003", "52", "519", "str:no.such.volume")


def pr_name_to_id(rig):
    names = ["u32:2", "chars:64:admin", "chars:64:system:anyuser"]
    ids = words(reply(rig, f"{ADDR}:7002", "73", "504", *names))
    must(ids == [2, 1, 0xFFFF_FFFF - 100], f"ids {ids}")


def bozo_cell_name(rig):
    must(reply(rig, f"{ADDR}:7007", "1", "94") == b"\0\0\0\x08lab.test", "another cell name")


def fs_time(rig):
    seconds, micros = words(reply(rig, f"{ADDR}:7000", "1", "153", "--afs-callbacks"))
    must(abs(seconds - time.time()) < 60 and micros < 1_000_000, f"the time is {seconds}.{micros}")


def fs_fetch(rig):
    out = pathlib.Path(rig.logs) / "fetched"
    args = [f"u32:{cell_volume(rig)}", "u32:2", "u32:2", "u64:0", f"u64:{FILE_SIZE}"]
    ended_well(call(rig, f"{ADDR}:7000", "1", "65537", *args, "--afs-callbacks", "--out", str(out)))
    data = out.read_bytes()
    must(len(data) == 8 + FILE_SIZE + 120, f"{len(data)} bytes came")
    must(int.from_bytes(data[:8], "big") == FILE_SIZE, "the reply begins with another length")
    right = bytes((i * 31 + 7) & 255 for i in range(256)) * (FILE_SIZE // 256 + 1)
    must(data[8 : 8 + FILE_SIZE] == right[:FILE_SIZE], "the bytes are not those of the file")


def cell_volume(_rig):
    cell.up()
    return cell.volume


def unknown_opcode(rig):
    aborts_with(rig, "-455 (RXGEN_OPCODE)", f"{ADDR}:7003", "52", "9999")


def unknown_service(rig):
    aborts_with(rig, "-2 (RX_INVALID_OPERATION)", f"{ADDR}:7003", "999", "1")


def version(rig):
    cell.up()
    text = ended_well(rig.run("rxrpc-version", cell.inside(rig.built.rxrpc, "version", f"{ADDR}:7003"), 10.0))
    must("OpenAFS" in text, f"another version: {text.strip()}")


for _name, _body in {
    "VL_ProbeServer": vl_probe,
    "VL_GetEntryByNameN of a volume": vl_present,
    "VL_GetEntryByNameN of a missing volume": vl_missing,
    "PR_NameToID": pr_name_to_id,
    "BOZO_GetCellName": bozo_cell_name,
    "RXAFS_GetTime, with the fileserver calling back": fs_time,
    "RXAFS_FetchData64 of 3 MB": fs_fetch,
    "an unknown opcode": unknown_opcode,
    "an unknown service": unknown_service,
    "rxrpc version": version,
}.items():
    # The first of them waits for the cell to start.
    add(f"AFS servers: {_name}", _body, limit=120.0, waits=True, needs=[CELL])
