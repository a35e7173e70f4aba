#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""-o shared: one folder mounted on two hosts. Who may write, what the other one sees, and holder."""

import errno
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvhosts  # noqa: E402
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402
from uvmount import store_text, variable, wait_until  # noqa: E402

HOLDER = r"since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\n$"


class TwoHosts(unittest.TestCase):
    options = ()

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "store"
        self.source.mkdir()
        (self.source / "web.json").write_text(store_text(variable("First", b"1")))
        self.hosts, self.mounts = {}, {}
        for name in ("one", "two"):
            self.hosts[name] = self.scratch.stack.enter_context(uvhosts.Host(self.scratch.path, name))
            self.mounts[name] = self.scratch.mount(self.source, "shared", *self.options, name=name,
                                                   host=self.hosts[name])
        self.one, self.two = self.mounts["one"], self.mounts["two"]

    def guest(self, mount, name="web", **hello):
        guest = p.Guest(mount.socket(name))
        self.addCleanup(guest.close)
        return guest.hello(**hello)

    def holder(self, mount, name="web"):
        return (mount.guest(name) / "holder").read_text()

    def expect_errno(self, wanted, call, *args):
        with self.assertRaises(OSError) as caught:
            call(*args)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[wanted])

    def names(self, mount, name="web"):
        return set(os.listdir(mount.vars(name)))

    def shows(self, mount, name, data, seconds=4):
        wait_until(lambda: mount.read("web", name)[1] == data, f"{name} is {data}", seconds, 0.05)


