#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a request costs the guest: our device and engine against QEMU's own device, the same binary, the
same guest, a store of 120 KiB, in turns with a round trip between two processes. Whoever is not
measured is stopped: a guest that waits for its next command spins. Prints µs a request, the best of the
rounds (what else runs here only adds), and how they compare: once as the scheduler places the processes,
once with all on one processor (where a round trip is cheapest)."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time

from machines import Engine, Machine, need_guest
from qemu import need, uv

ROUNDS = 15
COUNTS = {"set": 100, "volatile": 1000, "get": 1000, "next": 1000, "query": 1000}
STORE_BYTES = 120 * 1024


def store_text():
    """Variables of 2 KiB, 120 KiB together."""
    data = bytes(range(256)) * 8
    return json.dumps({"version": 2, "variables": [
        {"name": f"Filler{number:02}", "guid": uv.TEST, "attr": 7, "data": data.hex()}
        for number in range(STORE_BYTES // len(data))]})


class Stock(Machine):
    """The same guest on QEMU's own device."""

    def __init__(self, store):
        super().__init__(None, ours=False, device=f"uefi-vars-x64,jsonfile={store}")


def measure(machine, which, count):
    start = time.perf_counter()
    words = machine.ask(f"bench {which} {count:x}")
    took = time.perf_counter() - start
    if words[1] != "0":
        raise RuntimeError(f"bench {which}: {words}")
    return took / count * 1e6


def measure_round_trip():
    return float(subprocess.run([os.environ["UEFIVARS_ROUNDTRIP"]], check=True,
                                stdout=subprocess.PIPE, text=True).stdout)


@contextlib.contextmanager
def going(machine):
    """It runs while this lasts, and stands still otherwise."""
    os.kill(machine.process.pid, signal.SIGCONT)
    yield
    os.kill(machine.process.pid, signal.SIGSTOP)


def compare(engine, stock_store):
    """The best µs of the round trip, and of each request on both devices."""
    with Machine(engine.socket) as ours, Stock(stock_store) as stock:
        trips, figures = [], {which: ([], []) for which in COUNTS}
        for machine in (ours, stock):
            machine.ready()
            for which in COUNTS:
                measure(machine, which, 20)
            os.kill(machine.process.pid, signal.SIGSTOP)
        for _ in range(ROUNDS):
            trips.append(measure_round_trip())
            for side, machine in enumerate((ours, stock)):
                with going(machine):
                    for which, count in COUNTS.items():
                        figures[which][side].append(measure(machine, which, count))
        for machine in (ours, stock):
            os.kill(machine.process.pid, signal.SIGCONT)
    return min(trips), {which: tuple(map(min, seen)) for which, seen in figures.items()}


def report(round_trip, figures):
    print(f"one round trip of 256 bytes between two processes: {round_trip:.1f} µs")
    print(f"{'request':10} {'ours µs':>9} {'QEMU µs':>9} {'ratio':>6} {'more, in round trips':>21}")
    for which, (mine, theirs) in figures.items():
        print(f"{which:10} {mine:9.1f} {theirs:9.1f} {mine / theirs:6.2f} "
              f"{(mine - theirs) / round_trip:21.2f}")


def main():
    need(engine=True)
    need_guest("x86_64")
    everywhere = os.sched_getaffinity(0)
    for title, processors in (("as scheduled", everywhere), ("on one processor", {min(everywhere)})):
        os.sched_setaffinity(0, processors)
        with tempfile.TemporaryDirectory(prefix="uv-bench-",
                                         dir=os.environ.get("UEFIVARS_BENCH_DIR")) as folder:
            for name in ("vars.json", "stock.json"):
                with open(f"{folder}/{name}", "w", encoding="ascii") as file:
                    file.write(store_text())
            with open(os.devnull, "wb") as nowhere, Engine(folder, stderr=nowhere) as engine:
                print(f"{title}:")
                report(*compare(engine, f"{folder}/stock.json"))


if __name__ == "__main__":
    main()
