"""Installs what is missing and builds both peers. Whatever cannot be had is an error, never a reason to skip.

All of it happens before the first test: a time limit of a test covers neither a download nor a compiler.
"""
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import typing

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent
OUT = HERE / "out"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
# Each package with a program or a file that shows it is there.
PACKAGES = {
    "gcc": "gcc",
    "libc6-dev": "/usr/include/stdio.h",
    "libopenafs-dev": "/usr/include/rx/rx.h",
    "openafs-client": "rxdebug",
}


@dataclasses.dataclass(eq=False)
class Need:
    """What some tests need beyond both peers: packages, in the same form, and what is to be built."""

    packages: dict = dataclasses.field(default_factory=dict)
    build: typing.Callable = lambda: None


@dataclasses.dataclass
class Built:
    """Where the programs are."""

    c_peer: str
    our_peer: str
    rxrpc: str


def step(what, command, **kwargs):
    print(f"-- {what}", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **kwargs)
    if done.returncode != 0:
        print(done.stdout)
        sys.exit(f"interop: cannot {what} (exit code {done.returncode})")


def is_there(proof):
    return os.path.exists(proof) if proof.startswith("/") else shutil.which(proof) is not None


def install(packages):
    missing = [name for name, proof in packages.items() if not is_there(proof)]
    if not missing:
        return
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    step("update the package lists", ["apt-get", "update", "-qq"], env=env, timeout=300)
    command = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", *missing]
    step("install " + " ".join(missing), command, env=env, timeout=900)
    for name in missing:
        if not is_there(packages[name]):
            sys.exit(f"interop: {name} is installed but {packages[name]} is not there")


def build_c(name):
    """Build a C program of peers/ on OpenAFS's library. Returns its path."""
    program = OUT / name
    command = ["gcc", "-O2", "-w", "-pthread", "-DAFS_PTHREAD_ENV", str(HERE / "peers" / f"{name}.c")]
    step(f"build {name}", [*command, "-o", str(program), "-lafsrpc"], timeout=120)
    return str(program)


def build_ours(what, *args):
    step(f"build {what}", ["cargo", "build", "--release", "--locked", *args], cwd=ROOT, timeout=1500)


def everything(needs):
    """All that tests with these needs use."""
    OUT.mkdir(exist_ok=True)
    packages = dict(PACKAGES)
    for need in needs:
        packages |= need.packages
    install(packages)
    c_peer = build_c("rxpeer")
    build_ours("our peer and command", "-p", "rxrpc-interop", "-p", "rxrpc-cli")
    for need in needs:
        need.build()
    return Built(c_peer, str(TARGET / "rxrpc-interop-peer"), str(TARGET / "rxrpc"))
