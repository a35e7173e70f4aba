#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The program that makes the filters of system calls when the project is built: for other machines, too,
and with an error rather than half a filter."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvfail  # noqa: E402

COMPILE = os.environ["UV_SECCOMP_COMPILE"]
ROLES = ["engine", "keeper", "front", "libvirt", "qcow2", "broker"]


class Seccomp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="uvseccomp-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.out = os.path.join(self.folder, "programs.c")

    def run_compile(self, *arguments, wrapper=()):
        return subprocess.run([*wrapper, COMPILE, *arguments], check=False, capture_output=True, text=True)

    def filters(self):
        """The number of instructions of each role's filter."""
        text = pathlib.Path(self.out).read_text()
        return dict(re.findall(r"uv_seccomp_(\w+)_program = {\w+_code, (\d+)}", text))

    def test_each_machine(self):
        for machine in ("native", "x86_64", "aarch64", "arm", "riscv64"):
            done = self.run_compile(machine, self.out)
            self.assertEqual((done.returncode, done.stderr), (0, ""), machine)
            filters = self.filters()
            self.assertEqual(list(filters), ROLES, machine)
            for role, instructions in filters.items():
                self.assertGreater(int(instructions), 20, (machine, role))

    def test_numbers_of_another_machine(self):
        """aarch64 has others than this machine for read, write, close and so on."""
        self.assertEqual(self.run_compile("aarch64", self.out).returncode, 0)
        text = pathlib.Path(self.out).read_text()
        engine = re.search(r"engine_code\[\] = \{(.*?)\};", text, re.S)[1]
        numbers = {int(value, 16) for value in re.findall(r"\{0x15, \d+, \d+, (0x[0-9a-f]+)\}", engine)}
        self.assertLessEqual({63, 64, 57, 67, 68, 73, 93 + 1, 211, 212, 222}, numbers)

    def test_refused(self):
        for arguments in ((), ("native",), ("native", self.out, "more"), ("pdp11", self.out),
                          ("native", "/nowhere/programs.c")):
            done = self.run_compile(*arguments)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn("usage: seccomp-compile", done.stderr)
        self.assertEqual(self.run_compile("native", "/dev/full").returncode, 1)

    def test_a_filter_that_can_not_be_read_back(self):
        uvfail.need()
        for fault in uvfail.faults(self.folder, "pread", len(ROLES)):
            done = self.run_compile("native", self.out, wrapper=fault.wrapper())
            self.assertEqual(done.returncode, 1 if fault.was_reached() else 0, done.stderr)
            if fault.was_reached():
                self.assertIn("the filter can't be written", done.stderr)
        self.assertEqual(list(self.filters()), ROLES)


if __name__ == "__main__":
    unittest.main()
