#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of a mount with many guests, each beside what the same costs without us."""

import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402

COUNT = 10000
COLD = (10, 100, 200, 1000)
COLD_BAR = 7


def show(what, value, unit, baseline=None, of="", bar=None):
    line = f"{what:<52} {value:>10.3f} {unit:<4}"
    if baseline is not None:
        line += f" baseline {baseline:>9.3f} ({of}) ratio {value / baseline:6.2f}"
    if bar is not None:
        line += f"  bar {bar}"
    print(line, flush=True)


def timed(function, *args, **kwargs):
    begun = time.perf_counter()
    result = function(*args, **kwargs)
    return time.perf_counter() - begun, result


def quiet(*command):
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def run_true(count):
    for _ in range(count):
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def engine_kib(front):
    """Private memory of each engine of this mount, with its keeper; and how many engines there are."""
    parents, names = {}, {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            text = pathlib.Path(f"/proc/{entry}/stat").read_text()
        except OSError:
            continue
        names[int(entry)] = text[text.index("(") + 1:text.rindex(")")]
        parents[int(entry)] = int(text[text.rindex(")") + 2:].split()[1])
    while names.get(parents[front]) in ("uefivarsfs", "uv-monitor"):
        front = parents[front]
    ours = {front}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    kib, engines = 0, 0
    for pid in ours:
        if names.get(pid) in ("uefivarsd", "uv-keeper"):
            rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
            kib += sum(int(line.split()[1]) for line in rollup.splitlines()
                       if line.startswith("Private_"))
            engines += names[pid] == "uefivarsd"
    return kib / engines if engines else 0, engines


def cold_guests(mountpoint, chosen, front):
    """One variable of each, in turns with as many /bin/true: what else the machine does falls on both."""
    paths = [mountpoint / "guests" / f"guest{i:05}" / "vars" / f"Var00-{uvproto.TEST}"
             for i in chosen]
    spent = plain = 0
    for at in range(0, len(paths), 10):
        part = paths[at:at + 10]
        plain += timed(run_true, len(part))[0]
        spent += timed(lambda: [p.read_bytes() for p in part])[0]
    show(f"read one variable of {len(paths)} cold guests", spent, "s", plain,
         f"{len(paths)} x /bin/true", COLD_BAR)
    kib, engines = engine_kib(front)
    show(f"  private memory of each engine, {engines} alive", kib, "KiB")


def many_guests(scratch):
    source = scratch.path / "many"
    source.mkdir()
    text = uvmount.store_text(*(uvmount.variable(f"Var{i:02}", bytes(100)) for i in range(30)))
    for i in range(COUNT):
        (source / f"guest{i:05}_VARS.json").write_text(text)
    mountpoint = scratch.path / "mnt"
    mountpoint.mkdir()
    # In memory, as /run is: on a disk the sockets' inodes cost more than the engines.
    memory = tempfile.TemporaryDirectory(dir="/dev/shm")
    scratch.stack.enter_context(memory)
    sockdir = pathlib.Path(memory.name) / "sock"
    walk, _ = timed(lambda: [os.stat(e.path) for e in os.scandir(source)])
    begun = time.perf_counter()
    # As mount(8) would: it returns when the mount is usable.
    quiet(str(uvmount.UEFIVARSFS), str(source), str(mountpoint), "-o", f"sockdir={sockdir}")
    show(f"mount {COUNT} stores", time.perf_counter() - begun, "s", walk, "stat of each", "0.5")
    front = front_pid(mountpoint)
    try:
        plain, _ = timed(quiet, "ls", str(source))
        spent, _ = timed(quiet, "ls", str(mountpoint / "guests"))
        show("ls guests/", spent, "s", plain, "ls SOURCE", "0.3")
        plain, _ = timed(quiet, "ls", "-l", str(source))
        spent, _ = timed(quiet, "ls", "-l", str(mountpoint / "guests"))
        show("ls -l guests/, the first time", spent, "s", plain, "ls -l SOURCE")
        spent, _ = timed(quiet, "ls", "-l", str(mountpoint / "guests"))
        show("ls -l guests/, again", spent, "s", plain, "ls -l SOURCE")
        time.sleep(1)
        show("resident before use (with 10,000 sockets)", uvmount.memory_kib(front) / 1024, "MiB",
             bar="48")
        chosen = random.Random(1).sample(range(COUNT), sum(COLD))
        for count in COLD:
            cold_guests(mountpoint, [chosen.pop() for _ in range(count)], front)
        show("resident afterwards", uvmount.memory_kib(front) / 1024, "MiB")
    finally:
        quiet("umount", str(mountpoint))
        uvmount.wait_until(lambda: not uvmount.alive(front), "the front ended", 20)


def front_pid(mountpoint):
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except (OSError, ValueError):
            continue
        if words[0].endswith(b"uefivarsfs") and str(mountpoint).encode() in words:
            return int(entry)
    raise RuntimeError("no front")


class Flood(threading.Thread):
    """In a process of its own: everything a hostile client can do to one engine."""

    def __init__(self, path):
        super().__init__(daemon=True)
        code = f"""
import os, socket, struct, sys
sys.path.insert(0, {str(uvmount.TOP / 'tests' / 'lib')!r})
import uvproto
idle = []
for i in range(1000):
    try:
        s = uvproto.connect({path!r}, 1); s.setblocking(False); idle.append(s)
        s.send(b"x" * 7)
    except OSError:
        break
guest = uvproto.Guest({path!r}).hello()
message = uvproto.mm_variable(uvproto.F_SET, os.urandom(65000))
print("ready", flush=True)
while True:
    guest.mm(message)
"""
        self.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)

    def wait_ready(self):
        self.process.stdout.readline()

    def stop(self):
        self.process.kill()
        self.process.wait()