class Shared(TwoHosts):
    def test_holder(self):
        self.assertEqual(self.holder(self.one), "")
        self.assertEqual(os.stat(self.one.guest("web") / "holder").st_mode & 0o777, 0o600)
        guest = self.guest(self.one)
        for mount in (self.one, self.two):
            self.assertRegex(self.holder(mount), "^one " + HOLDER)
            self.assertEqual((mount.guest("web") / "holder").stat().st_size, len(self.holder(mount)))
        guest.bye()
        self.assertEqual(self.holder(self.two), "")
        self.assertIn("holder", os.listdir(self.two.guest("web")))

    def test_not_without_shared(self):
        alone = self.scratch.path / "alone"
        alone.mkdir()
        (alone / "web.json").write_text(store_text())
        mount = self.scratch.mount(alone, name="alone-mnt")
        self.assertNotIn("holder", os.listdir(mount.guest("web")))
        self.assertFalse((mount.guest("web") / "holder").exists())

    def test_writes_of_the_other_host(self):
        guest = self.guest(self.one)
        self.assertEqual(guest.set("Guest", p.TEST, p.NV_BS_RT, b"g"), p.SUCCESS)
        self.expect_errno(errno.EROFS, self.two.write, "web", "Host", b"x")
        refusal = json.dumps(self.two.status("web")["last-refusal"])
        self.assertRegex(refusal, r"held by one since 20")
        self.assertIn("EROFS", refusal)
        self.shows(self.two, "Guest", b"g")
        self.one.write("web", "Host", b"h")
        self.shows(self.two, "Host", b"h")
        for act in (lambda: (self.two.guest("web")).rename(self.two.path / "guests" / "other"),
                    lambda: (self.two.guest("web")).rmdir()):
            with self.assertRaises(OSError) as caught:
                act()
            self.assertIn(caught.exception.errno, (errno.EROFS, errno.ENOTEMPTY))
        self.assertTrue((self.source / "web.json").exists())
        guest.bye()
        self.two.write("web", "Host", b"from two")
        self.shows(self.one, "Host", b"from two")

    def test_nothing_is_taken_from_the_other_host(self):
        """A guest without variables could else be removed, and one with any renamed."""
        (self.source / "empty.json").write_text(store_text())
        for mount in (self.one, self.two):
            wait_until((mount.path / "guests/empty").exists, "it shows")
        self.one.write("empty", "Here", b"x")
        os.unlink(self.one.vars("empty") / f"Here-{p.TEST}")
        wait_until(lambda: not self.holder(self.one, "empty"), "it is let go")
        lock = self.source / ".uefivarsfs/empty.json.lock"
        lock.write_text(f"three since 2026-01-31T12:00:00Z\nboot {self.hosts['one'].boot}\nclaim {'0' * 32}\n")
        empty = self.two.guest("empty")
        self.expect_errno(errno.EROFS, os.rename, empty, self.two.guest("other"))
        self.expect_errno(errno.EROFS, empty.rmdir)
        self.assertTrue((self.source / "empty.json").exists())
        lock.write_text("")
        empty.rmdir()
        self.assertFalse((self.source / "empty.json").exists())
        wait_until(lambda: "empty" not in os.listdir(self.one.path / "guests"), "it is gone")

    def test_how_late(self):
        """A change shows when a look is due, though nobody tells of it."""
        self.one.read("web", "First"), self.two.read("web", "First")
        for i in range(3):
            self.one.write("web", "First", b"%d" % i)
            begun = time.monotonic()
            self.shows(self.two, "First", b"%d" % i)
            self.assertLess(time.monotonic() - begun, 1.6)
        (self.source / "new.json").write_text(store_text(variable("First", b"1")))
        wait_until(lambda: "new" in os.listdir(self.two.path / "guests"), "a new guest shows", 2)
        self.assertEqual(self.two.read("new", "First")[1], b"1")
        os.unlink(self.source / "new.json")
        wait_until(lambda: not self.two.guest("new").exists(), "it is gone", 2)

    def test_break(self):
        guest = self.guest(self.one)
        self.assertEqual(guest.set("Guest", p.TEST, p.NV_BS_RT, b"g"), p.SUCCESS)
        os.kill(self.one.engine_pid("web"), 19)
        self.expect_errno(errno.EROFS, self.two.write, "web", "Host", b"x")
        holder = self.two.guest("web") / "holder"
        self.expect_errno(errno.EINVAL, holder.write_text, "brake\n")
        self.assertRegex(self.holder(self.two), "^one " + HOLDER)
        holder.write_text("break\n")
        self.assertEqual(self.holder(self.two), "")
        self.two.write("web", "Host", b"mine")
        self.assertEqual(self.two.read("web", "Guest")[1], b"g")
        there = self.guest(self.two)
        self.assertRegex(self.holder(self.two), "^two " + HOLDER)
        self.expect_errno(errno.EBUSY, (self.two.guest("web") / "holder").write_text, "break\n")
        os.kill(self.one.engine_pid("web"), 18)
        self.assertEqual(guest.set("Guest", p.TEST, p.NV_BS_RT, b"late"), p.WRITE_PROTECTED)
        self.expect_errno(errno.EROFS, self.one.write, "web", "Host", b"x")
        self.assertIn("two since", json.dumps(self.one.status("web")["last-refusal"]))
        self.assertEqual(there.get("Guest", p.TEST)[2], b"g")

    def test_a_restore_breaks_nothing(self):
        guest = self.guest(self.one)
        backup = self.scratch.path / "backup"
        backup.mkdir()
        for tool in (["rsync", "-a", "--exclude", "mm.sock", "--exclude", "firmware", "--exclude", "vars"],
                     ["cp", "-a"]):
            source = str(self.two.guest("web")) + ("/" if tool[0] == "rsync" else "/holder")
            subprocess.run(tool + [source, str(backup)], check=True)
            self.assertTrue((backup / "holder").read_text().startswith("one since"))
        subprocess.run(["cp", str(backup / "holder"), str(self.two.guest("web") / "holder")], check=True)
        self.assertRegex(self.holder(self.two), "^one " + HOLDER)
        guest.bye()

    def test_each_once(self):
        """The same host mounts it once, and a host without a name not at all."""
        for host, words in ((["nsenter", "-t", str(self.hosts["one"].process.pid), "-m", "-u", "-n", "-r"],
                             "another mount has its sockets there"),
                            (["unshare", "--uts", "sh", "-c", 'hostname localhost; exec "$@"', "sh"],
                             "shared: 'localhost' is no name")):
            place = self.scratch.path / "again"
            place.mkdir(exist_ok=True)
            ended = subprocess.run(host + [str(uvmount.UEFIVARSFS), str(self.source), str(place), "-o",
                                           f"shared,sockdir={self.one.sockdir}"],
                                   capture_output=True, text=True, check=False, timeout=20)
            self.assertEqual(ended.returncode, 1)
            self.assertIn(words, ended.stderr)


class LookEachTime(TwoHosts):
    options = ("look=0",)

    def test_at_once(self):
        for i in range(10):
            for mine, other in ((self.one, self.two), (self.two, self.one)):
                guest = self.guest(mine)
                self.assertEqual(guest.set("Guest", p.TEST, p.NV_BS_RT, b"%d" % i), p.SUCCESS)
                self.assertEqual(other.read("web", "Guest")[1], b"%d" % i)
                mine.write("web", f"Host{i}", b"%d" % i)
                self.assertEqual(other.read("web", f"Host{i}")[1], b"%d" % i)
                os.unlink(mine.vars("web") / f"Host{i}-{p.TEST}")
                self.assertNotIn(f"Host{i}-{p.TEST}", self.names(other))
                guest.bye()


if __name__ == "__main__":
    uvmount.need_mount()
    uvmount.need("rsync")
    uvhosts.needs()
    unittest.main()
