#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""guests/G/changes: each door with who came through it, whose its files are, and following it."""

import errno
import hashlib
import json
import os
import pathlib
import select
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402
import uvsign  # noqa: E402
from uvmount import variable, wait_until  # noqa: E402
from uvskip import skip  # noqa: E402

OWNER = 4242
USERS = (OWNER, 0)


def put(path, data):
    """One write(2)."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


class ChangesTest(unittest.TestCase):
    options = ("allow_other",)

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        self.store = self.source / "vm.json"
        self.store.write_text(uvmount.store_text(variable("Alpha", b"alpha")))
        os.chown(self.store, OWNER, OWNER)
        self.mount = self.scratch.mount(self.source, *self.options)
        self.guest = self.mount.guest("vm")

    def as_user(self, uid, path, content):
        subprocess.run(["dd", f"of={path}", "bs=64k", "conv=notrunc"], input=content,
                       stderr=subprocess.DEVNULL, user=uid, group=uid, extra_groups=[], check=True)

    def lines(self):
        return [json.loads(line) for line in (self.guest / "changes").read_bytes().splitlines()]

    def line(self, name):
        """The last one about that variable, when it has come."""
        found = []

        def look():
            found[:] = [line for line in self.lines()
                        if line["variable"].rsplit("-", 5)[0] == name]
            return found
        wait_until(look, f"a line about {name}")
        return found[-1]

    def edit(self, name):
        store = json.loads(self.store.read_text())
        store["variables"].append(variable(name))
        self.store.write_text(json.dumps(store))


class Doors(ChangesTest):
    options = ("allow_other", "idle=1")

    def machine(self, **hello):
        guest = p.Guest(self.mount.socket("vm"))
        self.addCleanup(guest.close)
        return guest.hello(**hello)

    def test_two_users(self):
        for uid in USERS:
            self.as_user(uid, self.guest / "vars" / f"By{uid}-{p.TEST}", b"\7\0\0\0x")
            line = self.line(f"By{uid}")
            self.assertEqual((line["door"], line["who"]["uid"], line["who"]["gid"]),
                             ("host", uid, uid))
            self.assertEqual(line["who"]["comm"], "dd")
            self.assertGreater(line["who"]["pid"], 1)

    def test_process_that_becomes_another_program(self):
        """Each change has the name that its process had then; the number says nothing."""
        first, second = (self.guest / "vars" / f"{name}-{p.TEST}" for name in ("First", "Second"))
        subprocess.run(["bash", "-c", f"printf '\\7\\0\\0\\0x' >{first}; printf '\\7\\0\\0\\0y' >{first}\n"
                        f"exec dd of={second} status=none"], input=b"\7\0\0\0x", check=True)
        line = self.line("Second")
        self.assertEqual(line["who"]["comm"], "dd")
        who = [change["who"] for change in self.lines()]
        self.assertEqual([one["comm"] for one in who], ["bash", "bash", "dd"])
        self.assertEqual(len({one["pid"] for one in who}), 1)

    def test_owner(self):
        key = uvsign.Key("PK")
        self.as_user(USERS[0], self.guest / "secure-boot/PK/replace", key.pem.read_bytes())
        line = self.line("PK")
        self.assertEqual((line["door"], line["who"]["uid"]), ("owner", USERS[0]))

    def test_next_boot(self):
        """Who left it, not who boots; who left it is known after the engine's end."""
        self.as_user(USERS[0], self.guest / f"next-boot/vars/Later-{p.TEST}", b"\7\0\0\0x")
        self.mount.kill_engine("vm")
        self.machine(name="machine")
        line = self.line("Later")
        self.assertEqual((line["door"], line["who"]["uid"]), ("next-boot", USERS[0]))

    def test_guest_and_migration(self):
        guest = self.machine(name="machine", session=bytes(range(16)))
        self.assertEqual(guest.set("ByGuest", p.TEST, 7, b"1"), 0)
        line = self.line("ByGuest")
        who = {"session": bytes(range(16)).hex(), "phase": "boot", "client": "machine"}
        self.assertEqual((line["door"], line["who"]), ("guest", who))
        blob = guest.save()
        guest.bye()
        self.as_user(USERS[0], self.guest / "vars" / f"ByGuest-{p.TEST}", b"\7\0\0\0002")
        self.machine(name="arrived", flags=p.HELLO_INCOMING).load(blob)
        wait_until(lambda: self.line("ByGuest")["door"] == "migration", "the state's line")
        self.assertEqual(self.line("ByGuest")["who"]["client"], "arrived")

    def test_outside(self):
        self.mount.write("vm", "Known", b"x")  # an engine is there
        self.line("Known")
        (self.guest / "store.json").read_bytes()  # what was written is in the file
        self.edit("ByHand")
        os.listdir(self.guest / "vars")
        line = self.line("ByHand")
        self.assertEqual(line["door"], "outside")
        self.assertNotIn("who", line)

    def test_refusal(self):
        with self.assertRaises(subprocess.CalledProcessError):
            self.as_user(USERS[0], self.guest / "vars" / f"SetupMode-{p.GLOBAL}", b"\6\0\0\0\0")
        line = self.line("SetupMode")
        self.assertEqual(line["who"]["uid"], USERS[0])
        self.assertTrue(line["status"] and line["rule"] and line["reason"])

    def refused(self, number, act, *args):
        """What is refused has one line, also where its guest has no engine."""
        before = len(self.lines())
        with self.assertRaises(OSError) as caught:
            act(*args)
        self.assertEqual(caught.exception.errno, number)
        wait_until(lambda: len(self.lines()) > before, "its line")
        lines = self.lines()[before:]
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def test_refused_before_an_engine(self):
        """Each kind: who, what, and why, once, on record when somebody looks."""
        folder = self.guest / "vars"
        python = pathlib.Path("/proc/self/comm").read_text().strip()
        new = folder / f"New-{p.TEST}"
        for with_engine in (False, True):
            if with_engine:
                self.mount.write("vm", "Known", b"x")
                wait_until(lambda: any(line.get("variable", "").startswith("Known-")
                                       for line in self.lines()), "its line")
            for name, number, operation, act in (
                    ("vars/bad name", errno.EINVAL, "create", lambda: put(folder / "bad name", b"")),
                    (f"vars/New-{p.TEST}", errno.EINVAL, "write", lambda: put(new, b"\7\0")),
                    (f"vars/New-{p.TEST}", errno.EINVAL, "write", lambda: put(new, bytes(70000))),
                    ("status.json", errno.EPERM, "unlink", (self.guest / "status.json").unlink),
                    ("vars/folder", errno.EPERM, "mkdir", (folder / "folder").mkdir),
                    ("vars/link", errno.EPERM, "symlink", lambda: (folder / "link").symlink_to("a")),
                    ("config.json", errno.EINVAL, "write",
                     lambda: put(self.guest / "config.json", b"nonsense")),
                    ("vars/other-name", errno.EPERM, "rename",
                     lambda: os.rename(folder / f"Alpha-{p.TEST}", folder / "other-name"))):
                with self.subTest(name, engine=with_engine):
                    if not with_engine:
                        wait_until(lambda: not self.mount.engines(), "its engine ends", 20)
                    line = self.refused(number, act)
                    self.assertEqual((line["door"], line["path"], line["operation"]),
                                     ("host", name, operation))
                    self.assertEqual((line["errno"], line["status"]),
                                     (errno.errorcode[number], None))
                    self.assertEqual((line["who"]["pid"], line["who"]["comm"]),
                                     (os.getpid(), python))
                    self.assertTrue(line["reason"])

    def test_refused_by_the_engine(self):
        """Is on record once, and as what the engine says."""
        line = self.refused(errno.EROFS, put, self.guest / "vars" / f"SetupMode-{p.GLOBAL}",
                            b"\6\0\0\0\0")
        self.assertTrue(line["rule"])
        line = self.refused(errno.EINVAL, put, self.guest / "boot/order", b"nonsense")
        self.assertEqual(line["path"], "boot/order")

    def test_refusals_that_no_engine_came_for(self):
        """The last ones of many; the others are counted. No engine is started for them."""
        self.mount.write("vm", "Known", b"x")
        wait_until(lambda: not self.mount.engines(), "its engine ends", 20)
        for i in range(100):
            with self.assertRaises(OSError):
                put(self.guest / "vars" / f"bad{i}", b"")
        self.assertEqual(self.mount.engines(), [])
        lines = self.lines()
        self.assertEqual([line["path"] for line in lines if "path" in line],
                         [f"vars/bad{i}" for i in range(68, 100)])
        self.assertEqual([line["not-recorded"] for line in lines if "not-recorded" in line], [68])

    def test_who_left_before_he_was_known(self):
        """A process that ends with its error is known all the same."""
        subprocess.run(["dd", f"of={self.guest}/vars/bad-name", "count=0"], user=OWNER, group=OWNER,
                       extra_groups=[], stderr=subprocess.DEVNULL, check=False)
        wait_until(self.lines, "its line")
        line = self.lines()[-1]
        self.assertEqual((line["who"]["uid"], line["who"]["comm"]), (OWNER, "dd"))

    def test_store_json(self):
        """Each variable of a whole store is a change."""
        self.as_user(USERS[0], self.guest / "store.json",
                     uvmount.store_text(variable("Beta", struct.pack("<I", 1))).encode())
        self.assertEqual(self.line("Beta")["who"]["uid"], USERS[0])
        self.assertIsNone(self.line("Alpha")["size"])

    def test_files(self):
        self.as_user(USERS[0], self.guest / "vars" / f"A-{p.TEST}", b"\7\0\0\0x")
        self.line("A")
        for path in (self.source / ".uefivarsfs/vm.json.changes", self.guest / "changes"):
            self.assertEqual(path.stat().st_uid, OWNER, path)
            self.assertFalse(path.stat().st_mode & 0o077, path)


