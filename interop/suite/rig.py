"""What a test has: servers that end with it, clients with a time limit, free ports, logs."""
import dataclasses
import re
import shutil
import socket
import subprocess
import time
import typing

from .prepare import OUT

HOST = "127.0.0.1"
tests = []


class Failed(Exception):
    """Why a test did not pass."""


@dataclasses.dataclass
class Test:
    name: str
    body: typing.Callable
    limit: float
    waits: bool


def add(name, body, limit=30.0, waits=False):
    """Make a test known. `limit` is in seconds; one that `waits` runs beside the others."""
    if any(t.name == name for t in tests):
        raise ValueError(f"two tests are called {name}")
    tests.append(Test(name, body, limit, waits))


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((HOST, 0))
        return s.getsockname()[1]


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

    def start(self, name, command):
        """Start a process that ends with the test. Returns it and the path of its log."""
        path = self.log(name)
        with open(path, "w", encoding="utf-8") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
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

    def c_server(self, *options):
        port = free_port()
        process, path = self.start("c-server", [self.built.c_peer, "server", "-h", HOST, "-p", str(port), *options])
        self.wait_for(process, path, "listening")
        return port

    def our_server(self, *options):
        port, _ = self.our_server_with_log(*options)
        return port

    def our_server_with_log(self, *options):
        port = free_port()
        process, path = self.start("our-server", [self.built.our_peer, "server", "-p", str(port), *options])
        self.wait_for(process, path, "listening")
        return port, path

    def run(self, name, command, seconds):
        """Run a command to its end. Returns its exit code, its output and how long it took."""
        path = self.log(name)
        begun = time.monotonic()
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                timeout=seconds, check=False,
            )
        except subprocess.TimeoutExpired as late:
            path.write_bytes(late.stdout or b"")
            raise Failed(f"{name}: not over after {seconds} s") from late
        took = time.monotonic() - begun
        text = done.stdout.decode("utf-8", "replace")
        path.write_text(text, encoding="utf-8")
        return done.returncode, text, took

    def c_client(self, port, *args, seconds=20.0):
        return self.run("c-client", [self.built.c_peer, "client", "-h", HOST, "-p", str(port), *args], seconds)

    def our_client(self, port, *args, seconds=20.0):
        return self.run("our-client", [self.built.our_peer, "client", "-p", str(port), *args], seconds)

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
