#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that is looked at has an engine that can only be looked at; for a change, and when the
guest comes, there is another one, and who asked notices nothing."""

import os
import pathlib
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402
from uvmount import variable, wait_until  # noqa: E402


# A boot option that is a partition.
OPTION = (struct.pack("<IH", 1, 46) + "x\0".encode("utf-16-le") +
          struct.pack("<BBHIQQ16sBB", 4, 1, 42, 1, 0x800, 0x1000, bytes(range(16)), 2, 2) +
          bytes.fromhex("7fff0400"))
LOOK = "uefivars-look" if (uvmount.BUILD / "vars" / "uefivars-look").exists() else "uefivarsd"


class LookedAt(unittest.TestCase):
    def setUp(self):
        scratch = uvmount.Scratch()
        self.addCleanup(scratch.__exit__)
        source = scratch.path / "source"
        source.mkdir()
        self.store = source / "g.json"
        self.store.write_text(uvmount.store_text(
            variable("A", b"a"),
            variable("Boot0001", OPTION, guid="8be4df61-93ca-11d2-aa0d-00e098032b8c")))
        self.mount = scratch.mount(source, "idle=60")
        self.assertEqual(self.mount.read("g", "A")[1], b"a")
        self.looked_at = self.mount.engine_pid("g")
        self.assertFalse(self.verifies())

    def verifies(self):
        pid = self.mount.engine_pid("g")
        return "gnutls" in pathlib.Path(f"/proc/{pid}/maps").read_text()

    def program(self):
        return os.path.basename(os.readlink(f"/proc/{self.mount.engine_pid('g')}/exe"))

    def test_program(self):
        """What starts soonest serves all but device paths, which only libefivar can show."""
        guest = self.mount.guest("g")
        (guest / "secure-boot/summary").read_text()
        self.assertEqual(self.mount.engine_pid("g"), self.looked_at)
        self.assertEqual(self.program(), LOOK)
        self.assertIn("HD(1,GPT,", (guest / "boot/0001/path").read_text())
        self.assertEqual(self.program(), "uefivarsd")
        self.assertFalse(self.verifies())
        shows = self.mount.engine_pid("g")
        self.assertEqual(shows == self.looked_at, LOOK == "uefivarsd")
        (guest / "secure-boot/PK/hashes").read_text()
        self.assertEqual(self.mount.engine_pid("g"), shows)

    def test_change(self):
        self.mount.write("g", "B", b"b")
        self.assertTrue(self.verifies())
        self.assertEqual(self.mount.read("g", "B")[1], b"b")
        self.assertNotEqual(self.mount.engine_pid("g"), self.looked_at)

    def test_time(self):
        path = self.mount.vars("g") / f"A-{uvproto.TEST}"
        os.utime(path, (1000, 1000))
        self.assertEqual(os.stat(path).st_mtime, 1000)
        self.assertTrue(self.verifies())

    def test_replaced_store(self):
        """Another program's new file is seen at once, also where the old one has another name yet."""
        for value, kept in ((b"b", False), (b"c", True), (b"d", False)):
            if kept:
                os.link(self.store, self.store.with_suffix(".old"))
            new = self.store.with_suffix(".new")
            new.write_text(uvmount.store_text(variable("A", value)))
            os.replace(new, self.store)
            self.assertEqual(self.mount.read("g", "A")[1], value)
            self.assertFalse(self.verifies())

    def test_refusal(self):
        """It is on record, though the engine that is there can't write it."""
        with self.assertRaises(OSError):
            (self.mount.guest("g") / "secure-boot/summary").write_text("x")
        wait_until(lambda: "secure-boot/summary" in
                   (self.mount.guest("g") / "changes").read_text(), "a line in the record")

    def test_view(self):
        self.assertIn("mode: setup", (self.mount.guest("g") / "secure-boot/summary").read_text())
        self.assertFalse(self.verifies())
        (self.mount.guest("g") / "boot/timeout").write_text("5\n")
        self.assertTrue(self.verifies())

    def test_guest(self):
        guest = uvproto.Guest(self.mount.socket("g")).hello()
        self.addCleanup(guest.close)
        self.assertEqual(guest.set("B", uvproto.TEST, data=b"guest's"), uvproto.SUCCESS)
        self.assertTrue(self.verifies())
        self.assertEqual(self.mount.read("g", "B")[1], b"guest's")

    def test_guest_while_it_starts(self):
        """Both want an engine at the same time, again and again."""
        for i in range(10):
            self.mount.kill_engine("g")
            reader = os.fork()
            if reader == 0:
                (self.mount.vars("g") / f"A-{uvproto.TEST}").read_bytes()
                (self.mount.guest("g") / "secure-boot/summary").read_bytes()
                os._exit(0)
            guest = uvproto.Guest(self.mount.socket("g")).hello()
            self.assertEqual(guest.set("B", uvproto.TEST, data=b"%d" % i), uvproto.SUCCESS)
            self.assertEqual(os.waitpid(reader, 0)[1], 0)
            self.assertEqual(self.mount.read("g", "B")[1], b"%d" % i)
            guest.bye()
            guest.close()


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main()
