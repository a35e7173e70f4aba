#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A store as SOURCE: its engine, socket and lock."""

import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvmount  # noqa: E402
import uvproto  # noqa: E402
from uvmount import variable, wait_until  # noqa: E402

FILE = f"A-{uvproto.TEST}"


class FileSource(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.store = self.scratch.path / "web1_VARS.json"
        self.store.write_text(uvmount.store_text(variable("A", b"a")))

    def write(self, mount, data):
        (mount.path / FILE).write_bytes(uvproto.NV_BS_RT.to_bytes(4, "little") + data)

    def second(self, path):
        mountpoint = self.scratch.path / "second"
        mountpoint.mkdir(exist_ok=True)
        return subprocess.run([str(uvmount.UEFIVARSFS), str(path), str(mountpoint), "-o",
                               f"sockdir={self.scratch.path / 'second.sock'}"],
                              capture_output=True, text=True, check=False)

    def test_life(self):
        mount = self.scratch.mount(self.store, "idle=1")
        self.assertEqual((mount.path / FILE).read_bytes()[4:], b"a")
        self.write(mount, b"one")
        guest = uvproto.Guest(mount.socket("")).hello()
        self.assertEqual(guest.get("A", uvproto.TEST)[2], b"one")
        self.assertEqual(guest.set("A", uvproto.TEST, data=b"two"), uvproto.SUCCESS)
        self.assertEqual((mount.path / FILE).read_bytes()[4:], b"two")
        guest.bye()
        guest.close()
        wait_until(lambda: not mount.engines(), "the idle engine ended", 6)
        self.assertIn(b"two".hex(), self.store.read_text())
        self.write(mount, b"three")
        locks = set(pathlib.Path("/run/uefivarsfs").glob("*.lock"))
        self.assertEqual(mount.stop(), 0)
        if os.geteuid() == 0:
            self.assertTrue(locks - set(pathlib.Path("/run/uefivarsfs").glob("*.lock")))
        self.assertIn(b"three".hex(), self.store.read_text())
        self.assertEqual(mount.engines(), [])

    def test_second_mount(self):
        """Refused, by whatever name, also after the store was replaced by a compaction."""
        link = self.scratch.path / "link.json"
        link.symlink_to(self.store)
        mount = self.scratch.mount(self.store, "idle=1")
        inode = self.store.stat().st_ino
        self.write(mount, b"new")
        wait_until(lambda: self.store.stat().st_ino != inode, "a compaction", 6)
        for path in (self.store, link):
            result = self.second(path)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"mounted already, by uv-monitor (pid {mount.process.pid})",
                          result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1)

    def test_store_is_replaced(self):
        mount = self.scratch.mount(self.store, "idle=60")
        self.write(mount, b"x")
        wait_until(lambda: b"x".hex() in self.store.read_text(), "a compaction", 6)
        new = self.scratch.path / "new"
        new.write_text(uvmount.store_text(variable("A", b"other")))
        os.rename(new, self.store)
        self.assertEqual((mount.path / FILE).read_bytes()[4:], b"other")

    def test_refused(self):
        result = self.second(self.scratch.path / "absent.json")
        self.assertEqual(result.returncode, 1)
        self.assertIn("absent.json", result.stderr)

    def test_not_a_store(self):
        """Exit status 1 and one line with the file, the place and what was expected; nothing touched."""
        for name, text, reason in (
                ("broken.json", b'{"version": 2,\n "variables": [', r":2:\d+: expected"),
                ("random.fd", bytes(range(1, 256)) * 600, ": offset 0x0: neither a JSON store nor"),
                ("zero.fd", bytes(131072), ": offset 0x0: no firmware volume")):
            with self.subTest(name):
                store = self.scratch.path / name
                store.write_bytes(text)
                result = self.second(store)
                self.assertEqual(result.returncode, 1)
                self.assertRegex(result.stderr, f"(?m)^uefivarsfs: {store}{reason}")
                if not uvengine.sanitized():  # the leak check of a confined engine complains
                    self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
                self.assertEqual(store.read_bytes(), text)
                self.assertFalse((self.scratch.path / "second.sock").exists())


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main(verbosity=2)
