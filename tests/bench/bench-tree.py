#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""stat, ls -l and cat of a guest with 100 variables, next to a file system that serves the same
bytes as constants (constantfs.c), warm and with the kernel's caches dropped. All on one processor, where
the work counts: a wake-up on another one takes three times as long as a request, and who is put where
is chance."""

import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount

HERE = uvmount.BUILD / "tests" / "bench"
ROUNDS = int(os.environ.get("ROUNDS", "300"))


def run_programs(folder, baseline):
    """The programs themselves, their start included."""
    for what in ("stat *", "ls -l", "cat *"):
        took = {folder: [], baseline: []}
        for _ in range(max(ROUNDS // 10, 3)):
            for place in took:
                start = time.perf_counter()
                subprocess.run(["sh", "-c", f"exec {what}"], cwd=place, check=True,
                               stdout=subprocess.DEVNULL)
                took[place].append(time.perf_counter() - start)
        ours, theirs = (1e6 * statistics.median(took[place]) for place in (folder, baseline))
        print(f"{what:6} (program): {ours:6.0f} us, baseline {theirs:6.0f} us, "
              f"ratio {ours / theirs:.2f}")


def main():
    uvmount.need_mount()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with uvmount.Scratch() as scratch:
        source = scratch.path / "source"
        copy = scratch.path / "copy"
        baseline = scratch.path / "baseline"
        for folder in (source, copy, baseline):
            folder.mkdir()
        (source / "vm.json").write_text(uvmount.store_text(
            *(uvmount.variable(f"Variable{i:04}", bytes([i]) * 256) for i in range(100))))
        mount = scratch.mount(source, "idle=600")
        for path in mount.vars("vm").iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        constant = subprocess.Popen([HERE / "constantfs", baseline, copy])
        try:
            uvmount.wait_until(lambda: os.path.ismount(baseline), "constantfs is mounted")
            for environment in ({}, {"FILES_COLD": "1"}):
                rounds = ROUNDS if not environment else max(ROUNDS // 10, 3)
                if environment and os.geteuid() != 0:
                    print("cold: skipped, needs root")
                    continue
                subprocess.run([HERE / "bench-files", str(rounds), mount.vars("vm"), baseline],
                               check=True, env=os.environ | environment)
            run_programs(mount.vars("vm"), baseline)
        finally:
            subprocess.run(["umount", baseline], check=False)
            constant.wait(10)


main()