def latencies(guest, count=3000):
    out = []
    for _ in range(count):
        begun = time.perf_counter()
        guest.get("A", uvproto.TEST, room=64)
        out.append((time.perf_counter() - begun) * 1e6)
    return out


def flood(scratch):
    source = scratch.path / "few"
    source.mkdir()
    for name in ("bad", "good"):
        (source / f"{name}.json").write_text(uvmount.store_text(uvmount.variable("A", b"a")))
    mount = scratch.mount(source, name="few-mnt")
    guest = uvproto.Guest(mount.socket("good")).hello()
    latencies(guest, 500)
    hostile = Flood(mount.socket("bad"))
    before, during = [], []
    try:
        hostile.wait_ready()
        # In turns, so that what else the machine does falls on both.
        for _ in range(10):
            hostile.process.send_signal(signal.SIGSTOP)
            time.sleep(0.1)
            before += latencies(guest, 500)
            hostile.process.send_signal(signal.SIGCONT)
            time.sleep(0.1)
            during += latencies(guest, 500)
        show("the flooded engine's resident memory",
             uvmount.memory_kib(mount.engine_pid("bad")) / 1024, "MiB")
    finally:
        hostile.stop()
    for what, pick in (("median", statistics.median),
                       ("90th percentile", lambda v: sorted(v)[int(len(v) * 0.9)])):
        show(f"GetVariable beside a flooding guest, {what}", pick(during), "us", pick(before),
             "without it", "ratio 1.5" if what == "median" else None)
    guest.bye()


def stopped(scratch):
    """Reads of other guests beside one whose engine is stopped and who is written to."""
    source = scratch.path / "stop"
    source.mkdir()
    for i in range(10):
        (source / f"g{i}.json").write_text(uvmount.store_text(uvmount.variable("A", b"a")))
    mount = scratch.mount(source, "idle=60", name="stop-mnt")
    paths = [mount.vars(f"g{1 + i % 9}") / f"A-{uvproto.TEST}" for i in range(1000)]
    mount.write("g0", "W", b"w")  # its engine is none that is only looked at
    for path in paths[:9]:
        path.read_bytes()
    before, during = [], []
    pid = mount.engine_pid("g0")
    for _ in range(5):
        before.append(timed(lambda: [p.read_bytes() for p in paths])[0])
        os.kill(pid, signal.SIGSTOP)
        writer = subprocess.Popen(["cp", mount.vars("g0") / f"A-{uvproto.TEST}",
                                   mount.vars("g0") / f"B-{uvproto.TEST}"],
                                  stderr=subprocess.DEVNULL)
        during.append(timed(lambda: [p.read_bytes() for p in paths])[0])
        os.kill(pid, signal.SIGCONT)
        writer.wait()
    show("1,000 reads of others beside a stopped engine", statistics.median(during) * 1000, "ms",
         statistics.median(before) * 1000, "none stopped", "as before")


def main():
    uvmount.need_mount()
    with uvmount.Scratch() as scratch:
        many_guests(scratch)
        stopped(scratch)
        flood(scratch)


if __name__ == "__main__":
    main()
