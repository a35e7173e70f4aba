#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever the mount refuses leaves its reason: in last-refusal of status.json, and in an extended
attribute of the file and of the folders above it. What succeeds takes it away."""

import calendar
import contextlib
import errno
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402
import uvsign  # noqa: E402
from uvmount import variable  # noqa: E402

GUID = uvproto.TEST
DB = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
ATTRIBUTE = "user.uefivars.refusal"


def content(data, attributes=7):
    return struct.pack("<I", attributes) + data


def put(path, data, flags=os.O_WRONLY | os.O_CREAT):
    """One write(2)."""
    fd = os.open(path, flags, 0o644)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def told(path):
    """The attribute's value, or None."""
    try:
        return os.getxattr(path, ATTRIBUTE).decode()
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return None


class RefusalTest(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        for name in ("vm", "other"):
            (self.source / f"{name}.json").write_text(uvmount.store_text(
                variable("Alpha", b"alpha"), variable("Beta", b"beta")))
        self.mount = self.scratch.mount(self.source)
        self.guest = self.mount.guest("vm")

    def path(self, name="Alpha", guid=GUID):
        return self.guest / "vars" / f"{name}-{guid}"

    def last(self):
        return self.mount.status("vm").get("last-refusal")

    def refused(self, number, file, operation, text, function, *arguments, **kwargs):
        """The call fails, and the refusal is told as it should be."""
        with self.assertRaises(OSError) as caught:
            function(*arguments, **kwargs)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[number])
        last = self.last()
        self.assertEqual((last["file"], last["operation"], last["errno"]),
                         (file, operation, errno.errorcode[number]))
        self.assertRegex(last["text"], text)
        age = time.time() - calendar.timegm(time.strptime(last["time"], "%Y-%m-%dT%H:%M:%SZ"))
        self.assertLess(abs(age), 60)
        if file.startswith("vars/"):
            self.assertEqual(last["variable"], file[len("vars/"):])
        else:
            self.assertNotIn("variable", last)
        path = self.guest / file
        if path.exists():
            self.assertIn(f"{operation} {file}: {errno.errorcode[number]}: {last['text']}",
                          told(path))
        self.assertEqual(told(self.guest), told(path) if path.exists() else told(path.parent))


