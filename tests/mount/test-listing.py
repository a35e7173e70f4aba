#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who lists a folder is told of its files at once, and asks for none of them again; and what was told
is forgotten when something is changed through the mount."""

import contextlib
import os
import pathlib
import re
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402
from uvmount import variable, wait_until  # noqa: E402


class Listing(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        (self.source / "a.json").write_text(uvmount.store_text(variable("A", b"a")))

    def mount(self, *options):
        return self.scratch.mount(self.source, "idle=60", *options)

    def test_spares_lookups(self):
        mount = self.mount("debug")
        fewest = []

        def listed():
            before = mount.log.stat().st_size
            out = subprocess.run(["find", mount.guest("a"), "-printf", "%s %P\n"], check=True,
                                 stdout=subprocess.PIPE)
            files = out.stdout.count(b"\n")
            fewest.append(len(re.findall(r"opcode: LOOKUP",
                                         mount.log.read_text(errors="replace")[before:])))
            return files > 60 and fewest[-1] < files / 3
        # What was told is kept for a moment, which may be over on a busy machine.
        wait_until(listed, "a listing without lookups", 30)

    def fewest(self, mount, act, opcode, wanted):
        """What was told is kept for a moment, which may be over on a busy machine: of several times."""
        def once():
            before = mount.log.stat().st_size
            act()
            asked = re.findall(rf"opcode: {opcode}\b", mount.log.read_text(errors="replace")[before:])
            return len(asked) <= wanted
        wait_until(once, f"at most {wanted} {opcode}", 30)

    def test_a_guests_folder_tells_its_files(self):
        mount = self.mount("debug")
        self.list(mount.guest("a"))
        self.fewest(mount, lambda: subprocess.run(["ls", "-l", mount.guest("a")], check=True,
                                                  stdout=subprocess.DEVNULL), "LOOKUP", 4)

    def test_folders_are_asked_about_once(self):
        """Not again a second later: whatever changes them is told."""
        mount = self.mount("debug")
        guest = os.open(mount.guest("a"), os.O_PATH)
        self.addCleanup(os.close, guest)
        folders = "vars", "boot", "secure-boot", "secure-boot/db"

        def later():
            time.sleep(1.2)
            for name in folders:
                os.stat(name, dir_fd=guest)

        later()
        self.fewest(mount, later, "(GETATTR|LOOKUP)", 0)

    def test_changes_beside_the_mount_show(self):
        mount = self.mount()
        store, guest = self.source / "a.json", mount.guest("a")
        folders = guest, guest / "vars", guest / "boot"

        def told():
            return [path.stat() for path in folders]

        for mode in 0o600, 0o644, 0o600:
            told()
            store.chmod(mode)
            wait_until(lambda mode=mode: all(st.st_mode & 0o004 == mode & 0o004 for st in told()),
                       f"mode {mode:o}")
        for i in 1, 2:
            told()
            os.utime(store, (1e9 + i, 1e9 + i))
            wait_until(lambda i=i: [int(st.st_mtime) for st in told()] == [1e9 + i] * 3, "the time")
        if os.getuid() == 0:
            told()
            os.chown(store, 1234, 1234)
            wait_until(lambda: all(st.st_uid == 1234 for st in told()), "the owner")
            self.assertEqual((guest / "status.json").stat().st_uid, 1234)

    def sizes_are_right(self, folder):
        """Of what can be read, stat tells the size that reading has."""
        for path in folder.iterdir():
            if path.is_file() and os.access(path, os.R_OK):
                with self.subTest(path=path):
                    self.assertEqual(path.stat().st_size, len(path.read_bytes()))

    @staticmethod
    def list(folder):
        return subprocess.run(["ls", "-lR", folder], check=True, stdout=subprocess.DEVNULL)

    def test_changes_show(self):
        mount = self.mount()
        boot, firmware = mount.guest("a") / "boot", mount.guest("a") / "firmware"
        for i in range(20):
            self.list(mount.guest("a"))
            (boot / "timeout").write_text("7" * (1 + i % 4) + "\n")
            self.sizes_are_right(boot)
            self.list(mount.guest("a"))
            (mount.guest("a") / "config.json").write_text(
                '{"architecture": "x86_64", "machine": "%s"}' % ("q35" if i % 2 else "none-such"))
            self.sizes_are_right(firmware)

    def test_what_goes_is_gone(self):
        boot = self.mount().guest("a") / "boot"
        for _ in range(10):
            (boot / "0007").mkdir()
            self.list(boot)
            self.assertTrue((boot / "0007" / "path").exists())
            (boot / "0007").rmdir()
            self.assertFalse((boot / "0007").exists())
            self.assertFalse((boot / "0007" / "path").exists())

    def many(self, count):
        for i in range(count):
            (self.source / f"g{i:03}.json").write_text("{}")
        mount = self.mount()
        wait_until(lambda: len(os.listdir(mount.sockdir)) > count, "all sockets", 60)
        return mount

    @contextlib.contextmanager
    def traced(self, mount, call):
        """What the front does meanwhile: a function that reads strace's lines."""
        uvmount.need("strace")
        log, pid = self.scratch.path / f"strace-{call}", mount.front_pid()
        strace = subprocess.Popen(["strace", "-qq", "-xx", "-s", "24", "-e", f"trace={call}", "-o", log,
                                   "-p", str(pid)], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: re.search(r"TracerPid:\s+[1-9]", pathlib.Path(
                f"/proc/{pid}/status").read_text()), "strace is there")
            yield log.read_text
        finally:
            strace.terminate()
            strace.wait()

    def test_many_are_looked_at_together(self):
        """Who goes through all guests asks the monitor for looks at many, not for a look at each."""
        count = 600
        mount = self.many(count)
        with self.traced(mount, "sendmsg") as lines:
            for i in range(count):
                mount.guest(f"g{i:03}").stat()
        self.assertLess(lines().count("sendmsg("), count / 4, "questions")

    def test_who_writes_again_and_again(self):
        """The kernel asks for nothing of the variable in between; its folders' times follow."""
        (self.source / "g.json").write_text(uvmount.store_text(variable("V", b"v")))
        mount, count = self.mount(), 50
        path = mount.vars("g") / f"V-{uvproto.TEST}"
        path.stat()
        with self.traced(mount, "read") as lines:
            for i in range(count):
                fd = os.open(path, os.O_WRONLY)
                last = time.time_ns()
                os.write(fd, bytes((7, 0, 0, 0, i)))
                os.close(fd)
        asked = [struct.unpack("<4xI8xQ", bytes.fromhex(line.replace("\\x", ""))) for line in
                 re.findall(r'read\(\d+, "((?:\\x[0-9a-f]{2}){24})', lines())]
        writes = [node for opcode, node in asked if opcode == 16]
        self.assertEqual(len(writes), count)
        self.assertLess(asked.count((3, writes[0])), count / 4, "GETATTR of it")
        for folder in mount.vars("g"), mount.guest("g"):
            wait_until(lambda folder=folder: folder.stat().st_mtime_ns >= last, "its time")


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main()
