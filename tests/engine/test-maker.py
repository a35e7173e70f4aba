#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""uefivars-make by itself: what it refuses, and what is left when one of its system calls fails: no new
store, or a whole one; the one that was there, or what the new one kept of it."""

import errno
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvfail  # noqa: E402

MAKER = pathlib.Path(os.environ.get("UV_BUILD", "build")) / "fusefs/uefivars-make"
HOLE = 1 << 20
TEMPLATE = b"t" * 5000 + bytes(HOLE) + b"end"


class Maker(unittest.TestCase):
    def setUp(self):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="uvmaker-"))
        self.addCleanup(shutil.rmtree, self.top)
        with open(self.top / "template", "wb") as file:
            file.write(b"t" * 5000)
            file.seek(5000 + HOLE)
            file.write(b"end")

    def new_folder(self):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.top))
        (folder / ".uefivarsfs").mkdir()
        return folder

    def run_maker(self, folder, *options, wrapper=(), template=None, pin=True, folders=True):
        """Its status and what it says."""
        (self.top / "pin").write_text("a choice")
        said = self.top / "said"
        place = f'7>"{said}"'
        place += f' 5<"{template}"' if template else " 5</dev/null"
        place += f' 6<"{self.top / "pin"}"' if pin else " 6</dev/null"
        place += f' 3<"{folder}" 4<"{folder / ".uefivarsfs"}"' if folders else ""
        done = subprocess.run(["bash", "-c", f'exec "$@" {place}', "sh", *wrapper, MAKER, *options],
                              check=False, capture_output=True, text=True)
        return done.returncode, said.read_text() + done.stderr

    def test_refused(self):
        json = ("--store=s.json", "--format=json")
        for options in ((), ("--store=s.json",), ("--format=json",), ("--store=a/b", "--format=json"),
                        (*json, "--instead-of=x"), (*json, "--replace", "--instead-of=a/b"),
                        ("--store=s", "--format=vhd"), (*json, "--from=vhd"), (*json, "--from=raw"),
                        ("--store=s", "--format=raw"), ("--store=s", "--format=raw", "--from=json"),
                        (*json, "--what")):
            folder = self.new_folder()
            status, said = self.run_maker(folder, *options)
            self.assertNotEqual(status, 0, options)
            self.assertTrue(said, options)
            self.assertEqual(os.listdir(folder), [".uefivarsfs"])
        status, said = self.run_maker(self.new_folder(), *json, folders=False)
        self.assertIn("uefivarsfs starts this program", said)

    def test_templates_that_are_none(self):
        folder = self.new_folder()
        raw = ("--store=s.fd", "--format=raw", "--from=raw")
        self.assertEqual(self.run_maker(folder, *raw, template="/dev/zero")[0], errno.EINVAL)
        with open(self.top / "large", "wb") as file:
            file.truncate(1 << 40)
        self.assertIn("File too large", self.run_maker(folder, *raw, template=self.top / "large")[1])
        with open(self.top / "empty", "wb") as file:
            file.truncate(5000)
        self.assertEqual(self.run_maker(folder, *raw, template=self.top / "empty")[0], 0)
        self.assertEqual((folder / "s.fd").read_bytes(), bytes(5000))
        self.assertEqual(self.run_maker(folder, *raw, template=self.top / "template")[0], errno.EEXIST)
        self.assertEqual(os.listdir(folder / ".uefivarsfs"), ["s.fd.pin"])

    def check(self, folder, status, wanted, old):
        """`old`: the store that was there, and its name."""
        found = (folder / "s").read_bytes() if (folder / "s").exists() else None
        kept = [path.read_bytes() for path in (folder / ".uefivarsfs").glob("*.before-load")]
        if status == 0:
            self.assertEqual(found, wanted)
        else:
            self.assertIn(found, (None, wanted, b"old"))
        if old:
            left = (folder / old).read_bytes() if (folder / old).exists() else None
            self.assertTrue(b"old" in kept or left == b"old" or found == b"old", os.listdir(folder))
        self.assertFalse(list((folder / ".uefivarsfs").glob("*.tmp")) and status == 0)

    def fail_each(self, *options, wanted, old=None, template=None):
        uvfail.need()
        reached = 0
        for call, error in uvfail.CALLS:
            for fault in uvfail.faults(self.top, call, error):
                with self.subTest(fault=str(fault)):
                    folder = self.new_folder()
                    if old:
                        (folder / old).write_bytes(b"old")
                        (folder / ".uefivarsfs/s.meta").write_bytes(b"of the old one")
                    status, said = self.run_maker(folder, "--store=s", *options, wrapper=fault.wrapper(),
                                                  template=template)
                    self.assertIn(status, errno.errorcode.keys() | {0}, said)
                    self.assertTrue(status == 0 or said, str(fault))
                    self.check(folder, status, wanted, old)
                    if not fault.was_reached():
                        self.assertEqual((status, said), (0, ""))
                    reached += fault.was_reached()
        self.assertGreater(reached, 15)

    def test_empty_store(self):
        folder = self.new_folder()
        self.assertEqual(self.run_maker(folder, "--store=s", "--format=json", pin=False), (0, ""))
        self.assertEqual(os.listdir(folder / ".uefivarsfs"), [])
        self.fail_each("--format=json", wanted=(folder / "s").read_bytes())

    def test_template(self):
        self.fail_each("--format=raw", "--from=raw", wanted=TEMPLATE, template=self.top / "template")

    def test_in_the_place_of_a_store(self):
        self.fail_each("--format=raw", "--from=raw", "--replace", wanted=TEMPLATE, old="s",
                       template=self.top / "template")

    def test_instead_of_another(self):
        self.fail_each("--format=raw", "--from=raw", "--replace", "--instead-of=other.fd", wanted=TEMPLATE,
                       old="other.fd", template=self.top / "template")


if __name__ == "__main__":
    unittest.main()