class Variables(RefusalTest):
    def test_writes(self):
        alpha = f"vars/Alpha-{GUID}"
        self.assertIsNone(self.last())
        self.assertIsNone(told(self.path()))
        for number, text, data in (
                (errno.EINVAL, "shorter than the four bytes", b"abc"),
                (errno.EINVAL, "unknown attribute", content(b"x", 0x87)),
                (errno.EINVAL, "more than 65536 bytes", content(bytes(65537))),
                (errno.EINVAL, "attributes", content(b"x", 3))):
            self.refused(number, alpha, "write", text, put, self.path(), data)
        fd = os.open(self.path(), os.O_WRONLY)
        os.write(fd, content(b"one"))
        self.assertIsNone(self.last())
        self.refused(errno.EFBIG, alpha, "write", "one write", os.write, fd, content(b"two"))
        os.close(fd)
        self.assertIsNotNone(self.last())

    def test_new_variables(self):
        """No file is left to ask: its folder tells."""
        new = f"vars/New-{GUID}"
        self.refused(errno.EPERM, new, "write", ".", put, self.path("New"), content(b"x", 6))
        self.assertIn(f"write {new}: EPERM", told(self.guest / "vars"))
        self.refused(errno.EINVAL, "vars/Boot0007-8be4df61-93ca-11d2-aa0d-00e098032b8", "create",
                     "NAME-GUID", put,
                     self.guest / "vars" / "Boot0007-8be4df61-93ca-11d2-aa0d-00e098032b8", b"x")

    def test_success_clears(self):
        """On the same variable, however it is spelled and done; on no other."""
        done = (lambda: put(self.path(), content(b"new")),
                lambda: put(self.path(guid=GUID.upper()), content(b"newer")),
                lambda: os.unlink(self.path()),
                lambda: self.staged(".Alpha.XyZ123", content(b"staged")))
        for succeed in done:
            with contextlib.suppress(OSError):
                put(self.path(), content(b"x", 3))
            self.assertIsNotNone(self.last())
            put(self.path("Beta"), content(b"new"))
            self.assertEqual(self.last()["file"], f"vars/Alpha-{GUID}")
            self.assertIsNone(told(self.path("Beta")))
            succeed()
            self.assertIsNone(self.last())
            self.assertIsNone(told(self.guest))
            put(self.path(), content(b"alpha"))

    def test_opening_clears_nothing(self):
        with contextlib.suppress(OSError):
            put(self.path(), content(b"x", 3))
        os.close(os.open(self.path(), os.O_WRONLY))
        os.utime(self.path())
        self.path().read_bytes()
        self.assertEqual(self.last()["operation"], "write")

    def test_two_of_them(self):
        """The last that is not made good."""
        for name in ("Alpha", "Beta"):
            with contextlib.suppress(OSError):
                put(self.path(name), content(b"x", 3))
        self.assertEqual(self.last()["file"], f"vars/Beta-{GUID}")
        put(self.path("Beta"), content(b"x"))
        self.assertEqual(self.last()["file"], f"vars/Alpha-{GUID}")

    def staged(self, name, data):
        path = self.guest / "vars" / name
        path.write_bytes(data)
        os.rename(path, self.path())

    def test_staging(self):
        alpha = f"vars/Alpha-{GUID}"
        self.refused(errno.EINVAL, alpha, "rename", "attributes", self.staged, ".Alpha.XyZ123",
                     content(b"x", 3))
        staged = self.guest / "vars" / ".Alpha.abcdef"
        self.refused(errno.EFBIG, "vars/.Alpha.abcdef", "write", ".", staged.write_bytes,
                     bytes(200 * 1024))
        self.refused(errno.EINVAL, "vars/Alpha", "rename", "NAME-GUID", os.rename, staged,
                     self.guest / "vars" / "Alpha")
        self.staged(".Alpha.uvwxyz", content(b"y"))
        self.assertEqual(self.last()["file"], "vars/Alpha")

    def test_other_operations(self):
        alpha, vars_ = f"vars/Alpha-{GUID}", self.guest / "vars"
        self.refused(errno.EPERM, "vars/x", "rename", "renamed", os.rename, self.path(),
                     vars_ / "x")
        self.refused(errno.EXDEV, alpha, "rename", "another folder", os.rename,
                     self.mount.guest("other") / alpha, self.path())
        self.refused(errno.EPERM, "vars/y", "mkdir", "folder", os.mkdir, vars_ / "y")
        self.refused(errno.EPERM, "vars/z", "symlink", "links", os.symlink, "t", vars_ / "z")
        self.refused(errno.EPERM, "vars/l", "link", "links", os.link, self.path(), vars_ / "l")
        self.refused(errno.EPERM, "vars/f", "mknod", "special", os.mkfifo, vars_ / "f")
        self.refused(errno.EROFS, f"vars/SetupMode-{uvproto.GLOBAL}", "unlink", "service owns",
                     os.unlink, self.path("SetupMode", uvproto.GLOBAL))
        subprocess.run(["chattr", "+i", self.path()], check=True)
        self.refused(errno.EPERM, alpha, "open", "immutable", put, self.path(), content(b"x"))
        self.refused(errno.EPERM, alpha, "unlink", "immutable", os.unlink, self.path())
        subprocess.run(["chattr", "-i", self.path()], check=True)
        put(self.path(), content(b"x"))
        self.assertIsNone(told(self.path()))

    def test_signed(self):
        key = uvsign.Key("signer")
        os.unlink(self.path())
        put(self.path(), content(uvsign.write(key, "Alpha", GUID, b"own", attributes=0x27), 0x27))
        alpha = f"vars/Alpha-{GUID}"
        got = subprocess.run(["sh", "-c", f"printf '\\47\\0\\0\\0' > {self.path()}"],
                             capture_output=True, check=False)
        self.assertNotEqual(got.returncode, 0)
        self.assertEqual((self.last()["file"], self.last()["errno"]), (alpha, "EACCES"))


    def test_rm_of_what_a_signature_guards(self):
        """rm -f passes over EINVAL and says it was done."""
        key = uvsign.Key("owner")
        own = self.path("Own")
        put(own, content(uvsign.write(key, "Own", GUID, b"own", attributes=0x27), 0x27))
        paths = [own]
        for name in ("db", "KEK", "PK"):
            put(self.guest / "secure-boot" / name / "replace", key.pem.read_bytes())
            paths.append(self.path(name, DB if name == "db" else uvproto.GLOBAL))
        for path in paths:
            got = subprocess.run(["rm", "-f", path], capture_output=True, text=True, check=False)
            self.assertEqual(got.returncode, 1, path)
            self.assertIn("Permission denied", got.stderr)
            self.assertTrue(path.exists())
            self.assertEqual((self.last()["file"], self.last()["operation"], self.last()["errno"]),
                             (f"vars/{path.name}", "unlink", "EACCES"))


