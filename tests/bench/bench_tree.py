#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""stat, ls -l and cat of a guest with 100 variables, next to a file system that serves the same
bytes as constants (constantfs.c), warm and with the kernel's caches dropped."""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount

HERE = uvmount.BUILD / "tests" / "bench"
ROUNDS = int(os.environ.get("ROUNDS", "300"))


def main():
    uvmount.need_mount()
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
        finally:
            subprocess.run(["umount", baseline], check=False)
            constant.wait(10)


main()
