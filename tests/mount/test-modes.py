#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may do what on a mount with allow_other: no more than SOURCE lets them do, now and after
its modes changed. As other users, really."""

import errno
import os
import pathlib
import shutil
import stat
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402
from uvmount import variable, wait_until  # noqa: E402

GUID = uvproto.TEST
OWNER, MEMBER, STRANGER = 4242, 4243, 4244
GROUP, OTHER_GROUP = 4250, 4251
FOLLOWED_S = 3  # the kernel may keep the attributes of folders for a second


def as_user(uid, function, *arguments, groups=()):
    """The name of the errno that the call ends with, as that user; "" if it succeeds."""
    child = os.fork()
    if child == 0:
        code = 255
        try:
            os.setgroups(list(groups))
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            function(*arguments)
            code = 0
        except OSError as error:
            code = error.errno
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return errno.errorcode.get(code, str(code)) if code else ""


def read(path, dir_fd=None):
    fd = os.open(path, os.O_RDONLY, dir_fd=dir_fd)
    os.read(fd, 100)
    os.close(fd)


def write(path, dir_fd=None):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=dir_fd)
    os.write(fd, struct.pack("<I", 7) + b"written")
    os.close(fd)


class ModesTest(unittest.TestCase):
    options = ("allow_other",)

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir(mode=0o755)
        self.made = None

    def store(self, name, mode, uid=OWNER, gid=GROUP, folder=None):
        path = (folder or self.source) / f"{name}.json"
        path.write_text(uvmount.store_text(variable("A", b"secret")))
        os.chown(path, uid, gid)
        path.chmod(mode)
        return path

    def mount(self, *options):
        self.made = self.scratch.mount(self.source, *self.options, *options)
        return self.made

    def path(self, guest, name="A"):
        return self.made.vars(guest) / f"{name}-{GUID}"

    def tries(self, uid, guest, groups=()):
        """What that user gets who wants to see the guest's variables, in all the ways there are."""
        return {what: as_user(uid, function, path, groups=groups) for what, function, path in (
            ("variable", read, self.path(guest)), ("list", os.listdir, self.made.vars(guest)),
            ("stat", os.stat, self.path(guest)),
            ("summary", read, self.made.guest(guest) / "secure-boot" / "summary"),
            ("boot", os.listdir, self.made.guest(guest) / "boot"))}

    def reads(self, uid, guest, groups=()):
        """All ways lead to the same."""
        tries = self.tries(uid, guest, groups)
        self.assertEqual(len(set(tries.values())), 1, tries)
        result = tries["variable"]
        self.assertIn(result, ("", "EACCES"))
        return result == ""

    def await_reads(self, uid, guest, result):
        wait_until(lambda: set(self.tries(uid, guest).values()) == {result}, "it is followed",
                   FOLLOWED_S)

    def writes(self, uid, guest, name="A", groups=()):
        result = as_user(uid, write, self.path(guest, name), groups=groups)
        self.assertIn(result, ("", "EACCES"))
        return result == ""