class Others(RefusalTest):
    def test_control_files(self):
        config, store = self.guest / "config.json", self.guest / "store.json"
        self.refused(errno.EINVAL, "config.json", "write", "config.json:1: colour: unknown key", put, config,
                     b'{"colour": "red"}')
        put(config, b'{"architecture": "x86_64"}')
        self.assertIsNone(self.last())
        self.refused(errno.EINVAL, "store.json", "write", "version", put, store, b'{"version": 9}')
        put(store, uvmount.store_text(variable("Gamma")).encode())
        self.assertIsNone(self.last())
        put(config, b'{"architecture": ')
        self.assertEqual((self.last()["file"], self.last()["operation"]), ("config.json", "close"))
        self.assertIn("complete", self.last()["text"])
        put(config, b"{}")
        self.assertIsNone(self.last())
        self.refused(errno.EPERM, "status.json", "unlink", "generated", os.unlink,
                     self.guest / "status.json")
        self.refused(errno.EPERM, "x", "mkdir", "folder", os.mkdir, self.guest / "x")
        self.refused(errno.EPERM, "changes", "open", "record", put, self.guest / "changes", b"x")

    def test_firmware(self):
        instantiate = self.guest / "firmware" / "instantiate"
        self.refused(errno.EEXIST, "firmware/instantiate", "write", "factory", put, instantiate,
                     b"1\n")
        self.refused(errno.EINVAL, "firmware/instantiate", "write", "expected 1", put, instantiate,
                     b"2\n")

    def test_views(self):
        boot = self.guest / "boot"
        self.refused(errno.EINVAL, "boot/order", "write", ".", put, boot / "order", b"0007\n")
        self.assertIn("boot/order", told(boot))
        put(boot / "timeout", b"5\n")
        self.assertEqual(self.last()["file"], "boot/order")
        put(boot / "order", b"\n")
        self.assertIsNone(self.last())
        self.refused(errno.EINVAL, "boot/zzzz", "mkdir", ".", os.mkdir, boot / "zzzz")
        self.refused(errno.EPERM, "boot/summary", "write", "made of the guest's variables", put,
                     boot / "summary", b"x")
        self.refused(errno.EINVAL, "secure-boot/enroll", "write", "nobody", put,
                     self.guest / "secure-boot" / "enroll", b"nobody\n")

    def test_guests(self):
        guests = self.mount.path / "guests"
        with self.assertRaises(OSError) as caught:
            os.mkdir(guests / "b.config.json")
        self.assertEqual(caught.exception.errno, errno.EINVAL)
        self.assertRegex(told(guests), "mkdir guests/b.config.json: EINVAL: ")
        os.mkdir(guests / "b")
        os.rmdir(guests / "b")
        self.assertIsNotNone(told(guests))
        self.refused(errno.ENOTEMPTY, ".", "rmdir", ".", os.rmdir, self.guest)
        self.refused(errno.EEXIST, ".", "rename", ".", os.rename, self.guest, guests / "other")

    def test_reading_is_no_refusal(self):
        for path in (self.path("Missing"), self.guest / "missing", self.guest / "boot" / "9999"):
            with self.assertRaises(FileNotFoundError):
                path.read_bytes()
            with self.assertRaises(FileNotFoundError):
                os.unlink(path)
        self.assertIsNone(self.last())


