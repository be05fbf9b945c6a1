"""Prepares, runs the tests and counts."""
import argparse
import concurrent.futures
import os
import signal
import sys
import time

from . import calls, capture, examples, lossy, prepare, simview, slow, tshark
from .cell import cell
from .rig import Rig, Failed, tests

EPILOG = """examples:
  interop/run                 everything
  interop/run echo abort      the tests whose names contain echo or abort
  interop/run --list          the names

Needs Debian and root: packages that are missing are installed. A failed test leaves its logs in interop/out/NAME/.
"""


def run_one(test, built):
    begun = time.monotonic()
    rig = Rig(test.name, built)
    try:
        test.body(rig)
        verdict = None
    except Failed as failed:
        verdict = str(failed)
    except Exception as broken:  # pylint: disable=broad-except
        # A test that cannot be judged has not passed.
        verdict = f"{type(broken).__name__}: {broken}"
    finally:
        rig.close()
    took = time.monotonic() - begun
    if verdict is None and took > test.limit:
        verdict = f"took {took:.1f} s, more than its {test.limit} s"
    if verdict is None:
        rig.forget_logs()
        print(f"ok {test.name} ({took:.1f} s)", flush=True)
    else:
        print(f"FAIL {test.name}: {' '.join(verdict.split())}", flush=True)
    return verdict is None


def interrupted(*_):
    """End at once. The processes of the tests die with this one, those of the cell do not."""
    cell.kill()
    os._exit(1)


def main():
    parser = argparse.ArgumentParser(
        prog="interop/run", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="parts of test names")
    parser.add_argument("--list", action="store_true", help="only list the tests")
    args = parser.parse_args()
    _ = (calls, capture, examples, lossy, simview, slow, tshark)  # their import has made the tests known
    chosen = [t for t in tests if not args.names or any(n in t.name for n in args.names)]
    if args.list:
        print("\n".join(t.name for t in chosen))
        return 0
    if not chosen:
        print("interop: no test has such a name; see --list", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, interrupted)
    built = prepare.everything(dict.fromkeys(need for test in chosen for need in test.needs))
    return run_all(chosen, built)


def run_all(chosen, built):
    # Those that mostly wait run beside the others.
    waiting = [t for t in chosen if t.waits]
    passed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(len(waiting), 1)) as pool:
        try:
            later = [pool.submit(run_one, t, built) for t in waiting]
            passed += sum(run_one(t, built) for t in chosen if not t.waits)
            passed += sum(f.result() for f in later)
        finally:
            # While the thread that started it lives: what a thread started ends with it.
            cell.down()
    failed = len(chosen) - passed
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1
