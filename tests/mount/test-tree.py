#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The mounted variables, held against efivarfs: names, writes, deletion, errors, flags, times,
staging files, and both doors seeing each other's writes."""

import errno
import fcntl
import json
import os
import pathlib
import shutil
import stat
import struct
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402
import uvsign  # noqa: E402
from uvmount import variable, wait_until  # noqa: E402

GUID = uvproto.TEST
GLOBAL = uvproto.GLOBAL
RANDOM_SEED = "1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b"
RUNTIME_FILE = "b2ac5fc9-92b7-4acd-aeac-11e818c3130c"
NV_BS = 3
NV_BS_RT = 7
GETFLAGS = 0x80086601
SETFLAGS = 0x40086602
IMMUTABLE = 0x10
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2


def content(data, attributes=NV_BS_RT):
    return struct.pack("<I", attributes) + data


def put(path, data, flags=os.O_WRONLY | os.O_CREAT):
    """One write(2)."""
    fd = os.open(path, flags, 0o644)
    try:
        return os.write(fd, data)
    finally:
        os.close(fd)


def rename2(old, new, flags):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class TreeTest(unittest.TestCase):
    options = ()
    variables = (variable("Alpha", b"alpha"), variable("Beta", b"beta", NV_BS),
                 variable("Boot0000", b"\0" * 4, guid=GUID))

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        self.store = self.source / "vm.json"
        self.store.write_text(uvmount.store_text(*self.variables))
        self.mount = self.scratch.mount(self.source, *self.options)
        self.vars = self.mount.vars("vm")

    def path(self, name, guid=GUID):
        return self.vars / f"{name}-{guid}"

    def fails(self, number, function, *arguments, **kwargs):
        with self.assertRaises(OSError) as caught:
            function(*arguments, **kwargs)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[number])

    def listed(self):
        return sorted(os.listdir(self.vars))

    def in_list(self, name, guid=GUID):
        return f"{name}-{guid}" in self.listed()