class Attribute(RefusalTest):
    """Answered by name, never listed: who copies attributes sees none."""

    def setUp(self):
        super().setUp()
        with contextlib.suppress(OSError):
            put(self.path(), content(b"x", 3))

    def test_getfattr(self):
        uvmount.need("getfattr")
        value = subprocess.run(["getfattr", "--absolute-names", "--only-values", "-n", ATTRIBUTE,
                                self.path()], capture_output=True, text=True, check=True).stdout
        self.assertRegex(value, rf"^\S+Z write vars/Alpha-{GUID}: EINVAL: ")
        listed = subprocess.run(["getfattr", "-d", "-m", "-", self.path()], capture_output=True,
                                text=True, check=True)
        self.assertEqual(listed.stdout + listed.stderr, "")
        self.assertEqual(os.listxattr(self.path()), [])
        for name, number in (("user.other", errno.ENODATA), ("security.selinux", errno.EOPNOTSUPP),
                             ("system.posix_acl_access", errno.EOPNOTSUPP)):
            with self.assertRaises(OSError) as caught:
                os.getxattr(self.path(), name)
            self.assertEqual(caught.exception.errno, number, name)

    def test_who_lists_asks_once(self):
        """ls -l asks for labels and access lists: of one file, not of each."""
        uvmount.need("strace")
        for i in range(20):
            self.mount.write("vm", f"More{i}", b"x")
        trace = self.scratch.path / "trace"
        subprocess.run(["strace", "-o", trace, "-e", "trace=getxattr,lgetxattr,fgetxattr", "ls", "-l",
                        self.path().parent], check=True, stdout=subprocess.DEVNULL)
        asked = [line for line in trace.read_text().splitlines() if "getxattr(" in line]
        self.assertLess(len(asked), 10, asked)

    def test_short_buffer(self):
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        buffer = ctypes.create_string_buffer(8)
        got = libc.getxattr(os.fsencode(self.path()), ATTRIBUTE.encode(), buffer, 8)
        self.assertEqual((got, ctypes.get_errno()), (-1, errno.ERANGE))

    def test_archivers(self):
        out = self.scratch.path / "out"
        out.mkdir()
        for command in (f"tar --xattrs --xattrs-include='*' -cf {out}/vm.tar -C {self.guest} vars",
                        f"mkdir {out}/x && tar --xattrs -xf {out}/vm.tar -C {out}/x",
                        f"rsync -aX {self.guest}/vars/ {out}/r/",
                        f"cp -a {self.guest}/vars {out}/c"):
            if not shutil.which(re.match(r"\w+", command)[0]):
                continue
            got = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
            self.assertEqual((got.returncode, got.stderr), (0, ""), command)
        for path in out.glob(f"*/**/Alpha-{GUID}"):
            self.assertEqual(os.listxattr(path), [])


class FileSource(unittest.TestCase):
    """There is no status.json: the attribute tells."""

    def test_attribute(self):
        with uvmount.Scratch() as scratch:
            store = scratch.path / "vars.json"
            store.write_text(uvmount.store_text(variable("Alpha", b"alpha")))
            mount = scratch.mount(store)
            path = mount.path / f"Alpha-{GUID}"
            with self.assertRaises(OSError):
                put(path, b"abc")
            for place in (path, mount.path):
                self.assertRegex(told(place), f"write Alpha-{GUID}: EINVAL: shorter")


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main()
