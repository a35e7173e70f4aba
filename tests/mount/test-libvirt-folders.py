#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's own folder as SOURCE, with layout=auto: the stores in varstore/ and nvram/ are its domains'."""

import errno
import os
import pathlib
import shutil
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvpace  # noqa: E402
from uvattacker import ATTACKER, attacker  # noqa: E402
from uvmount import wait_until  # noqa: E402
from uvskip import skip  # noqa: E402

TEMPLATE = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")


class Folders(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.home = self.scratch.path / "libvirt/qemu"
        self.varstore, self.nvram = self.home / "varstore", self.home / "nvram"

    def json(self, name, value):
        self.varstore.mkdir(parents=True, exist_ok=True)
        text = uvmount.store_text(uvmount.variable("Here", value))
        (self.varstore / f"{name}.json").write_text(text)

    def flash(self, name):
        self.nvram.mkdir(parents=True, exist_ok=True)
        shutil.copy(TEMPLATE, self.nvram / f"{name}_VARS.fd")

    def start(self, *options):
        self.mount = self.scratch.mount(self.home, "layout=auto", "idle=1", *options)

    def guests(self):
        return sorted(os.listdir(self.mount.path / "guests"))

    def await_guests(self, *names):
        wait_until(lambda: self.guests() == sorted(names), f"the guests are {names}")

    def write(self, guest, value):
        """Read by another engine, too."""
        self.mount.write(guest, "Here", value)
        self.mount.kill_engine(guest)
        self.assertEqual(self.mount.read(guest, "Here"), (7, value))

    def test_both(self):
        self.json("web", b"1")
        self.flash("db")
        (self.home / "domain-1-web").mkdir()
        (self.varstore / "no-store").write_text("")
        self.start()
        self.await_guests("db", "web")
        self.assertEqual(self.mount.read("web", "Here"), (7, b"1"))
        for guest in ("db", "web"):
            self.write(guest, b"2")
        self.assertTrue((self.varstore / ".uefivarsfs").is_dir())

    def test_a_name_in_both(self):
        self.json("web", b"json")
        self.flash("web")
        before = (self.nvram / "web_VARS.fd").read_bytes()
        self.start()
        self.await_guests("web")
        self.assertEqual(self.mount.read("web", "Here"), (7, b"json"))
        self.write("web", b"2")
        self.assertEqual((self.nvram / "web_VARS.fd").read_bytes(), before)
        wait_until(lambda: "domain web: its store is " in self.mount.log.read_text(), "it is said")

    def test_the_other_when_one_goes(self):
        self.json("web", b"json")
        self.flash("web")
        self.start()
        self.assertEqual(self.mount.read("web", "Here"), (7, b"json"))
        (self.varstore / "web.json").unlink()
        wait_until(lambda: "PK-" in "".join(os.listdir(self.mount.vars("web"))),
                   "the flash image's variables")

    def test_as_libvirt_names_them(self):
        for name in (".dot", "a.config", "x", "x_VARS"):
            self.json(name, name.encode())
        self.start()
        self.await_guests("%2Edot", "a.config", "x", "x_VARS")
        self.assertEqual(self.mount.read("%2Edot", "Here"), (7, b".dot"))

    def test_they_come_and_go(self):
        self.json("web", b"1")
        self.start()
        self.await_guests("web")
        self.json("new", b"1")
        self.await_guests("new", "web")
        (self.varstore / "web.json").rename(self.varstore / "mail.json")
        self.await_guests("mail", "new")
        self.flash("db")  # and its folder with it
        self.await_guests("db", "mail", "new")
        self.flash("later")
        self.await_guests("db", "later", "mail", "new")
        self.write("later", b"1")

    def test_reset(self):
        """virsh start --reset-nvram: another file in the store's place, at once."""
        self.json("web", b"1")
        self.start()
        self.assertEqual(self.mount.read("web", "Here"), (7, b"1"))
        (self.varstore / "web.json").unlink()
        self.json("web", b"new")
        wait_until(lambda: self.mount.read("web", "Here") == (7, b"new"), "the new store")

    def test_one_that_went_while_nobody_looked(self):
        """What its engine had not written to the store is kept, also when the mount comes later."""
        self.json("web", b"1")
        self.json("db", b"1")
        self.start()
        self.mount.write("web", "Here", b"2")
        self.mount.kill_engine("web")
        self.mount.kill()
        self.assertEqual(self.beside("web.json.journal"), ["web.json.journal"])
        (self.varstore / "web.json").unlink()
        self.mount.start()
        self.await_guests("db")
        wait_until(lambda: self.beside("web.json.journal") == ["web.json.journal.conflict-1"],
                   "its journal is set aside")
        wait_until(lambda: "domain web: its store was removed" in self.mount.log.read_text(),
                   "it is said")

    def beside(self, name):
        return sorted(path.name for path in (self.varstore / ".uefivarsfs").glob(f"{name}*"))

    def test_domains_are_libvirts(self):
        self.json("web", b"1")
        self.start()
        self.await_guests("web")
        for action in (lambda: os.mkdir(self.mount.guest("new")),
                       lambda: os.rmdir(self.mount.guest("web")),
                       lambda: os.rename(self.mount.guest("web"), self.mount.guest("b"))):
            with self.assertRaises(OSError) as caught:
                action()
            self.assertIn(caught.exception.errno, (errno.EPERM, errno.ENOTEMPTY))
        self.assertTrue((self.varstore / "web.json").exists())

    def test_links_that_root_does_not_own(self):
        self.json("web", b"1")
        elsewhere = self.scratch.path / "elsewhere"
        shutil.move(self.varstore, elsewhere)
        self.varstore.symlink_to(elsewhere)
        os.lchown(self.varstore, 4242, 4242)
        self.nvram.mkdir()
        self.start()
        wait_until(lambda: "Too many levels" in self.mount.log.read_text(), "it is said")
        self.assertEqual(self.guests(), [])

    def test_names_that_come_and_go_without_end(self):
        """Of another user's folder: whose stores lie in the other one do not notice."""
        self.json("web", b"1")
        self.nvram.mkdir()
        os.chown(self.nvram, ATTACKER, ATTACKER)
        self.start()
        self.await_guests("web")
        names = [self.nvram / f"x{i}_VARS.{kind}" for i in range(2000) for kind in ("fd", "qcow2")]

        def come_and_go():
            for name in names:
                name.touch()
            time.sleep(0.3)
            for name in names:
                name.unlink()
            time.sleep(0.3)

        slowest = 0
        with attacker(come_and_go):
            end = time.monotonic() + 6
            while time.monotonic() < end:
                begin = time.monotonic()
                self.mount.write("web", "Here", b"2")
                self.assertEqual(self.mount.read("web", "Here"), (7, b"2"))
                slowest = max(slowest, time.monotonic() - begin)
                time.sleep(0.05)
            self.json("other", b"3")
            wait_until(lambda: "other" in self.guests(), "one that comes beside them", 30)
        self.assertLess(slowest, 2 * uvpace.factor())
        self.assertLess(self.mount.log.stat().st_size, 48 * 1024)

    def test_nothing_there(self):
        self.home.mkdir(parents=True)
        self.start("sandbox=strict")
        self.assertEqual(self.guests(), [])
        wait_until(lambda: "no guests; looked for varstore/NAME.json, nvram/" in
                   self.mount.log.read_text(), "it is said")
        self.json("web", b"1")
        self.await_guests("web")


if __name__ == "__main__":
    uvmount.need_mount()
    if os.getuid() != 0 or not TEMPLATE.exists():
        skip("root's links, and a template of OVMF's")
    unittest.main()
