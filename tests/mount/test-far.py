#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests in another file system than SOURCE's, which may never answer: nobody else waits for it."""

import contextlib
import os
import pathlib
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvpace  # noqa: E402
from deaffs import DeafFs  # noqa: E402
from uvmount import variable  # noqa: E402

# The most that a guest may be kept waiting for another one.
PATIENCE_S = 0.5
# After that the one in the other file system is answered for.
BOUND_S = 12


def quietly(function, *args):
    with contextlib.suppress(OSError):
        function(*args)


class Far(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        self.store("near/vars.json")
        self.store("deaf/vars.json")
        self.store("file.json")
        self.end_of_threads = contextlib.ExitStack()

    def store(self, name):
        path = self.source / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(uvmount.store_text(variable("V", b"\1")))
        return path

    def deaf(self, name):
        """On this file or folder of SOURCE, until the test's end or close()."""
        stack = contextlib.ExitStack()
        stack.enter_context(DeafFs(self.source / name))
        self.addCleanup(stack.close)
        return stack

    def busy(self, mount, guest, stack):
        """Many who want something of a guest, in threads, until it is answered for."""
        paths = [mount.guest(guest), mount.guest(guest) / "config.json", mount.vars(guest)]
        for path in paths * 4:
            for what in (os.stat, os.listdir, pathlib.Path.read_bytes):
                threading.Thread(target=quietly, args=(what, path), daemon=True).start()
        self.addCleanup(stack.close)  # before the mount's end: threads end

    def check_near(self, mount, seconds):
        """Everything that files of SOURCE can be asked for goes on."""
        end = time.monotonic() + seconds
        slowest, number = 0, 0
        while time.monotonic() < end:
            number += 1
            start = time.monotonic()
            mount.write("near", "V", bytes([number % 256]))
            self.assertEqual(mount.read("near", "V")[1], bytes([number % 256]))
            (mount.guest("near") / "config.json").read_bytes()
            os.utime(self.source / "near")  # it must be looked at again
            os.stat(mount.guest("near"))
            slowest = max(slowest, time.monotonic() - start)
        self.assertLess(slowest, PATIENCE_S * uvpace.factor())
        self.assertGreater(number, 10)
        # The kernel lets nobody make a name in a folder while another one is looked up there.
        start = time.monotonic()
        os.mkdir(mount.guest("new"))
        os.rmdir(mount.guest("new"))
        self.assertLess(time.monotonic() - start, BOUND_S * uvpace.factor())

    def check_bounded(self, mount, guest):
        start = time.monotonic()
        quietly((mount.guest(guest) / "config.json").read_bytes)
        with self.assertRaises(OSError):
            mount.read(guest, "V")
        self.assertLess(time.monotonic() - start, BOUND_S * uvpace.factor())

    def test_mounted_before(self):
        for name in ("deaf", "file.json"):
            with self.subTest(name):
                deaf = self.deaf(name)
                with self.scratch.mount(self.source, name=f"mnt-{name}") as mount:
                    start = time.monotonic()
                    self.assertIn("near", os.listdir(mount.path / "guests"))
                    self.assertLess(time.monotonic() - start, PATIENCE_S * uvpace.factor())
                    guest = name.partition(".")[0]
                    # With libfuse's of Debian 12 the kernel looks up one name a folder at a time.
                    os.stat(mount.guest("near"))
                    self.busy(mount, guest, deaf)
                    self.check_near(mount, 3)
                    self.check_bounded(mount, guest)
                    deaf.close()

    def test_mounted_meanwhile(self):
        """Also below a guest's folder, where its owner may do so."""
        os.mkdir(self.source / "deaf" / ".uefivarsfs")
        for name in ("deaf", "deaf/.uefivarsfs", "deaf/vars.json"):
            with self.subTest(name), self.scratch.mount(
                    self.source, name="mnt-" + name.replace("/", "-")) as mount:
                self.assertEqual(mount.read("deaf", "V")[1], b"\1")
                mount.read("near", "V")
                deaf = self.deaf(name)
                os.utime(self.source)
                self.busy(mount, "deaf", deaf)
                self.check_near(mount, 3)
                deaf.close()
                uvmount.wait_until(lambda m=mount: self.reads(m, "deaf"),
                                   "the guest is served again", 30)

    def reads(self, mount, guest):
        with contextlib.suppress(OSError):
            return mount.read(guest, "V")[1] == b"\1"
        return False

    def test_end_of_the_mount(self):
        """What still waits keeps neither the mount nor SOURCE's lock."""
        deaf = self.deaf("deaf")
        with self.scratch.mount(self.source) as mount:
            self.busy(mount, "deaf", deaf)
            time.sleep(1)
            self.assertEqual(mount.process.poll(), None)
            start = time.monotonic()
            subprocess.run(["umount", "-l", str(mount.path)], check=True)
            mount.process.wait(30)
            self.assertLess(time.monotonic() - start, BOUND_S * uvpace.factor())
            mount.start()
            self.assertEqual(mount.read("near", "V")[1], b"\1")

    def test_tidying(self):
        """Who tidies up in SOURCE, and waits there, keeps not its lock."""
        os.mkdir(self.source / ".uefivarsfs")
        self.deaf(".uefivarsfs")
        with self.scratch.mount(self.source) as mount:
            self.assertEqual(mount.read("near", "V")[1], b"\1")
            mount.stop()
            mount.start()
            self.assertEqual(mount.read("near", "V")[1], b"\1")

    def test_bind_mount(self):
        """One that answers: everything works there."""
        elsewhere = self.scratch.path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "vars.json").write_text(uvmount.store_text(variable("V", b"\2")))
        (elsewhere / "single.json").write_text(uvmount.store_text(variable("V", b"\3")))
        for name, what in (("deaf", elsewhere), ("file.json", elsewhere / "single.json")):
            subprocess.run(["mount", "--bind", str(what), str(self.source / name)], check=True)
            self.addCleanup(subprocess.run, ["umount", "-l", str(self.source / name)], check=False)
        with self.scratch.mount(self.source) as mount:
            for guest, data in (("deaf", b"\2"), ("file", b"\3")):
                self.assertEqual(mount.read(guest, "V")[1], data)
                mount.write(guest, "V", b"\7" + data)
                self.assertEqual(mount.read(guest, "V")[1], b"\7" + data)
            config = mount.guest("deaf") / "config.json"
            config.write_text('{"size": 65536}\n')
            self.assertEqual((elsewhere / "config.json").read_text(), '{"size": 65536}\n')
            self.assertEqual(mount.status("deaf")["guest"], "deaf")
        self.assertIn("0702", (elsewhere / "vars.json").read_text())
        self.assertIn("0703", (elsewhere / "single.json").read_text())


if __name__ == "__main__":
    uvmount.need_mount()
    if os.geteuid() != 0:
        uvmount.skip("mounting wants root")
    unittest.main()