class AsTheStore(ModesTest):
    def test_store(self):
        for name, mode in (("private", 0o600), ("group", 0o640), ("all", 0o644),
                           ("shared", 0o660)):
            self.store(name, mode)
        self.mount()
        for guest, member, stranger in (("private", False, False), ("group", True, False),
                                        ("all", True, True), ("shared", True, False)):
            with self.subTest(guest):
                self.assertTrue(self.reads(OWNER, guest))
                self.assertEqual(self.reads(MEMBER, guest, [GROUP]), member)
                self.assertEqual(self.reads(STRANGER, guest), stranger)
                self.assertEqual(self.reads(STRANGER, guest, [OTHER_GROUP]), stranger)
                self.assertTrue(self.writes(OWNER, guest))
                self.assertEqual(self.writes(MEMBER, guest, groups=[GROUP]), guest == "shared")
                self.assertEqual(self.writes(MEMBER, guest, "New", [GROUP]), guest == "shared")
                self.assertFalse(self.writes(STRANGER, guest))
                for name in ("store.json", "config.json", "status.json", "changes"):
                    self.assertNotEqual(as_user(MEMBER, read, self.made.guest(guest) / name,
                                                groups=[GROUP]), "")
        self.assertEqual(stat.S_IMODE(self.path("shared").stat().st_mode), 0o660)
        self.assertEqual(stat.S_IMODE(self.path("all").stat().st_mode), 0o644)

    def test_views_of_a_shared_store(self):
        """Who may write the store may write what is made of it, and not what it asks for."""
        self.store("shared", 0o660)
        mount = self.mount()
        for file, result in (("boot/timeout", ""), ("config.json", "EACCES"),
                             ("firmware/instantiate", "EACCES"), ("x~", "EACCES")):
            def put(path=mount.guest("shared") / file):
                fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
                os.write(fd, b"5\n")
                os.close(fd)
            self.assertEqual(as_user(MEMBER, put, groups=[GROUP]), result, file)

    def test_folder_of_a_guest(self):
        for name, mode, gid in (("closed", 0o700, GROUP), ("group", 0o750, GROUP),
                                ("others", 0o750, OTHER_GROUP), ("odd", 0o705, OTHER_GROUP),
                                ("open", 0o755, 0)):
            folder = self.source / name
            folder.mkdir()
            os.chown(self.store("vars", 0o644, folder=folder), OWNER, GROUP)
            os.chown(folder, OWNER, gid)
            folder.chmod(mode)
        self.mount()
        for guest, member, stranger in (("closed", False, False), ("group", True, False),
                                        ("others", False, False), ("odd", False, False),
                                        ("open", True, True)):
            with self.subTest(guest):
                self.assertEqual(self.reads(MEMBER, guest, [GROUP]), member)
                self.assertEqual(self.reads(STRANGER, guest, [OTHER_GROUP]), stranger)

    def test_source_and_above(self):
        self.store("all", 0o644)
        for mode, path in ((0o750, self.source), (0o700, self.scratch.path)):
            with self.subTest(oct(mode)):
                before = stat.S_IMODE(path.stat().st_mode)
                mountpoint = pathlib.Path("/run") / f"uefivars-modes-{os.getpid()}"
                path.chmod(mode)
                mount = self.scratch.mount(self.source, *self.options, name=mountpoint)
                try:
                    self.assertEqual(as_user(STRANGER, os.listdir, mount.path / "guests"), "EACCES")
                    self.assertEqual(as_user(STRANGER, read, mount.vars("all") / f"A-{GUID}"),
                                     "EACCES")
                    self.assertNotIn(as_user(OWNER, read, mount.vars("all") / f"A-{GUID}"), "")
                finally:
                    mount.stop()
                    path.chmod(before)
                    mountpoint.rmdir()

    def test_link(self):
        """The folder that root's link leads to counts."""
        elsewhere = self.scratch.path / "elsewhere"
        elsewhere.mkdir()
        self.store("target", 0o644, folder=elsewhere)
        os.symlink(elsewhere / "target.json", self.source / "linked.json")
        self.mount()
        self.assertTrue(self.reads(STRANGER, "linked"))
        elsewhere.chmod(0o700)
        self.await_reads(STRANGER, "linked", "EACCES")

    def test_list_of_the_store(self):
        """The mode's group bits are the most of all that a list (ACL) names, not the group's."""
        if not shutil.which("setfacl"):
            self.skipTest("no setfacl")
        path = self.store("listed", 0o600)
        got = subprocess.run(["setfacl", "-m", f"u:{STRANGER}:r", path], check=False)
        if got.returncode:
            self.skipTest("no lists on this file system")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o640)
        self.mount()
        self.assertFalse(self.reads(MEMBER, "listed", [GROUP]))
        self.assertTrue(self.reads(OWNER, "listed"))


