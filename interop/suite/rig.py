"""What a test has: servers that end with it, clients with a time limit, free ports, logs."""
import dataclasses
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import typing

from .prepare import HERE, OUT

HOST = "127.0.0.1"
tests = []
# In front of every command: it dies with the thread that started it, even if nobody is left to end it.
BOUND = ["setpriv", "--pdeathsig", "KILL"]


class Failed(Exception):
    """Why a test did not pass."""


@dataclasses.dataclass
class Test:
    name: str
    body: typing.Callable
    limit: float
    waits: bool
    needs: tuple


def add(name, body, limit=30.0, waits=False, needs=()):
    """Make a test known. `limit` is in seconds; one that `waits` runs beside the others; see `prepare.Need`."""
    if any(t.name == name for t in tests):
        raise ValueError(f"two tests are called {name}")
    tests.append(Test(name, body, limit, waits, tuple(needs)))


# Below those that Linux gives to sockets without a port: one found free there may be a client's the moment after.
PORTS = range(20_000, 32_000)
turns = itertools.count(os.getpid() * 97)


def free_port():
    """A port that nobody has, and that no other test is given."""
    for turn in itertools.islice(turns, len(PORTS)):
        port = PORTS[turn % len(PORTS)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.bind((HOST, port))
            except OSError:
                continue
        return port
    raise Failed("no port is free")


class Namespace:
    """A network namespace with only a loopback interface, for as long as it is entered."""

    def __enter__(self):
        self.holder = subprocess.Popen([*BOUND, "unshare", "-n", "sleep", "900"], stdin=subprocess.DEVNULL)
        own = os.readlink("/proc/self/ns/net")
        for _ in range(100):
            if os.readlink(f"/proc/{self.holder.pid}/ns/net") != own:
                return self
            time.sleep(0.02)
        raise Failed("no network namespace can be made")

    def __exit__(self, *_):
        self.holder.terminate()
        self.holder.wait()

    def inside(self, *command):
        """The command, to be run within the namespace."""
        return ["nsenter", "-t", str(self.holder.pid), "-n", *command]


class Rig:
    """The processes and logs of one test."""

    def __init__(self, name, built):
        self.built = built
        self.logs = OUT / re.sub(r"[^A-Za-z0-9_.-]+", "_", name)
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir(parents=True)
        self.processes = []
        self.count = 0

    def log(self, name):
        self.count += 1
        return self.logs / f"{self.count:02}-{name}.log"

    def start(self, name, command, cwd=None):
        """Start a process that ends with the test. Returns it and the path of its log."""
        path = self.log(name)
        with open(path, "w", encoding="utf-8") as out:
            process = subprocess.Popen(
                [*BOUND, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=cwd
            )
        self.processes.append(process)
        return process, path

    def wait_for(self, process, path, text, seconds=10.0):
        """Wait until the process has printed the text."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if text in path.read_text(encoding="utf-8", errors="replace"):
                return
            if process.poll() is not None:
                raise Failed(f"{path.name}: ended before it printed '{text}'")
            time.sleep(0.02)
        raise Failed(f"{path.name}: did not print '{text}' within {seconds} s")

    def c_server_process(self, port=None):
        """The C server at this port, or at a free one. Returns process and port."""
        port = port or free_port()
        process, path = self.start("c-server", [self.built.c_peer, "server", "-h", HOST, "-p", str(port)])
        self.wait_for(process, path, "listening")
        return process, port

    def c_server(self):
        return self.c_server_process()[1]

    def our_server_process(self, port=None):
        """Our server at this port, or at a free one. Returns process and port."""
        port = port or free_port()
        process, path = self.start("our-server", [self.built.our_peer, "server", "-p", str(port)])
        self.wait_for(process, path, "listening")
        return process, port

    def our_server(self):
        return self.our_server_process()[1]

    def pausing_server(self, pause):
        """Our server that pauses its readers so many seconds. Returns its port and its log."""
        port = free_port()
        command = [self.built.our_peer, "server", "-p", str(port), "--pause", str(int(pause * 1000))]
        process, path = self.start("our-server", command)
        self.wait_for(process, path, "listening")
        return port, path

    def proxy(self, dest, *options):
        """A proxy to the port that mistreats datagrams; see suite/proxy.py. Returns its port."""
        port = free_port()
        command = [sys.executable, "-m", "suite.proxy", str(port), str(dest), *options]
        process, path = self.start("proxy", command, cwd=HERE)
        self.wait_for(process, path, "ready")
        return port

    def run(self, name, command, seconds):
        """Run a command to its end. Returns its exit code, its output and how long it took."""
        path = self.log(name)
        begun = time.monotonic()
        try:
            done = subprocess.run(
                [*BOUND, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                timeout=seconds, check=False,
            )
        except subprocess.TimeoutExpired as late:
            path.write_bytes(late.stdout or b"")
            raise Failed(f"{name}: not over after {seconds} s") from late
        took = time.monotonic() - begun
        text = done.stdout.decode("utf-8", "replace")
        path.write_text(text, encoding="utf-8")
        return done.returncode, text, took

    def c_client_command(self, port, args):
        return [self.built.c_peer, "client", "-h", HOST, "-p", str(port), *args]

    def our_client_command(self, port, args):
        return [self.built.our_peer, "client", "-p", str(port), *args]

    def c_client(self, port, *args, seconds=20.0):
        return self.run("c-client", self.c_client_command(port, args), seconds)

    def our_client(self, port, *args, seconds=20.0):
        return self.run("our-client", self.our_client_command(port, args), seconds)

    def c_client_process(self, port, *args):
        return self.start("c-client", self.c_client_command(port, args))[0]

    def our_client_process(self, port, *args):
        return self.start("our-client", self.our_client_command(port, args))[0]

    def wait_end(self, process, seconds):
        """The exit code of a process that must end within so many seconds."""
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"not over after {seconds} s") from late

    def rxrpc(self, *args, seconds=20.0):
        return self.run("rxrpc", [self.built.rxrpc, *args], seconds)

    def close(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def forget_logs(self):
        shutil.rmtree(self.logs, ignore_errors=True)


def ended_well(result):
    """The output of a command that must have succeeded."""
    code, text, _ = result
    if code != 0:
        raise Failed(f"exit code {code}: {text.strip()[-300:]}")
    return text


def must(condition, what):
    if not condition:
        raise Failed(what)
