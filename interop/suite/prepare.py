"""Installs what is missing and builds both peers. Whatever cannot be had is an error, never a reason to skip."""
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent
OUT = HERE / "out"
PACKAGES = {
    "gcc": "gcc",
    "libopenafs-dev": "/usr/include/rx/rx.h",
    "openafs-client": "rxdebug",
}


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


def everything():
    OUT.mkdir(exist_ok=True)
    install(PACKAGES)
    c_peer = OUT / "rxpeer"
    source = HERE / "peers" / "rxpeer.c"
    command = ["gcc", "-O2", "-w", "-pthread", "-DAFS_PTHREAD_ENV", str(source), "-o", str(c_peer), "-lafsrpc"]
    step("build the C peer", command, timeout=120)
    cargo = ["cargo", "build", "--release", "--locked", "-p", "rxrpc-interop", "-p", "rxrpc-cli"]
    step("build our peer and command", cargo, cwd=ROOT, timeout=1500)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    return Built(str(c_peer), str(target / "rxrpc-interop-peer"), str(target / "rxrpc"))
