#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What an administrator runs over a whole fleet that is off: grep over every summary and every
status.json, and a backup. UV_BENCH_GUESTS says how many guests (10,000); the bars are for those,
on two quiet processors. Beside it what as many /bin/true take at that time."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402

COUNT = int(os.environ.get("UV_BENCH_GUESTS", "10000"))
SAMPLE = 200  # of /bin/true, before and after each


def show(what, value, unit, bar=None, baseline=None):
    print(f"{what:<58} {value:>10.2f} {unit:<4}" +
          (f" baseline {baseline:8.2f} ({COUNT} x /bin/true) ratio {value / baseline:5.2f}"
           if baseline else "") + (f"  bar {bar}" if bar else ""), flush=True)


def run_true():
    begun = time.perf_counter()
    for _ in range(SAMPLE):
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    return time.perf_counter() - begun


def timed(mount, what, command, bar):
    """In guests/, by a shell that does not mind how many there are."""
    plain = run_true()
    begun = time.perf_counter()
    ran = subprocess.run(["bash", "-c", command], cwd=mount.path / "guests", stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True, check=False)
    spent = time.perf_counter() - begun
    if ran.stderr:  # what fails is quick
        sys.exit(f"{what}: {ran.stderr.splitlines()[0]}")
    show(what, spent, "s", bar, (plain + run_true()) / (2 * SAMPLE) * COUNT)


def mounted(scratch, source, memory, *options):
    """With its sockets in memory, as /run is: on a disk their inodes cost more than the engines."""
    mount = scratch.mount(source, f"sockdir={memory}/sock", *options, sockdir=False)
    mount.sockdir = pathlib.Path(memory) / "sock"
    return mount


def engines(mount):
    show("  engines that this has started and left", len(mount.engines()), "", "0")


def main():
    uvmount.need_mount()
    uvmount.need("rsync")
    with uvmount.Scratch() as scratch, tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        source, backup = scratch.path / "source", scratch.path / "backup"
        source.mkdir()
        text = uvmount.store_text(*(uvmount.variable(f"Var{i:02}", bytes(100)) for i in range(30)))
        for i in range(COUNT):
            (source / f"guest{i:05}_VARS.json").write_text(text)
        print(f"{COUNT} guests; load {os.getloadavg()[0]:.1f}")
        summaries = "printf '%s/secure-boot/summary\\0' * | xargs -0 grep -L 2023"
        copy = f"rsync -a ./ {backup}"
        with mounted(scratch, source, memory) as mount:
            timed(mount, "grep -L 2023 */secure-boot/summary, all cold", summaries, 40)
            timed(mount, "the same again", summaries, 2)
            show("resident", uvmount.memory_kib(mount.front_pid()) / 1024, "MiB", "cap 176")
            timed(mount, "rsync -a, the first", copy, None)
            mount.stop()
        with mounted(scratch, source, memory, "idle=600") as mount:
            timed(mount, "rsync -a of the same through a new mount", copy, 60)
            engines(mount)
            show("resident", uvmount.memory_kib(mount.front_pid()) / 1024, "MiB",
                 "cap 176, and 230 bytes a file that the kernel remembers")
            timed(mount, "grep -h secure-boot */status.json",
                  "printf '%s/status.json\\0' * | xargs -0 grep -h secure-boot", 5)
            engines(mount)
            timed(mount, "find . -type f", "find . -type f", None)
            engines(mount)
            timed(mount, "grep -L 2023 */secure-boot/summary", summaries, 2)
            engines(mount)
        print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
