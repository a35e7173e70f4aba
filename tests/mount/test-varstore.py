#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's folder for the stores of <varstore>: its domains by their names, whatever they are, their lives
as libvirt leads them, and nothing of ours where a domain was."""

import errno
import hashlib
import json
import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402
import uvskip  # noqa: E402
from uvmount import store_text, variable, wait_until  # noqa: E402

ROUNDS = 100 if os.environ.get("UV_LONG") else 5
QEMU = 65534
BY_STORE = pathlib.Path("/run/uefivarsfs/by-store")
DAY_S = 24 * 60 * 60


class Varstore(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "libvirt/qemu/varstore"
        self.source.mkdir(parents=True)
        self.mount = None

    def mounted(self, *options):
        self.mount = self.scratch.mount(self.source, *options)
        return self.mount

    def store(self, name):
        return self.source / f"{name}.json"

    # What libvirtd does.

    def make_store(self, name):
        fresh = self.source / f"{name}.json.{os.getpid()}"
        fresh.write_text(store_text())
        os.chmod(fresh, 0o600)
        os.rename(fresh, self.store(name))

    def start(self, name, anew=False):
        """The store is QEMU's, and QEMU has it open."""
        if anew:
            self.store(name).unlink()
        if not self.store(name).exists():
            self.make_store(name)
        os.chown(self.store(name), QEMU, QEMU)
        digest = hashlib.sha256(os.fsencode(os.path.realpath(self.store(name)))).hexdigest()[:16]
        path = BY_STORE / f"{digest}.sock"
        wait_until(path.exists, f"the socket of {name}")
        end = time.monotonic() + 10
        while True:
            try:
                return p.prove(str(path), str(self.store(name)))
            except (p.ErrorFrame, p.Closed, OSError):
                # Of the file that was there before: QEMU's device asks again, too.
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def stop(self, name, guest):
        guest.bye()
        guest.close()
        kept = {v["name"]: bytes.fromhex(v["data"])
                for v in json.loads(self.store(name).read_text())["variables"]}
        os.chown(self.store(name), 0, 0)
        return kept

    def host_write(self, name, variable_name, data):
        """The administrator's; while libvirt gives the file to another user he may have to ask twice."""
        end = time.monotonic() + 10
        while True:
            try:
                return self.mount.write(name, variable_name, data)
            except OSError as error:
                if error.errno not in (errno.EIO, errno.EROFS) or time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def left(self):
        """All that lies in the folder, and below."""
        while True:
            try:
                return sorted(str(path.relative_to(self.source)) for path in self.source.rglob("*"))
            except FileNotFoundError:
                pass  # it went just now

    def live(self, name, number):
        """One life of a domain."""
        mine, guest = b"%d" % number, self.start(name)
        self.assertEqual(guest.set("Guest", p.TEST, p.NV_BS_RT, mine), p.SUCCESS)
        self.host_write(name, "Host", mine)
        self.assertEqual(guest.get("Host", p.TEST)[2], mine)
        guest.reset()
        self.assertEqual(self.mount.read(name, "Guest")[1], mine)
        kept = self.stop(name, guest)
        self.assertEqual((kept["Guest"], kept["Host"]), (mine, mine))
        self.host_write(name, "Host", b"off")
        guest = self.start(name)
        self.assertEqual((guest.get("Guest", p.TEST)[2], guest.get("Host", p.TEST)[2]), (mine, b"off"))
        self.assertEqual(self.stop(name, guest)["Host"], b"off")
        guest = self.start(name, anew=True)
        self.assertEqual(p.status_name(guest.get("Guest", p.TEST)[0]), "NOT_FOUND")
        self.assertEqual(guest.set("Guest", p.TEST, p.NV_BS_RT, b"anew"), p.SUCCESS)
        self.assertEqual(self.mount.read(name, "Guest")[1], b"anew")
        self.assertEqual(self.stop(name, guest)["Guest"], b"anew")
        self.store(name).unlink()

    def test_lives(self):
        self.make_store("other")
        self.mounted()
        names = ["web", "a.config", ".dot", "x", "x_VARS", "a b"]
        for number in range(ROUNDS):
            self.live(names[number % len(names)], number)
            wait_until(lambda: self.left() == ["other.json"], "nothing is left", 5)
        self.assertEqual(os.listdir(self.mount.path / "guests"), ["other"])

    def test_names(self):
        """Each file is the domain's of its whole name; elsewhere such names have other meanings."""
        names = ["a", "a.config", ".dot", "x", "x_VARS", "x_VARS.config", "y.fd", "..."]
        for name in names:
            self.store(name).write_text(store_text(variable("Name", name.encode())))
        (self.source / ".hidden").write_text("")
        (self.source / "z.fd").write_text("")
        (self.source / "folder").mkdir()
        (self.source / "folder/vars.json").write_text(store_text())
        self.mounted()
        self.assertEqual(sorted(os.listdir(self.mount.path / "guests")), sorted(names))
        for name in names:
            self.assertEqual(self.mount.read(name, "Name")[1], name.encode())
        self.assertFalse((self.mount.path / "guests/.hidden").exists())
        self.assertFalse((self.mount.path / "guests/.nobody").exists())
        self.store(".later").write_text(store_text())
        wait_until((self.mount.path / "guests/.later").exists, "a new one shows")
        (self.mount.guest("a") / "config.json").write_text('{"size": 65536}')
        self.assertEqual((self.source / "a.json.config").read_text(), '{"size": 65536}')
        self.assertEqual(self.mount.read("a.config", "Name")[1], b"a.config")
        self.assertEqual(json.loads((self.mount.guest("a") / "config.json").read_text()), {"size": 65536})

    def set_aside(self, name, days):
        folder = self.source / ".uefivarsfs"
        for what in ("journal.conflict-1", "journal.conflict-7", "before-load"):
            path = folder / f"{name}.json.{what}"
            path.write_text(what)
            os.utime(path, (time.time() - days * DAY_S,) * 2)

    def test_what_was_set_aside(self):
        """Stays while it is young, also of a store that is gone; keep=0 keeps none."""
        self.make_store("web")
        self.mounted()
        self.host_write("web", "A", b"1")
        wait_until(lambda: not [path for path in self.left() if path.endswith(".journal")], "complete")
        self.set_aside("web", 1)
        self.store("web").unlink()
        wait_until(lambda: len(self.left()) == 4, "what is not set aside is gone", 5)
        self.mount.stop()
        self.mounted("keep=0")
        wait_until(lambda: not self.left(), "nothing is left", 5)

    def test_swept(self):
        """Sidecars of stores that went while nobody looked go when somebody does, and no others."""
        for name in ("gone", "here"):
            self.make_store(name)
        self.mounted()
        for name in ("gone", "here"):
            self.host_write(name, "A", b"1")
        self.mount.stop()
        self.store("gone").unlink()
        (self.source / ".uefivarsfs/notes").write_text("somebody's")
        (self.source / ".uefivarsfs/mine.json.journal").write_text("needed")
        (self.source / ".uefivarsfs/mine.json.lock").write_text("")
        before = self.left()
        self.mounted()
        gone = [path for path in before if "gone" in path]
        self.assertGreater(len(gone), 1)
        wait_until(lambda: not [path for path in self.left() if "gone" in path], "it is swept", 5)
        self.assertEqual(self.left(), [path for path in before if path not in gone])


if __name__ == "__main__":
    uvmount.need_mount()
    if os.geteuid() != 0:
        uvskip.skip("giving stores to QEMU's user needs root")
    unittest.main()
