#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An automount, as systemd makes one of an fstab line: who looks waits, and only the automounter's
process group gets to the mount point meanwhile."""

import ctypes
import fcntl
import os
import pathlib
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402

# linux/auto_fs.h
PACKET_BYTES, PACKET_TOKEN, IOC_READY = 304, 8, 0x9360


class Automount(unittest.TestCase):
    def setUp(self):
        uvmount.need_mount()
        if os.geteuid() != 0 or "autofs" not in pathlib.Path("/proc/filesystems").read_text():
            uvmount.skip("needs root and autofs")
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source, self.at = self.scratch.path / "source", self.scratch.path / "at"
        self.source.mkdir()
        self.at.mkdir()
        (self.source / "vm.json").write_text(uvmount.store_text())
        self.pipe, self.root = self.mount_autofs()

    def mount_autofs(self):
        reader, writer = os.pipe()
        options = f"fd={writer},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"test", bytes(self.at), b"autofs", 0, options.encode()) < 0:
            uvmount.skip(f"autofs: {os.strerror(ctypes.get_errno())}")
        self.addCleanup(subprocess.run, ["umount", "-l", self.at], check=False)
        os.close(writer)
        self.addCleanup(os.close, reader)
        root = os.open(self.at, os.O_RDONLY)
        self.addCleanup(os.close, root)
        return reader, root

    def test_looking_mounts(self):
        looker = subprocess.Popen(["ls", self.at / "guests"], stdout=subprocess.PIPE, text=True,
                                  start_new_session=True)
        self.addCleanup(looker.kill)
        token, = struct.unpack_from("I", os.read(self.pipe, PACKET_BYTES), PACKET_TOKEN)
        done = subprocess.run([uvmount.UEFIVARSFS, self.source, self.at], timeout=10,
                              check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(subprocess.run, ["umount", "-l", self.at], check=False)
        self.assertEqual(done.returncode, 0)
        fcntl.ioctl(self.root, IOC_READY, token)
        self.assertEqual(looker.communicate(timeout=10)[0], "vm\n")


if __name__ == "__main__":
    unittest.main()