class Followed(ModesTest):
    def gone(self, function):
        wait_until(lambda: not function(), "the change is followed", FOLLOWED_S)

    def test_store_is_closed(self):
        """Also for who stands in the folder, and while its engine runs."""
        path = self.store("vm", 0o644)
        self.mount("idle=60")
        self.assertTrue(self.reads(STRANGER, "vm"))
        folder = os.open(self.made.vars("vm"), os.O_RDONLY)
        self.assertEqual(as_user(STRANGER, read, f"A-{GUID}", folder), "")
        path.chmod(0o600)
        self.gone(lambda: as_user(STRANGER, read, f"A-{GUID}", folder) == "")
        self.await_reads(STRANGER, "vm", "EACCES")
        os.close(folder)
        path.chmod(0o644)
        self.await_reads(STRANGER, "vm", "")

    def test_group_may_write_no_more(self):
        path = self.store("vm", 0o660)
        self.mount("idle=60")
        self.assertTrue(self.writes(MEMBER, "vm", groups=[GROUP]))
        path.chmod(0o640)
        self.gone(lambda: self.writes(MEMBER, "vm", groups=[GROUP]))
        self.assertTrue(self.reads(MEMBER, "vm", [GROUP]))

    def test_owner_changes(self):
        path = self.store("vm", 0o600)
        self.mount("idle=60")
        self.assertTrue(self.reads(OWNER, "vm"))
        os.chown(path, MEMBER, MEMBER)
        self.await_reads(OWNER, "vm", "EACCES")
        self.assertTrue(self.reads(MEMBER, "vm"))

    def test_folders_are_closed(self):
        inner = self.source / "inner"
        inner.mkdir()
        self.store("vars", 0o644, folder=inner)
        self.store("flat", 0o644)
        self.mount()
        self.assertTrue(self.reads(STRANGER, "inner") and self.reads(STRANGER, "flat"))
        inner.chmod(0o700)
        self.await_reads(STRANGER, "inner", "EACCES")
        self.assertTrue(self.reads(STRANGER, "flat"))
        self.source.chmod(0o700)
        self.gone(lambda: as_user(STRANGER, os.listdir, self.made.path / "guests") == "")
        self.gone(lambda: as_user(STRANGER, read, self.path("flat")) == "")
        self.source.chmod(0o755)
        self.await_reads(STRANGER, "flat", "")


class Options(ModesTest):
    def test_umask_drops(self):
        self.store("all", 0o666)
        self.mount("umask=022")
        self.assertTrue(self.reads(STRANGER, "all"))
        self.assertFalse(self.writes(STRANGER, "all"))
        self.assertFalse(self.writes(MEMBER, "all", groups=[GROUP]))

    def test_umask_gives_nothing(self):
        self.store("private", 0o600)
        self.mount("umask=000")
        self.assertFalse(self.reads(STRANGER, "private"))
        self.assertFalse(self.reads(MEMBER, "private", [GROUP]))

    def test_gid_gives_that_group_what_the_owner_has(self):
        self.store("private", 0o600)
        self.mount(f"gid={OTHER_GROUP}")
        self.assertTrue(self.reads(STRANGER, "private", [OTHER_GROUP]))
        self.assertFalse(self.writes(STRANGER, "private", groups=[OTHER_GROUP]))
        self.assertFalse(self.reads(MEMBER, "private", [GROUP]))

    def test_gid_with_umask(self):
        self.store("private", 0o600)
        self.mount(f"gid={OTHER_GROUP}", "umask=007")
        self.assertTrue(self.writes(STRANGER, "private", groups=[OTHER_GROUP]))

    def test_file_as_source(self):
        store = self.store("vm", 0o600)
        mount = self.scratch.mount(store, *self.options)
        variable_path = mount.path / f"A-{GUID}"
        self.assertEqual(as_user(STRANGER, read, variable_path), "EACCES")
        self.assertEqual(as_user(STRANGER, os.listdir, mount.path), "EACCES")
        self.assertEqual(as_user(OWNER, read, variable_path), "")
        store.chmod(0o644)
        wait_until(lambda: as_user(STRANGER, read, variable_path) == "", "opened", FOLLOWED_S)
        self.assertEqual(as_user(STRANGER, write, variable_path), "EACCES")


if __name__ == "__main__":
    uvmount.need_mount()
    if os.geteuid() != 0:
        uvmount.skip("not root")
    unittest.main()
