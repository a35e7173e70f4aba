#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What programs may do with the files of a mount and seldom do: each has its errno, and loses nothing."""

import errno
import fcntl
import os
import pathlib
import select
import shutil
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402
from uvmount import variable  # noqa: E402

GUID = uvproto.TEST
FSGETXATTR, FSSETXATTR, SETFLAGS = 0x801C581F, 0x401C5820, 0x40086602
XFLAG_IMMUTABLE, XFLAG_APPEND, FL_IMMUTABLE = 0x8, 0x10, 0x10
FLASH = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
WHOLE_STORE = 80 << 20  # more than a store may have
VARIABLE = 128 << 10    # what a staging file in vars/ may have


class OddUses(unittest.TestCase):
    def setUp(self):
        uvmount.need_mount()
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        (self.source / "vm.json").write_text(uvmount.store_text(variable("Alpha", b"alpha")))
        if FLASH.exists():
            shutil.copy(FLASH, self.source / "flash.fd")
        self.mount = self.scratch.mount(self.source)
        self.guest = self.mount.guest("vm")
        self.alpha = self.mount.vars("vm") / f"Alpha-{GUID}"

    def fails(self, number, function, *arguments, **kwargs):
        with self.assertRaises(OSError) as caught:
            function(*arguments, **kwargs)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[number])

    def open(self, path, flags=os.O_RDWR | os.O_CREAT):
        fd = os.open(path, flags, 0o644)
        self.addCleanup(os.close, fd)
        return fd

    def refusal(self, guest="vm"):
        return self.mount.status(guest)["last-refusal"]

    def test_staging_names(self):
        """One takes another's place, and no generated file's."""
        for folder in (self.guest, self.guest / "vars", self.guest / "firmware"):
            with self.subTest(folder=folder):
                one, other = folder / ".one", folder / ".other"
                one.write_bytes(b"one")
                other.write_bytes(b"other")
                os.rename(one, other)
                self.assertEqual(other.read_bytes(), b"one")
                self.assertFalse(one.exists())
                self.fails(errno.EINVAL, os.rename, other, folder / "no name of any")
                self.assertEqual(other.read_bytes(), b"one")
                os.unlink(other)
                self.fails(errno.ENOENT, os.unlink, other)
        for name in ("status.json", "vars", "boot"):
            with self.assertRaises(OSError):
                os.rename(self.guest / name, self.guest / ".other")
        self.assertEqual(self.alpha.read_bytes(), b"\7\0\0\0alpha")

    def test_staging_sizes(self):
        small = self.open(self.guest / "vars/.small")
        self.fails(errno.EFBIG, os.ftruncate, small, VARIABLE + 1)
        self.fails(errno.EFBIG, os.pwrite, small, b"x", VARIABLE + 1)
        self.fails(errno.EFBIG, os.pwrite, small, b"xx", VARIABLE - 1)
        self.assertEqual(os.fstat(small).st_size, 0)
        large, second = self.open(self.guest / ".large"), self.open(self.guest / ".second")
        self.fails(errno.EFBIG, os.ftruncate, large, WHOLE_STORE)
        os.ftruncate(large, 64 << 20)
        self.fails(errno.ENOSPC, os.ftruncate, second, 64 << 20)
        os.ftruncate(large, 0)
        os.ftruncate(second, 1 << 20)
        self.assertEqual(os.fstat(second).st_size, 1 << 20)

    def test_staging_times(self):
        path = self.guest / ".timed"
        path.write_bytes(b"x")
        os.utime(path, ns=(0, 5))
        self.assertEqual(os.stat(path).st_mtime_ns, 5)
        os.utime(path)
        self.assertGreater(os.stat(path).st_mtime_ns, 10**18)
        for before_1970 in (-1, -1500000001):
            os.utime(path, ns=(0, before_1970))
            self.assertEqual(os.stat(path).st_mtime_ns, before_1970)

    def test_links_and_folders(self):
        link = self.guest / ".link"
        os.symlink("where", link)
        self.assertEqual(os.readlink(link), "where")
        self.fails(errno.EEXIST, os.symlink, "again", link)
        os.unlink(link)
        for folder in (self.guest, self.guest / "firmware", self.mount.path / "firmware", self.mount.path):
            with self.subTest(folder=folder):
                for make in (lambda path: os.symlink("x", path), os.mkdir, lambda path: open(path, "xb")):
                    with self.assertRaises(OSError) as caught:
                        make(folder / "other")
                    self.assertIn(caught.exception.errno, (errno.EPERM, errno.EINVAL))
                self.assertFalse((folder / "other").exists())
        self.fails(errno.EPERM, os.unlink, self.guest / "status.json")
        self.fails(errno.EPERM, os.unlink, self.guest / "firmware/why")

    def test_root(self):
        """Times and modes of what is generated are taken and ignored, as who restores a backup wants it."""
        for path in (self.mount.path, self.mount.path / "guests", self.mount.path / "firmware"):
            mode = os.stat(path).st_mode
            os.utime(path, ns=(0, 0))
            os.chmod(path, 0o700)
            self.assertEqual(os.stat(path).st_mode, mode)
            self.assertGreater(os.statvfs(path).f_namemax, 200)

    def extended(self, path, flags, project=0):
        fcntl.ioctl(self.open(path, os.O_RDONLY), FSSETXATTR, struct.pack("<IIIII8x", flags, 0, 0, project, 0))

    def test_flags(self):
        """In the newer of the two shapes that Linux has for them."""
        self.extended(self.alpha, XFLAG_IMMUTABLE)
        got = fcntl.ioctl(self.open(self.alpha, os.O_RDONLY), FSGETXATTR, bytes(28))
        self.assertEqual(struct.unpack_from("<I", got)[0], XFLAG_IMMUTABLE)
        self.fails(errno.EPERM, os.unlink, self.alpha)
        self.fails(errno.EOPNOTSUPP, self.extended, self.alpha, XFLAG_APPEND)
        self.fails(errno.EOPNOTSUPP, self.extended, self.alpha, XFLAG_IMMUTABLE, project=5)
        self.extended(self.alpha, 0)
        os.unlink(self.alpha)
        for other in (self.guest / "status.json", self.guest / "vars", self.guest):
            self.fails(errno.EOPNOTSUPP, fcntl.ioctl, self.open(other, os.O_RDONLY), SETFLAGS,
                       struct.pack("<Q", FL_IMMUTABLE))
            self.fails(errno.EOPNOTSUPP, self.extended, other, XFLAG_IMMUTABLE)
            self.extended(other, 0)

    def test_poll(self):
        """What has no news to tell is always ready."""
        for name in ("status.json", f"vars/{self.alpha.name}", "firmware/why", "boot/summary"):
            poller = select.poll()
            poller.register(self.open(self.guest / name, os.O_RDONLY), select.POLLIN)
            self.assertTrue(poller.poll(10000), name)

    def test_config_written_over_and_over(self):
        fd = self.open(self.guest / "config.json", os.O_WRONLY)
        with self.assertRaises(OSError) as caught:
            for _ in range(1000):
                os.pwrite(fd, b'{"architecture": "x86_64",' + b" " * 60000, 0)
        self.assertEqual(caught.exception.errno, errno.EINVAL)
        self.assertIn("too often", self.refusal()["text"])
        self.fails(errno.EINVAL, os.pwrite, fd, b"}", 70000)  # a gap
        self.assertFalse((self.source / "vm.config.json").exists())

    def flash(self):
        if not FLASH.exists():
            self.skipTest("no flash image")
        return self.mount.guest("flash") / "store.img"

    def write_image(self, content):
        fd = os.open(self.flash(), os.O_WRONLY)
        try:
            os.write(fd, content)
        finally:
            os.close(fd)

    def test_image_that_is_none(self):
        before = (self.source / "flash.fd").read_bytes()
        for content, text in ((b"no image", "neither a flash image nor a qcow2 image"),
                              (b"QFI\xfb" + struct.pack(">I", 3) + bytes(600), "another format")):
            with self.subTest(text=text):
                self.fails(errno.EINVAL, self.write_image, content)
                self.assertIn(text.split(" ", maxsplit=1)[0], self.refusal("flash")["text"])
        self.assertEqual((self.source / "flash.fd").read_bytes(), before)

    def test_image_that_is_too_large(self):
        fd = self.open(self.flash(), os.O_WRONLY)
        self.fails(errno.EFBIG, os.pwrite, fd, b"x", WHOLE_STORE)
        self.assertIn("too large", self.refusal("flash")["text"])

    def test_image_with_a_guest(self):
        image = self.flash().read_bytes()
        with uvproto.Guest(self.mount.socket("flash")).hello():
            self.fails(errno.EBUSY, self.write_image, image[:-1] + bytes([image[-1] ^ 1]))
            self.assertIn("a guest is connected", self.refusal("flash")["text"])


if __name__ == "__main__":
    unittest.main()