class Names(TreeTest):
    variables = TreeTest.variables + (
        variable("a/b"), variable("100%41"), variable("Grüße ✓"), variable(" space "),
        variable("Seed", guid=RANDOM_SEED),
        variable("RTStorageVolatile", b"../../tmp/chosen by the guest\0", guid=RUNTIME_FILE),
        variable("VarToFile", b"chosen by the guest", guid=RUNTIME_FILE),
        variable("Other", guid=RUNTIME_FILE))

    def test_listing(self):
        for name in ("Alpha", "a%2Fb", "100%2541", "Grüße ✓", " space "):
            self.assertTrue(self.in_list(name), name)
            self.assertTrue(self.path(name).exists(), name)
        for name in self.listed():
            self.assertRegex(name, r"^.+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

    def test_case(self):
        upper = self.path("Alpha", GUID.upper())
        self.assertEqual(upper.read_bytes(), content(b"alpha"))
        self.assertEqual(os.stat(upper).st_ino, os.stat(self.path("Alpha")).st_ino)
        self.assertFalse(self.path("ALPHA").exists())
        put(self.path("Made", GUID.upper()), content(b"x"))
        self.assertTrue(self.in_list("Made"))

    def test_random_seed(self):
        self.assertNotIn(RANDOM_SEED, " ".join(self.listed()))
        self.assertFalse(self.path("Seed", RANDOM_SEED).exists())
        self.fails(errno.EPERM, put, self.path("New", RANDOM_SEED), content(b"x"))

    def test_what_host_tools_act_on(self):
        """libefivar writes what a guest put there into a file of the host."""
        self.assertTrue(self.in_list("Other", RUNTIME_FILE))
        for name in ("RTStorageVolatile", "VarToFile"):
            path = self.path(name, RUNTIME_FILE)
            self.assertFalse(self.in_list(name, RUNTIME_FILE))
            self.assertFalse(path.exists())
            self.assertFalse(self.path(name, RUNTIME_FILE.upper()).exists())
            self.fails(errno.EPERM, put, path, content(b"x"))
            staged = self.vars / f".{name}.XyZ123"
            staged.write_bytes(content(b"x"))
            self.fails(errno.EPERM, os.rename, staged, path)
        text = json.loads((self.mount.guest("vm") / "store.json").read_text())
        self.assertIn("VarToFile", [v["name"] for v in text["variables"]])

    def test_created_names_come_back(self):
        for name in ("ü", "x%2Fy", "-", "a-b"):
            put(self.path(name), content(b"x"))
            self.assertTrue(self.in_list(name), name)
        self.mount.stop()
        self.mount.start()
        self.assertTrue(self.in_list("x%2Fy"))

    def test_other_names(self):
        self.fails(errno.ENOENT, os.stat, self.vars / "nothing")
        self.fails(errno.ENAMETOOLONG, os.stat, self.vars / ("x" * 256))
        put(self.path("y" * 218), content(b"x"))
        self.assertTrue(self.in_list("y" * 218))


class Writing(TreeTest):
    def test_single_write(self):
        path = self.path("Test")
        put(path, content(b"hello"))
        self.assertEqual(path.read_bytes(), content(b"hello"))
        st = os.stat(path)
        self.assertEqual((st.st_size, st.st_nlink, stat.S_IMODE(st.st_mode)), (9, 1, 0o644))
        put(path, content(b"longer than it was"), os.O_WRONLY)
        self.assertEqual(os.stat(path).st_size, 22)
        self.assertTrue(self.in_list("Test"))

    def test_too_large(self):
        """Refused with a reason, whatever its size and way, and nobody else notices."""
        def status():
            return json.loads((self.mount.guest("vm") / "status.json").read_text())
        put(self.path("First"), content(b"x"))
        engine = status()["engine"]["pid"]
        done, failed = threading.Event(), []

        def others():
            number = 0
            while not done.is_set():
                number += 1
                try:
                    put(self.path(f"Other{number % 8}"), content(b"%d" % number))
                except OSError as error:
                    failed.append(error)
        thread = threading.Thread(target=others)
        thread.start()
        for size in (65537, 66000, 69905, 70000, 131072, 131073, 1 << 20, 3 << 20):
            self.fails(errno.EINVAL, put, self.path("Large"), content(bytes(size)))
            self.assertIn("65536 bytes", status()["last-refusal"]["text"])
            self.fails(errno.EINVAL, put, self.path("Alpha"), content(bytes(size)),
                       os.O_WRONLY | os.O_APPEND)
        staged = self.vars / ".Alpha.XyZ123"
        staged.write_bytes(content(bytes(100000)))
        self.fails(errno.EINVAL, os.rename, staged, self.path("Alpha"))
        done.set()
        thread.join()
        self.assertEqual(failed, [])
        self.assertEqual(status()["engine"]["pid"], engine)
        self.assertEqual(self.path("Alpha").read_bytes(), content(b"alpha"))
        self.assertFalse(self.in_list("Large"))

    def shell(self, line):
        return subprocess.run(["bash", "-c", line, "sh", self.path("Alpha")],
                              stderr=subprocess.PIPE, cwd=self.scratch.path)

    def test_attributes_alone_and_more(self):
        """A shell's redirection may be written by several: the value outlives such a mistake."""
        (self.scratch.path / "data").write_bytes(b"rest")
        (self.scratch.path / "attributes").write_bytes(content(b""))
        for first in ("printf '\\7\\0\\0\\0'", "env printf '\\7\\0\\0\\0'", "cat attributes"):
            for into in (">", ">>"):
                got = self.shell(f"({first}; cat data) {into} \"$1\"")
                self.assertNotEqual(got.returncode, 0, (first, into))
                self.assertEqual(self.path("Alpha").read_bytes(), content(b"alpha"))

    def test_attributes_alone(self):
        """They delete: before the shell goes on, at the last close, or at once without a shell."""
        path = self.path("Alpha")
        (self.scratch.path / "attributes").write_bytes(content(b""))
        for line in ("printf '\\7\\0\\0\\0' > \"$1\"", "printf '\\7\\0\\0\\0' >> \"$1\"",
                     "cat attributes > \"$1\"", "env printf '\\7\\0\\0\\0' > \"$1\"",
                     "dd if=attributes of=\"$1\" conv=notrunc status=none"):
            put(path, content(b"alpha"))
            got = self.shell(line + "; test ! -e \"$1\"")
            self.assertEqual((got.returncode, got.stderr), (0, b""), line)
        put(path, content(b"alpha"))
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, content(b""))
        self.assertFalse(path.exists())
        os.close(fd)
        put(path, content(b"alpha"))
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
        if os.fork() == 0:  # whoever opened it is not the one who closes it last
            os.write(fd, content(b""))
            os._exit(0)
        os.wait()
        self.assertEqual(path.read_bytes(), content(b"alpha"))
        os.close(fd)
        self.assertFalse(path.exists())

    def test_attributes_alone_at_the_last_close(self):
        """Who opened it has gone before it is written."""
        path = self.path("Alpha")
        fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
        ours, theirs = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(theirs)
            os.read(ours, 1)
            os.write(fd, content(b""))
            os._exit(0)
        os.close(fd)
        self.assertEqual(path.read_bytes(), content(b"alpha"))
        os.close(theirs)
        os.close(ours)
        os.waitpid(child, 0)
        wait_until(lambda: not path.exists(), "the deletion")

    def test_attributes_alone_refused(self):
        """The write is told, not only the close, which a shell does not look at."""
        private = uvsign.write(uvsign.Key("signer"), "Alpha", GUID, b"own", attributes=0x27)
        os.unlink(self.path("Alpha"))
        put(self.path("Alpha"), content(private, 0x27))
        got = self.shell("printf '\\47\\0\\0\\0' > \"$1\"")
        self.assertNotEqual(got.returncode, 0)
        self.assertIn(b"Permission denied", got.stderr)
        self.assertEqual(self.path("Alpha").read_bytes(), content(b"own", 0x27))

    def test_refusals(self):
        path = self.path("Alpha")
        self.fails(errno.EINVAL, put, path, b"abc")
        self.fails(errno.EINVAL, put, path, content(b"x", 0x80 | NV_BS_RT))
        self.fails(errno.EINVAL, put, path, content(b"x", NV_BS))  # other attributes
        self.fails(errno.EPERM, put, self.path("New"), content(b"x", 6))  # volatile, no guest
        self.fails(errno.EROFS, put, self.path("SetupMode", GLOBAL), content(b"\0", 6))
        self.assertEqual(path.read_bytes(), content(b"alpha"))

    def test_offset_is_ignored(self):
        path = self.path("Alpha")
        fd = os.open(path, os.O_WRONLY)
        os.pwrite(fd, content(b"offset"), 100)
        os.close(fd)
        self.assertEqual(path.read_bytes(), content(b"offset"))
        put(path, content(b"end"), os.O_WRONLY | os.O_APPEND)
        self.assertEqual(path.read_bytes(), content(b"end"))

    def test_a_split_write_sets_no_part(self):
        path = self.path("Alpha")
        fd = os.open(path, os.O_WRONLY)
        os.write(fd, content(b"one"))
        self.fails(errno.EFBIG, os.write, fd, content(b"two"))
        os.close(fd)
        self.assertEqual(path.read_bytes(), content(b"one"))
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(fd, content(b"three"))
        os.write(fd, content(b"four"))
        os.close(fd)
        self.assertEqual(path.read_bytes(), content(b"four"))

    def test_append_attribute(self):
        put(self.path("Alpha"), content(b"+more", NV_BS_RT | 0x40))
        self.assertEqual(self.path("Alpha").read_bytes(), content(b"alpha+more"))
        self.assertEqual(os.stat(self.path("Alpha")).st_size, 14)

    def test_sizes(self):
        largest = 65536 - 24 - 16 - 36 - 2 * (len("Big") + 1)
        put(self.path("Big"), content(b"x" * largest))
        self.assertEqual(len(self.path("Big").read_bytes()), largest + 4)
        self.fails(errno.EINVAL, put, self.path("Big"), content(b"x" * (largest + 1)))
        self.fails(errno.EINVAL, put, self.path("Big"), content(b"x" * 1000000))

    def test_truncation_changes_nothing(self):
        path = self.path("Alpha")
        os.truncate(path, 0)
        os.truncate(path, 1000)
        os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
        self.assertEqual(os.stat(path).st_size, 9)
        self.assertEqual(path.read_bytes(), content(b"alpha"))
        path.write_bytes(content(b"by O_TRUNC"))
        self.assertEqual(path.read_bytes(), content(b"by O_TRUNC"))

    def test_zero_length_files(self):
        path = self.path("Empty")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        self.assertEqual(os.read(fd, 10), b"")
        self.assertEqual(os.fstat(fd).st_size, 0)
        self.fails(errno.EEXIST, os.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self.assertFalse(self.in_list("Empty"))
        os.close(fd)
        wait_until(lambda: not path.exists(), "the empty file is dropped")
        path.touch()
        wait_until(lambda: not path.exists(), "touch left nothing")

    def test_deletion_by_write(self):
        path = self.path("Alpha")
        fd = os.open(path, os.O_RDWR)
        os.write(fd, content(b""))
        self.assertFalse(self.in_list("Alpha"))
        wait_until(lambda: not path.exists(), "the kernel has forgotten the name")
        self.fails(errno.EIO, os.pwrite, fd, content(b"x"), 0)
        self.assertEqual(os.pread(fd, 10, 0), b"")
        self.assertEqual(os.fstat(fd).st_nlink, 0)
        os.close(fd)
        put(path, content(b"again"))
        self.assertEqual(path.read_bytes(), content(b"again"))
        self.fails(errno.EIO, put, self.path("Nothing"), content(b""))

    def test_unlink(self):
        path = self.path("Alpha")
        fd = os.open(path, os.O_RDWR)
        os.unlink(path)
        self.assertFalse(path.exists())
        self.assertFalse(self.in_list("Alpha"))
        self.fails(errno.EIO, os.write, fd, content(b"x"))
        os.close(fd)
        self.fails(errno.ENOENT, os.unlink, path)
        self.fails(errno.EROFS, os.unlink, self.path("SetupMode", GLOBAL))

    def test_other_operations(self):
        path = self.path("Alpha")
        self.fails(errno.EPERM, os.rename, path, self.path("Gamma"))
        self.fails(errno.EPERM, os.link, path, self.vars / "link")
        self.fails(errno.EPERM, os.symlink, "x", self.vars / "link")
        self.fails(errno.EPERM, os.mkdir, self.vars / "folder")
        self.fails(errno.EPERM, os.mkfifo, self.vars / "fifo")
        os.chmod(path, 0o600)
        os.chown(path, 0, 0)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o644)

    def test_reads_are_of_one_content(self):
        path = self.path("Alpha")
        fd = os.open(path, os.O_RDONLY)
        self.assertEqual(os.pread(fd, 4, 0), content(b""))
        put(path, content(b"ALPHABET"))
        self.assertEqual(os.pread(fd, 100, 4), b"alpha")
        self.assertEqual(os.pread(fd, 100, 0), content(b"ALPHABET"))
        os.close(fd)

    def test_times(self):
        path = self.path("Alpha")
        os.utime(path, ns=(0, 981173106123456789))
        self.assertEqual(os.stat(path).st_mtime_ns, 981173106123456789)
        self.mount.stop()
        self.mount.start()
        self.assertEqual(os.stat(path).st_mtime_ns, 981173106123456789)
        put(path, content(b"new"))
        self.assertGreater(os.stat(path).st_mtime_ns, 1e18)

    def test_inode_numbers(self):
        before = {n: os.stat(self.vars / n).st_ino for n in self.listed()}
        self.assertEqual(len(set(before.values())), len(before))
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("2")
        with os.scandir(self.vars) as entries:
            self.assertEqual({e.name: e.inode() for e in entries}, before)
        self.assertEqual({n: os.stat(self.vars / n).st_ino for n in self.listed()}, before)

    def test_statfs(self):
        before = os.statvfs(self.vars)
        self.assertEqual((before.f_bsize, before.f_namemax, before.f_blocks), (1, 255, 262144))
        self.assertEqual(before.f_bavail, before.f_bfree - 5120)
        put(self.path("Space"), content(b"x" * 1000))
        self.assertLess(os.statvfs(self.vars).f_bfree, before.f_bfree - 1000)
        self.assertEqual(os.statvfs(self.mount.path).f_namemax, 255)

    def test_no_space(self):
        for i in range(4):
            put(self.path(f"Big{i}"), content(b"x" * 60000))
        self.fails(errno.ENOSPC, put, self.path("Big4"), content(b"x" * 60000))
        self.assertFalse(self.in_list("Big4"))


