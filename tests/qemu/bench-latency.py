#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a request costs the guest: our device and engine against QEMU's own device, the same binary, the
same guest, a store of 120 KiB, in turns with a round trip between two processes. Whoever is not
measured is stopped: a guest that waits for its next command spins. Prints µs a request, the best of the
rounds (what else runs here only adds), and how they compare: once with QEMU and the engine on one
processor, where a round trip is cheapest, once on two. Our device is there twice: by socket=, and by
jsonfile=, whose engine is found by the store."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import tempfile
import time

from machines import Engine, Machine, need_guest
from qemu import need, uv

ROUNDS = 15
COUNTS = {"set": 100, "volatile": 10000, "get": 10000, "next": 10000, "query": 10000}
# The guest's messages as frames (its GetVariable has room for 16 KiB), and so the replies.
FRAME_BYTES = {"set": 228, "volatile": 228, "get": 16496, "next": 344, "query": 92}
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


class ByStore(Machine):
    """The same guest on our device, whose engine is found by the store; `engine` listens there."""

    def __init__(self, engine):
        super().__init__(None, device=f"uefi-vars-x64,jsonfile={engine.store}")


def socket_by_store(store):
    digest = hashlib.sha256(os.path.realpath(store).encode()).hexdigest()[:16]
    return f"{os.environ['UEFIVARS_BY_STORE']}/{digest}.sock"


def measure(machine, which, count):
    start = time.perf_counter()
    words = machine.ask(f"bench {which} {count:x}")
    took = time.perf_counter() - start
    if words[1] != "0":
        raise RuntimeError(f"bench {which}: {words}")
    return took / count * 1e6


def measure_round_trip(size, processors):
    return float(subprocess.run([os.environ["UEFIVARS_ROUNDTRIP"], str(size), *map(str, processors)],
                                check=True, stdout=subprocess.PIPE, text=True).stdout)


def place(process, processor):
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        os.sched_setaffinity(int(thread), {processor})


@contextlib.contextmanager
def going(machine):
    """It runs while this lasts, and stands still otherwise."""
    os.kill(machine.process.pid, signal.SIGCONT)
    yield
    os.kill(machine.process.pid, signal.SIGSTOP)


def compare(engine, by_store, stock_store, processors):
    """For each request the best µs of ours, of the same by jsonfile=, of QEMU's, and of a round trip of its
    size."""
    with Machine(engine.socket) as ours, ByStore(by_store) as found, Stock(stock_store) as stock:
        machines = (ours, found, stock)
        seen = {which: ([], [], [], []) for which in COUNTS}
        for machine in machines:
            machine.ready()
            for which in COUNTS:
                measure(machine, which, 20)
            place(machine.process, processors[0])
            os.kill(machine.process.pid, signal.SIGSTOP)
        for process in (engine.process, by_store.process):
            place(process, processors[1])
        for _ in range(ROUNDS):
            for which, count in COUNTS.items():
                for side, machine in enumerate(machines):
                    with going(machine):
                        seen[which][side].append(measure(machine, which, count))
                seen[which][3].append(measure_round_trip(FRAME_BYTES[which], processors))
        for machine in machines:
            os.kill(machine.process.pid, signal.SIGCONT)
    return {which: tuple(map(min, figures)) for which, figures in seen.items()}


def report(figures):
    print(f"{'request':10} {'ours µs':>9} {'QEMU µs':>9} {'ratio':>6} {'round trip µs':>14} "
          f"{'more, in round trips':>21} {'jsonfile= µs':>13} {'to socket=':>10}")
    for which, (mine, found, theirs, trip) in figures.items():
        print(f"{which:10} {mine:9.1f} {theirs:9.1f} {mine / theirs:6.2f} {trip:14.1f} "
              f"{(mine - theirs) / trip:21.2f} {found:13.1f} {found / mine:10.2f}")


def main():
    need(engine=True)
    need_guest("x86_64")
    first, *others = sorted(os.sched_getaffinity(0))
    for title, processors in (("one processor", [first, first]),
                              *(("two processors", [first, second]) for second in others[:1])):
        with tempfile.TemporaryDirectory(prefix="uv-bench-",
                                         dir=os.environ.get("UEFIVARS_BENCH_DIR")) as folder:
            os.environ["UEFIVARS_BY_STORE"] = folder
            for name in ("vars.json", "found.json", "stock.json"):
                with open(f"{folder}/{name}", "w", encoding="ascii") as file:
                    file.write(store_text())
            option = "--store-socket", socket_by_store(f"{folder}/found.json")
            with open(os.devnull, "wb") as nowhere, Engine(folder, stderr=nowhere) as engine, \
                    Engine(folder, *option, store="found.json", name="found", stderr=nowhere) as by_store:
                print(f"{title}:")
                report(compare(engine, by_store, f"{folder}/stock.json", processors))


if __name__ == "__main__":
    main()