class Cold(ChangesTest):
    """Who edits the store's file of a guest without an engine, and then reads."""
    options = ("idle=1",)

    def setUp(self):
        super().setUp()
        self.mount.write("vm", "Known", b"x")
        self.wait_for_none()

    def wait_for_none(self):
        wait_until(lambda: not self.mount.engines(), "its engine ends", 20)

    def outside(self):
        return [line["variable"].split("-")[0] for line in self.lines() if line["door"] == "outside"]

    def test_edited_without_an_engine(self):
        self.edit("ByHand")
        os.stat(self.guest / "changes")
        self.assertEqual(self.mount.engines(), [])
        self.assertEqual(self.outside(), ["ByHand"])
        self.wait_for_none()
        self.assertEqual(self.outside(), ["ByHand"])
        self.assertEqual(self.mount.engines(), [], "the store is as it was left")

    def test_edited_while_an_engine_waits_to_end(self):
        self.mount.write("vm", "Known", b"y")
        (self.guest / "store.json").read_bytes()
        self.edit("ByHand")
        self.assertEqual(self.outside(), ["ByHand"])

    def test_edited_under_no_mount(self):
        self.mount.stop()
        self.edit("ByHand")
        self.mount.start()
        self.assertEqual(self.outside(), ["ByHand"])

    def test_renamed(self):
        os.rename(self.guest, self.mount.guest("other"))
        self.guest, self.store = self.mount.guest("other"), self.source / "other.json"
        self.assertEqual(self.outside(), [])
        self.edit("ByHand")
        self.assertEqual(self.outside(), ["ByHand"])

    def test_nothing_was_ever_changed(self):
        """Without a record there is nothing to look for."""
        (self.source / "new.json").write_text(uvmount.store_text(variable("A")))
        wait_until(self.mount.guest("new").exists, "the new guest")
        self.assertEqual((self.mount.guest("new") / "changes").read_bytes(), b"")
        self.assertEqual(self.mount.engines(), [])