class Staging(TreeTest):
    def test_rename_sets(self):
        temporary = self.vars / f".Alpha-{GUID}.aBcDeF"
        put(temporary, content(b"staged"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self.fails(errno.EEXIST, os.open, temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.chmod(temporary, 0o600)
        os.utime(temporary, ns=(0, 981173106000000000))
        self.assertNotIn(temporary.name, self.listed())
        self.assertEqual(temporary.read_bytes(), content(b"staged"))
        os.rename(temporary, self.path("Alpha"))
        self.assertFalse(temporary.exists())
        self.assertEqual(self.path("Alpha").read_bytes(), content(b"staged"))
        self.assertEqual(os.stat(self.path("Alpha")).st_mtime_ns, 981173106000000000)
        put(self.path("Alpha"), content(b"and on"))
        self.assertEqual(self.path("Alpha").read_bytes(), content(b"and on"))
        os.unlink(self.path("Alpha"))
        self.assertFalse(self.path("Alpha").exists())

    def test_rename_makes(self):
        put(self.vars / ".new", content(b"made"))
        os.rename(self.vars / ".new", self.path("Made"))
        self.assertTrue(self.in_list("Made"))
        self.assertEqual(os.stat(self.path("Made")).st_size, 8)

    def test_rename_refused(self):
        put(self.vars / ".new", b"ab")
        self.fails(errno.EINVAL, os.rename, self.vars / ".new", self.path("Alpha"))
        put(self.vars / ".new", content(b"x", NV_BS))
        self.fails(errno.EINVAL, os.rename, self.vars / ".new", self.path("Alpha"))
        self.assertEqual(self.path("Alpha").read_bytes(), content(b"alpha"))
        self.assertEqual((self.vars / ".new").read_bytes(), content(b"x", NV_BS))

    def test_rename_flags(self):
        new = self.vars / ".new"
        put(new, content(b"x"))
        self.fails(errno.EEXIST, rename2, new, self.path("Alpha"), RENAME_NOREPLACE)
        self.fails(errno.EINVAL, rename2, new, self.path("Alpha"), RENAME_EXCHANGE)
        rename2(new, self.path("Fresh"), RENAME_NOREPLACE)
        self.assertEqual(self.path("Fresh").read_bytes(), content(b"x"))

    def test_files(self):
        path = self.vars / ".work"
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, b"end", 10)
        os.fsync(fd)
        self.assertEqual(os.pread(fd, 100, 0), b"\0" * 10 + b"end")
        os.ftruncate(fd, 5)
        self.assertEqual(os.fstat(fd).st_size, 5)
        self.fails(errno.EFBIG, os.pwrite, fd, b"x", 128 * 1024)
        os.close(fd)
        os.rename(path, self.vars / "other~")
        self.assertFalse(path.exists())
        os.unlink(self.vars / "other~")
        self.assertFalse((self.vars / "other~").exists())

    def test_names(self):
        """Those that programs make; what only looks like a variable's is refused at once."""
        name = f"Boot0007-{GLOBAL}"
        for good in (".x", "4913", "x~", "#x#", "sedAbC123", "tmpabc_1", f"{name}.orig",
                     f".{name}.AbC123"):
            put(self.vars / good, b"x")
            os.unlink(self.vars / good)
        for bad in (name[:-1], name + "0", "Boot0007", name.replace("-", "_"), "new", f"{name}."):
            self.fails(errno.EINVAL, put, self.vars / bad, content(b"x"))

    def test_how_many(self):
        for i in range(16):
            put(self.vars / f".file{i}", b"x")
        self.fails(errno.ENOSPC, put, self.vars / ".file16", b"x")
        os.unlink(self.vars / ".file3")
        put(self.vars / ".file16", b"x")

    def test_programs(self):
        path = self.path("Alpha")
        subprocess.run(["sed", "-i", "s/alpha/omega/", path], check=True)
        self.assertEqual(path.read_bytes(), content(b"omega"))
        plain = self.scratch.path / "plain"
        plain.write_bytes(content(b"copied"))
        subprocess.run(["cp", plain, path], check=True)
        subprocess.run(["cp", "-a", plain, self.path("Copy")], check=True)
        self.assertEqual(path.read_bytes(), content(b"copied"))
        self.assertEqual(os.stat(self.path("Copy")).st_mtime_ns, os.stat(plain).st_mtime_ns)
        subprocess.run(["mv", plain, self.path("Moved")], check=True)
        self.assertEqual(self.path("Moved").read_bytes(), content(b"copied"))
        subprocess.run(["sh", "-c", f"printf '\\7\\0\\0\\0sh' > {path}"], check=True)
        self.assertEqual(path.read_bytes(), content(b"sh"))
        subprocess.run(["rm", path], check=True)
        self.assertFalse(path.exists())


class Immutable(TreeTest):
    def flags(self, path, value=None):
        fd = os.open(path, os.O_RDONLY)
        try:
            if value is None:
                return struct.unpack("I", fcntl.ioctl(fd, GETFLAGS, b"\0" * 4))[0]
            fcntl.ioctl(fd, SETFLAGS, struct.pack("I", value))
        finally:
            os.close(fd)

    def test_flag(self):
        path = self.path("Alpha")
        self.assertEqual(self.flags(path), 0)
        self.flags(path, IMMUTABLE)
        self.assertEqual(self.flags(path), IMMUTABLE)
        self.fails(errno.EPERM, put, path, content(b"x"))
        self.fails(errno.EPERM, os.unlink, path)
        put(self.vars / ".new", content(b"x"))
        self.fails(errno.EPERM, os.rename, self.vars / ".new", path)
        self.assertEqual(path.read_bytes(), content(b"alpha"))
        self.fails(errno.EOPNOTSUPP, self.flags, path, 0x20)
        self.flags(path, 0)
        put(path, content(b"x"))
        self.assertEqual(self.flags(self.vars), 0)

    def test_programs(self):
        if not shutil.which("chattr"):
            self.skipTest("no chattr")
        subprocess.run(["chattr", "+i", self.path("Alpha")], check=True)
        out = subprocess.run(["lsattr", self.path("Alpha")], check=True, capture_output=True)
        self.assertIn(b"i", out.stdout.split()[0])
        subprocess.run(["chattr", "-i", self.path("Alpha")], check=True)


class ImmutableAsKernel(Immutable):
    options = ("immutable=kernel",)
    variables = TreeTest.variables + (variable("BootNext", b"\0\0", guid=GLOBAL),)

    def test_flag(self):
        self.assertEqual(self.flags(self.path("Alpha")), IMMUTABLE)
        self.assertEqual(self.flags(self.path("BootNext", GLOBAL)), 0)
        self.fails(errno.EPERM, os.unlink, self.path("Alpha"))
        put(self.path("Made"), content(b"by who creates it"))
        self.fails(errno.EPERM, put, self.path("Made"), content(b"later"))
        self.flags(self.path("Alpha"), 0)
        os.unlink(self.path("Alpha"))


class GuestsView(TreeTest):
    options = ("view=guest",)

    def test_view(self):
        self.assertTrue(self.in_list("Alpha"))
        self.assertFalse(self.in_list("Beta"))
        self.assertFalse(self.path("Beta").exists())
        self.fails(errno.EROFS, put, self.path("Beta"), content(b"x"))
        self.fails(errno.EINVAL, put, self.path("New"), content(b"x", NV_BS))
        put(self.path("New"), content(b"x"))


class Owners(TreeTest):
    options = ("uid=1234", "gid=4321", "umask=077")

    def test_owners(self):
        for path in (self.vars, self.path("Alpha"), self.mount.guest("vm") / "store.json"):
            st = os.lstat(path)
            self.assertEqual((st.st_uid, st.st_gid), (1234, 4321), path)
            self.assertEqual(st.st_mode & 0o077, 0, path)


class BothDoors(TreeTest):
    def setUp(self):
        super().setUp()
        self.guest = uvproto.Guest(self.mount.socket("vm"))
        self.addCleanup(self.guest.close)
        self.guest.hello()

    def test_guest_writes(self):
        path = self.path("Alpha")
        with open(path, "rb") as held:
            for i in range(300):
                data = b"x" * i + b"%d" % i
                self.guest.set("Alpha", GUID, NV_BS_RT, data)
                fd = os.open(path, os.O_RDONLY)
                self.assertEqual(os.fstat(fd).st_size, len(data) + 4)
                self.assertEqual(os.read(fd, 1000), content(data))
                os.close(fd)
            held.seek(0)
            self.assertEqual(held.read(), content(data))

    def test_guest_makes_and_removes(self):
        path = self.path("Flip")
        for _ in range(100):
            self.guest.set("Flip", GUID, NV_BS_RT, b"x")
            self.assertEqual(path.read_bytes(), content(b"x"))
            self.guest.delete("Flip", GUID)
            self.fails(errno.ENOENT, os.open, path, os.O_RDONLY)
            self.assertFalse(self.in_list("Flip"))

    def test_removed_while_open(self):
        fd = os.open(self.path("Alpha"), os.O_RDWR)
        self.guest.delete("Alpha", GUID)
        wait_until(lambda: not self.path("Alpha").exists(), "gone")
        self.fails(errno.EIO, os.write, fd, content(b"x"))
        os.close(fd)

    def test_host_writes(self):
        for i in range(100):
            data = b"%d" % i
            put(self.path("Alpha"), content(data))
            self.assertEqual(self.guest.get("Alpha", GUID)[2], data)

    def test_volatile(self):
        self.guest.set("Volatile", GUID, 6, b"v")
        self.assertEqual(self.path("Volatile").read_bytes(), content(b"v", 6))


class Store(unittest.TestCase):
    """A store as SOURCE: its variables are the root."""

    def test_file(self):
        with uvmount.Scratch() as scratch:
            store = scratch.path / "vm.json"
            store.write_text(uvmount.store_text(variable("Alpha", b"a")))
            mount = scratch.mount(store)
            path = mount.path / f"Alpha-{GUID}"
            self.assertEqual(path.read_bytes(), content(b"a"))
            put(path, content(b"b"))
            self.assertEqual(mount.stop(), 0)
            self.assertIn('"62"', store.read_text())


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main(verbosity=1)
