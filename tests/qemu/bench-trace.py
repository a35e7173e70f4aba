#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a trace costs the guest: a bare-metal guest on a mount, ten boots' worth of requests (380 each)
and as many GetVariable alone, with nobody reading, with a reader of trace, of trace.pcap, and with a
reader that stands still; in turns. Prints the best of the rounds in µs a request (what else runs here
only adds), and how much that is of what it takes with nobody reading: the median of the rounds' own."""

import contextlib
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

from machines import Machine, need_guest
from qemu import need
import uvmount

ROUNDS = int(os.environ.get("UV_ROUNDS", "15"))
BOOT = {"set": 300, "get": 2000, "next": 1000, "query": 200, "volatile": 300}
GETS = {"get": 3800}
READERS = {"nobody": None, "trace": "trace", "trace.pcap": "trace.pcap", "stopped": "trace"}


@contextlib.contextmanager
def reading(folder, how):
    """cat reads it, or has and stands still now."""
    if READERS[how] is None:
        yield
        return
    with subprocess.Popen(["cat", folder / READERS[how]], stdout=subprocess.DEVNULL) as cat:
        uvmount.wait_until(lambda: pathlib.Path(f"/proc/{cat.pid}/wchan").read_text() not in ("", "0")
                           and os.path.exists(f"/proc/{cat.pid}/fd/3"), "cat reads")
        if how == "stopped":
            os.kill(cat.pid, signal.SIGSTOP)
        yield
        cat.kill()


def measure(machine, counts):
    """µs a request."""
    began = time.perf_counter()
    for which, count in counts.items():
        words = machine.ask(f"bench {which} {count:x}")
        if words[1] != "0":
            raise RuntimeError(f"bench {which}: {words}")
    return (time.perf_counter() - began) / sum(counts.values()) * 1e6


def compare(machine, folder, counts):
    seen = {how: [] for how in READERS}
    for _ in range(ROUNDS):
        for how in READERS:
            with reading(folder, how):
                seen[how].append(measure(machine, counts))
    return {how: (min(took), statistics.median(a / b for a, b in zip(took, seen["nobody"])))
            for how, took in seen.items()}


def main():
    with uvmount.Scratch() as scratch:
        source = scratch.path / "source"
        source.mkdir()
        (source / "vm.json").write_text(uvmount.store_text())
        mount = scratch.mount(source)
        with Machine(mount.socket("vm")) as machine:
            machine.ready()
            measure(machine, BOOT)
            for name, counts in (("boot", BOOT), ("get", GETS)):
                for how, (best, ratio) in compare(machine, mount.guest("vm"), counts).items():
                    print(f"{name:5} {how:11} {best:7.1f} µs  × {ratio:.3f}")
                    sys.stdout.flush()


if __name__ == "__main__":
    need()
    need_guest("x86_64")
    uvmount.need_mount()
    main()