class Growth(ChangesTest):
    """What follows the record is woken, also over the end of engines and of the older part."""
    options = ("idle=1", "record=4096")

    def poll(self, fd, seconds):
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def test_poll(self):
        fd = os.open(self.guest / "changes", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.assertFalse(self.poll(fd, 0.2), "there is nothing yet, and no engine")
        self.assertEqual(self.mount.engines(), [])
        text = b""
        for i in range(40):
            writer = threading.Timer(0.02, self.mount.write, ("vm", "A", b"%d" % i))
            writer.start()
            while hashlib.sha256(b"%d" % i).hexdigest().encode() not in text:
                self.assertTrue(self.poll(fd, 10), i)
                if os.fstat(fd).st_size < os.lseek(fd, 0, os.SEEK_CUR):
                    os.lseek(fd, 0, os.SEEK_SET)  # the older part went
                text += os.read(fd, 65536)
            writer.join()
            if i % 10 == 3:
                wait_until(lambda: not self.mount.engines(), "its engine ends", 20)
            if i % 10 == 7:
                self.mount.kill_engine("vm")
        self.assertFalse(self.poll(fd, 0.2))

    def test_select(self):
        with open(self.guest / "changes", "rb") as file:
            self.mount.write("vm", "A", b"1")
            self.assertTrue(select.select([file], [], [], 10)[0])
            while select.select([file], [], [], 0.3)[0]:
                file.read()
            started = time.monotonic()
            threading.Timer(0.3, self.mount.write, ("vm", "A", b"2")).start()
            self.assertTrue(select.select([file], [], [], 10)[0])
            self.assertLess(time.monotonic() - started, 5)

    def test_a_guest_that_goes(self):
        with open(self.guest / "changes", "rb") as file:
            threading.Timer(0.3, os.unlink, (self.store,)).start()
            self.assertTrue(self.poll(file.fileno(), 10))

    def test_others_are_ready(self):
        with open(self.guest / "status.json", "rb") as file:
            self.assertTrue(self.poll(file.fileno(), 5))


if __name__ == "__main__":
    uvmount.need_mount()
    if os.getuid() != 0:
        skip("other users need root")
    unittest.main()
