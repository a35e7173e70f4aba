#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a mount is refused for before there is one, by whom, and what an ordinary user has of it."""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvmount  # noqa: E402
from uvmount import variable, wait_until  # noqa: E402

GUID = uvmount.uvproto.TEST
USER = pwd.getpwnam("nobody").pw_uid  # fusermount3 wants a name


class CommandLine(unittest.TestCase):
    def setUp(self):
        uvmount.need_mount()
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.new_folder("source")
        self.at = self.new_folder("at")
        (self.source / "vm.json").write_text(uvmount.store_text(variable("Alpha", b"a")))
        self.addCleanup(subprocess.run, ["umount", "-q", "-l", str(self.at)], check=False)

    def new_folder(self, name, owner=None, mode=0o755):
        folder = self.scratch.path / name
        folder.mkdir()
        folder.chmod(mode)
        if owner:
            os.chown(folder, owner, owner)
        return folder

    def run_it(self, *arguments, wrapper=(), **environment):
        return subprocess.run([*wrapper, uvmount.UEFIVARSFS, *map(str, arguments)], capture_output=True,
                              text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
                              env={**uvengine.environment(), **environment})

    def is_refused(self, *words, source=None, at=None, options=(), **kwargs):
        options = ("-o", ",".join(options)) if options else ()
        result = self.run_it(source or self.source, at or self.at, *options, **kwargs)
        self.assertEqual((result.returncode, result.stdout), (1, ""), result)
        said = [line for line in result.stderr.splitlines() if not line.startswith("==")]  # a sanitizer's
        self.assertEqual(len(said), 1, result.stderr)
        for word in words:
            self.assertIn(str(word), result.stderr)
        self.assertFalse(os.path.ismount(self.at))

    def as_user(self, *options):
        return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *options]

    def need_user(self):
        """And that the user may start the program."""
        uvmount.need("setpriv")
        if os.geteuid() != 0:
            uvmount.skip("needs root")
        probe = subprocess.run([*self.as_user(), uvmount.UEFIVARSFS, "--version"], check=False,
                               capture_output=True)
        if probe.returncode:
            uvmount.skip("other users can't reach the build")

    @staticmethod
    def is_mounted(place):
        """Also what only another user may look at."""
        return f" {place} " in pathlib.Path("/proc/self/mountinfo").read_text()

    def test_users(self):
        self.is_refused("engine-user=no-such-user: no such user", options=["engine-user=no-such-user"])
        self.is_refused("front-user=no-such-user: no such user", options=["front-user=no-such-user"])
        for group in ("no-such-group", "12x", "-1", str(2**32 - 1)):
            self.is_refused(f"sock-group={group}: no such group", options=[f"sock-group={group}"])

    def test_group_by_number(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        mount = self.scratch.mount(self.source, "sock-group=4321")
        self.assertEqual(os.stat(mount.socket("vm")).st_gid, 4321)

    def test_source_that_is_none(self):
        os.mkfifo(self.scratch.path / "pipe")
        for source in (self.scratch.path / "pipe", "/dev/null"):
            self.is_refused(source, "neither a folder nor a file with a store", source=source)

    def test_folder_for_sockets(self):
        long = self.scratch.path / ("x" * 100)
        self.is_refused(long, "too long a path for sockets", "sockdir=DIR", options=[f"sockdir={long}"])
        file = self.scratch.path / "file"
        file.write_text("")
        self.is_refused(file, "can't make the folder for sockets", options=[f"sockdir={file}/below"])
        for mode in (0o775, 0o757):
            folder = self.new_folder(f"open-{mode:o}", mode=mode)
            self.is_refused(folder, "writable by no other", options=[f"sockdir={folder}"])

    def test_not_mounted(self):
        """The kernel's word is in the one line."""
        if os.geteuid() != 0 or uvengine.sanitized():
            self.skipTest("needs root, and no sanitizer")
        wrapper = [os.environ["UV_WITHOUT"], "mount"]
        self.is_refused(self.at, "Function not implemented", wrapper=wrapper)

    def test_store_that_is_none(self):
        """A mount of one store is refused with the path that was said, and what is wrong with it."""
        store = self.scratch.path / "one.json"
        store.write_text('{"version": 2, "variables": [{]}')
        self.is_refused(f"{store}:1:31: expected a member's name", source=store)
        store.write_text("no store at all")
        self.is_refused(store, source=store)

    def test_libvirt(self):
        for source in ("libvirt:///other", "libvirt://host/system", "libvirt+qemu+ssh:///system",
                       "libvirt+:///x", "libvirt+qemu:///" + "x" * 512):
            self.is_refused(source, "a libvirt of this host is expected", source=source)

    def test_odd_mount_points(self):
        """It is known by its name in the kernel's table, which writes some characters in another way."""
        place, other = self.new_folder("a b\tc\\d\ne"), self.new_folder("other")
        front = subprocess.Popen([uvmount.UEFIVARSFS, "-f", self.source, place], stderr=subprocess.DEVNULL,
                                 env=uvengine.environment())
        self.addCleanup(subprocess.run, ["umount", "-q", "-l", place], check=False)
        wait_until(lambda: os.path.ismount(place), "it is mounted")
        self.is_refused("mounted already", f"{self.scratch.path}/a b", at=other)
        front.terminate()
        self.assertEqual(front.wait(60), 0)
        self.assertFalse(os.path.ismount(place))

    def test_debug(self):
        """-d: libfuse's words are told as they come."""
        log = self.scratch.path / "log"
        with open(log, "wb") as file:
            front = subprocess.Popen([uvmount.UEFIVARSFS, "-d", self.source, self.at], stderr=file,
                                     env=uvengine.environment())
        wait_until(lambda: os.path.ismount(self.at), "it is mounted")
        os.listdir(self.at / "guests")
        front.send_signal(signal.SIGINT)
        self.assertEqual(front.wait(60), 0)
        self.assertIn("LOOKUP", log.read_text())

    def test_names_that_look_like_options(self):
        shutil.copytree(self.source, self.scratch.path / "-source")
        result = subprocess.run([uvmount.UEFIVARSFS, "--", "-source", "at"], cwd=self.scratch.path, check=False,
                                env=uvengine.environment(), timeout=60)
        self.assertEqual(result.returncode, 0)
        self.assertEqual(os.listdir(self.at / "guests"), ["vm"])

    def test_refused_to_an_ordinary_user(self):
        self.need_user()
        mine, run = self.new_folder("mine", USER), self.new_folder("run", USER, 0o700)
        closed = self.new_folder("closed", mode=0o711)
        at = self.new_folder("users", USER)
        user = {"wrapper": self.as_user(), "at": at, "XDG_RUNTIME_DIR": str(run)}
        self.is_refused(closed, "Permission denied", source=closed, **user)
        self.is_refused("only root may mount for another user", source=mine, options=["front-user=root"], **user)
        self.is_refused("can't make the folder for sockets", source=mine,
                        options=[f"sockdir={self.scratch.path}/sockets"], **user)
        self.is_refused("must belong to this user", source=mine, options=[f"sockdir={closed}"], **user)
        self.is_refused("allow_other", source=mine, options=["allow_other"], **user)
        for runtime in ("", "relative"):
            self.is_refused("sockdir=DIR", source=mine, **{**user, "XDG_RUNTIME_DIR": runtime})

    def test_ordinary_user(self):
        """Mounts, reads, writes, connects and ends it, with nothing of root's but fusermount3."""
        self.need_user()
        if not os.stat(shutil.which("fusermount3")).st_mode & 0o4000 or not os.access("/dev/fuse", os.R_OK):
            uvmount.skip("only root can mount here")
        mine, at = self.new_folder("mine", USER), self.new_folder("users", USER)
        run = self.new_folder("run", USER, 0o700)
        store = mine / "vm.json"
        shutil.copy(self.source / "vm.json", store)
        os.chown(store, USER, USER)
        front = subprocess.Popen([*self.as_user(), uvmount.UEFIVARSFS, "-f", mine, at, "-o",
                                  f"front-user=nobody"], stderr=subprocess.DEVNULL,
                                 env={**uvengine.environment(), "XDG_RUNTIME_DIR": str(run)})
        self.addCleanup(subprocess.run, ["umount", "-q", "-l", at], check=False)
        self.addCleanup(front.wait)
        self.addCleanup(front.kill)
        wait_until(lambda: self.is_mounted(at), "it is mounted", 20)
        script = (f'set -e; cd "$1/guests/vm"; cat vars/Alpha-{GUID}; printf "\\7\\0\\0\\0new" >vars/Beta-{GUID}; '
                  'test -S mm.sock; stat -L -c " %u %a" mm.sock')
        done = subprocess.run([*self.as_user(), "sh", "-c", script, "sh", at], check=False, capture_output=True,
                              timeout=60)
        self.assertEqual(done.stdout, b"\7\0\0\0a %d 660\n" % USER, done.stderr)
        front.terminate()
        self.assertEqual(front.wait(60), 0)
        self.assertFalse(self.is_mounted(at))
        self.assertIn("Beta", store.read_text())
        self.assertEqual(os.stat(store).st_uid, USER)


if __name__ == "__main__":
    unittest.main()
