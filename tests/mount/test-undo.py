#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""examples/undo.sh: a guest's variables as they were, and what can't be."""

import datetime
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402
import uvsign  # noqa: E402
from uvmount import variable  # noqa: E402

SCRIPT = uvmount.TOP / "examples" / "undo.sh"
ODD = "%n \\ %\" \n$(x) \t\x1b[1m ä\u2028€"
BYTES = bytes(range(256)) * 4


class Undo(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        source = self.scratch.path / "source"
        source.mkdir()
        (source / "vm.json").write_text(uvmount.store_text(
            variable("Bytes", BYTES), variable("Gone", b"gone"), variable("Same", b"same"),
            variable("Large", bytes(1025)), variable("Other", b"other", 3), variable(ODD, b"odd")))
        self.mount = self.scratch.mount(source)
        self.guest = self.mount.guest("vm")
        self.path("Same").read_bytes()
        time.sleep(0.01)
        self.since = datetime.datetime.now(datetime.timezone.utc).isoformat()

    def path(self, name):
        return self.guest / "vars" / f"{name}-{p.TEST}"

    def content(self):
        return {path.name: path.read_bytes() for path in (self.guest / "vars").iterdir()}

    def settle(self):
        """What was answered is on record when the next answer comes."""
        self.mount.status("vm")

    def undo(self, since=None, status=0):
        self.settle()
        result = subprocess.run([SCRIPT, self.guest, since or self.since], capture_output=True,
                                text=True)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return sorted(result.stdout.split("\n")[:-1]), result.stderr

    def test_all(self):
        before = self.content()
        for value in (b"1", b"2"):
            self.mount.write("vm", "Bytes", value)
        os.unlink(self.path("Gone"))
        self.mount.write("vm", "Same", b"other")
        self.mount.write("vm", "Same", b"same")
        self.mount.write("vm", "New", b"new")
        os.unlink(self.path("Other"))
        self.mount.write("vm", "Other", b"of the same name", 7)
        self.path(ODD).write_bytes(b"\7\0\0\0!")
        self.assertNotEqual(self.content(), before)
        said, _ = self.undo()
        self.assertEqual([line.rsplit(": ")[1] for line in said].count("put back"), 4)
        self.assertIn(f"New-{p.TEST}: removed", said)
        self.assertEqual(len(said), 5)
        self.assertIn('%n \\\\ %\\" \\n$(x) \\t\\u001b[1m ä', " ".join(said))
        self.assertEqual(self.content(), before)
        self.assertEqual(self.undo()[0], [], "a second time there is something to do")

    def test_what_it_can_not(self):
        self.mount.write("vm", "Large", b"small")
        (self.guest / "secure-boot/PK/replace").write_bytes(uvsign.Key("PK").der)
        self.mount.write("vm", "Same", b"other")
        said, _ = self.undo(status=1)
        self.assertEqual(len(said), 5)  # and what follows PK
        self.assertIn(f"Large-{p.TEST}: not put back: the record does not have its value", said)
        self.assertIn(f"Same-{p.TEST}: put back", said)
        (pk,) = [line for line in said if line.startswith("PK-")]
        self.assertRegex(pk, "PK-.*: not put back: .{10}")

    def test_since(self):
        """What came before the time stays; the undoing is undone in the same way."""
        self.mount.write("vm", "Same", b"early")
        time.sleep(0.01)
        since = datetime.datetime.now(datetime.timezone.utc).isoformat()
        self.mount.write("vm", "Same", b"late")
        self.assertEqual(self.undo(since)[0], [f"Same-{p.TEST}: put back"])
        self.assertEqual(self.path("Same").read_bytes()[4:], b"early")
        self.undo()
        self.assertEqual(self.path("Same").read_bytes()[4:], b"same")
        self.assertEqual(self.undo("1 hour")[0], [])

    def test_what_it_does_not_know(self):
        self.mount.write("vm", "Same", b"other")
        self.assertIn("the record begins at 20", self.undo("2001-01-01")[1])
        self.assertEqual(self.undo("no time", 2)[0], [])

    def test_a_refusal_is_no_change(self):
        with self.assertRaises(OSError):
            self.mount.write("vm", "SetupMode", b"\0", 6, p.GLOBAL)
        self.settle()
        self.assertTrue(json.loads((self.guest / "changes").read_text())["status"])
        self.assertEqual(self.undo()[0], [])


if __name__ == "__main__":
    uvmount.need_mount()
    uvmount.need("jq")
    unittest.main()
