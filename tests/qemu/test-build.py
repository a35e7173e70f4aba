#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The module and the QEMU it was built for: a module of another build is refused by QEMU, and stamp.sh
says what to do; a machine of ours is told from one of QEMU's own."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

from machines import folder_of
from qemu import MODULE_DIR, Qemu, need

# The module of the QEMU that is tested, where it is not the installed one.
STOCK = os.environ.get("UEFIVARS_QEMU_STOCK_MODULE", "")
GLUE = pathlib.Path(__file__).resolve().parents[2] / "qemu-glue"


def stamp(*arguments):
    return subprocess.run([GLUE / "stamp.sh", *arguments], capture_output=True, text=True)


class Build(unittest.TestCase):
    def setUp(self):
        self.ours = f"{MODULE_DIR}/hw-uefi-vars.so"

    def other(self):
        """Ours, with another build's stamp."""
        folder = folder_of(self)
        right = stamp(STOCK).stdout.strip()
        wrong = "0" * len(right)
        data = pathlib.Path(self.ours).read_bytes()
        self.assertIn(right.encode(), data)
        path = pathlib.Path(folder) / "hw-uefi-vars.so"
        path.write_bytes(data.replace(right.encode(), wrong.encode()))
        return folder, str(path)

    def test_stamp(self):
        result = stamp(STOCK, self.ours)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"^[0-9a-f]{40}\n$")

    def test_wrong_stamp_is_explained(self):
        folder, path = self.other()
        result = stamp(STOCK, path)
        self.assertEqual(result.returncode, 1)
        for text in ("built for another QEMU", "build it again here", "get-headers.sh"):
            self.assertIn(text, result.stderr)
        with Qemu("uefi-vars-x64,socket=/nowhere", qtest=False,
                  module_dir=folder) as qemu:
            self.assertEqual(qemu.wait(), 1)
            self.assertIn("was built for another QEMU than this one", qemu.stderr())

    def test_no_module(self):
        for path, text in ("/bin/true", "no build stamp"), ("/nowhere.so", "is not there"):
            result = stamp(path)
            self.assertEqual(result.returncode, 1)
            self.assertIn(text, result.stderr)

    def test_without_the_variable(self):
        """QEMU's own device says that it has no such property."""
        with Qemu("uefi-vars-x64,socket=/nowhere", ours=False, qtest=False) as qemu:
            self.assertEqual(qemu.wait(), 1)
            self.assertIn("Property 'uefi-vars-x64.socket' not found", qemu.stderr())

    def test_what_it_includes(self):
        """Of the project's folders, only the protocol's header."""
        for path in GLUE.glob("*.[ch]"):
            for name in re.findall(r'#include "([^"]+)"', path.read_text()):
                if name.startswith(("vars/", "fusefs/", "descriptors/")):
                    self.assertEqual(name, "vars/wire/wire.h", path)

    def test_get_headers_usage(self):
        script = GLUE / "get-headers.sh"
        self.assertEqual(subprocess.run([script], capture_output=True).returncode, 1)
        folder = folder_of(self)
        (pathlib.Path(folder) / "VERSION").write_text("1.2.3\n")
        result = subprocess.run([script, folder, "10.0"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("holds QEMU 1.2.3, not 10.0", result.stderr)
        (pathlib.Path(folder) / "VERSION").write_text("10.0.9\n")
        result = subprocess.run([script, folder, "10.0"], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stdout.strip()),
                         (0, os.path.realpath(folder)))


if __name__ == "__main__":
    need()
    if not shutil.which("nm"):
        raise SystemExit(77)
    unittest.main()
