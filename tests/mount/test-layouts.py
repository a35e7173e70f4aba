#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""layout=auto: stores as Incus, LXD and Proxmox keep them, and on block devices."""

import contextlib
import contextlib
import errno
import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402
import uvuboot  # noqa: E402
from uvmount import wait_until  # noqa: E402
from uvskip import skip  # noqa: E402

TEMPLATE = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
EMPTY = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
VARIABLE = f"Here-{p.TEST}"


class Layouts(unittest.TestCase):
    options = ("layout=auto", "idle=1")

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        incus = self.source / "web"
        incus.mkdir()
        shutil.copy(TEMPLATE, incus / "OVMF_VARS.4MB.ms.fd")
        (incus / "qemu.nvram").symlink_to("OVMF_VARS.4MB.ms.fd")
        (incus / "backup.yaml").write_text("")
        lxd = self.source / "db"
        lxd.mkdir()
        shutil.copy(TEMPLATE, lxd / "qemu.nvram")
        for number, suffix in ((100, "qcow2"), (101, "raw")):
            folder = self.source / str(number)
            folder.mkdir()
            subprocess.run(["qemu-img", "convert", "-O", suffix, TEMPLATE,
                            folder / f"vm-{number}-disk-0.{suffix}"], check=True)
            with open(folder / f"vm-{number}-disk-1.{suffix}", "wb") as disk:
                disk.truncate(1 << 30)
        large = self.source / "102"
        large.mkdir()
        with open(large / "vm-102-disk-0.raw", "wb") as disk:
            disk.truncate(1 << 30)
        other = self.source / "103"
        other.mkdir()
        shutil.copy(TEMPLATE, other / "vm-100-disk-0.raw")
        self.mount = self.scratch.mount(self.source, *self.options)

    def guests(self):
        return sorted(os.listdir(self.mount.path / "guests"))

    def check(self, guest):
        """Read, written, and read again by another engine."""
        self.assertTrue((self.mount.vars(guest) / f"PK-{p.GLOBAL}").exists(), guest)
        self.mount.write(guest, "Here", b"1")
        self.mount.kill_engine(guest)
        self.assertEqual(self.mount.read(guest, "Here"), (7, b"1"))


class Auto(Layouts):
    def test_folders(self):
        self.assertEqual(self.guests(), ["100", "101", "db", "web"])
        for guest in self.guests():
            self.check(guest)

    def test_what_others_read(self):
        for guest, file in (("web", "OVMF_VARS.4MB.ms.fd"), ("101", "vm-101-disk-0.raw")):
            self.mount.write(guest, "Here", b"1")
            text = subprocess.run(["virt-fw-vars", "-i", self.source / guest / file, "--print"],
                                  capture_output=True, check=True).stdout
            self.assertIn(b"Here", text)
        self.assertTrue((self.source / "web/qemu.nvram").is_symlink())

    def test_not_renamed(self):
        with self.assertRaises(OSError) as caught:
            os.rename(self.mount.guest("100"), self.mount.guest("200"))
        self.assertEqual(caught.exception.errno, errno.EPERM)
        self.assertIn("100", self.guests())

    def test_an_own_store_counts_first(self):
        (self.source / "db/vars.json").write_text(uvmount.store_text(uvmount.variable("Own", b"1")))
        self.assertEqual(self.mount.read("db", "Own"), (7, b"1"))

    def test_one_that_comes(self):
        folder = self.source / "new"
        folder.mkdir()
        shutil.copy(TEMPLATE, folder / "qemu.nvram")
        wait_until(lambda: "new" in self.guests(), "the new guest")
        self.check("new")

    def test_a_block_device(self):
        image = self.scratch.path / "image"
        shutil.copy(TEMPLATE, image)
        (self.source / "volume.fd").symlink_to(self.attach(image))
        wait_until(lambda: "volume" in self.guests(), "the device's guest")
        self.check("volume")

    def attach(self, image):
        made = subprocess.run(["losetup", "-f", "--show", image], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if made.returncode != 0:
            self.skipTest("no loop devices here")
        device = made.stdout.strip()
        self.addCleanup(self.forget, device)
        return device

    def test_a_block_device_that_others_write(self):
        """Through another node, which leaves no mark at the one that is known here."""
        image, node = self.scratch.path / "image", self.scratch.path / "node"
        shutil.copy(TEMPLATE, image)
        device = self.attach(image)
        (self.source / "volume.fd").symlink_to(device)
        wait_until(lambda: "volume" in self.guests(), "the device's guest")
        summary = self.mount.guest("volume") / "secure-boot" / "summary"
        os.mknod(node, stat.S_IFBLK | 0o600, os.stat(device).st_rdev)
        for template, mode in ((TEMPLATE, "user"), (EMPTY, "setup"), (TEMPLATE, "user")):
            with open(node, "r+b") as file:
                file.write(template.read_bytes())
            names = os.listdir(self.mount.vars("volume"))
            self.assertEqual(f"PK-{p.GLOBAL}" in names, mode == "user")
            self.assertIn(f"mode: {mode}\n", summary.read_text())
            self.assertEqual(self.mount.status("volume")["secure-boot"]["setup-mode"], mode == "setup")
            wait_until(lambda: not self.mount.engines(), "its engine ended")
            if mode == "setup":
                self.mount.stop()
                self.mount.start()

    def forget(self, device):
        self.mount.stop()
        subprocess.run(["losetup", "-d", device], check=True)
        for path in pathlib.Path("/dev/.uefivarsfs").glob(os.path.basename(device) + ".*"):
            path.unlink()
        with contextlib.suppress(OSError):  # others' may be there
            os.rmdir("/dev/.uefivarsfs")


class UBoot(unittest.TestCase):
    """Read, and never written."""

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.file = self.source / "board/ubootefi.var"
        self.file.parent.mkdir(parents=True)
        self.write(uvuboot.entry("Here", p.TEST, b"1"),
                   uvuboot.entry("Empty", p.TEST, b""),
                   uvuboot.entry("Boot0001", p.GLOBAL, b"no option", 7))
        self.mount = self.scratch.mount(self.source, "layout=auto", "idle=1")

    def write(self, *entries):
        self.file.write_bytes(uvuboot.file(*entries))

    def refused(self, text, action, *arguments):
        before = self.file.read_bytes()
        with self.assertRaises(OSError) as caught:
            action(*arguments)
        self.assertEqual(caught.exception.errno, errno.EROFS)
        if text:
            self.assertIn(text, self.mount.status("board")["last-refusal"]["text"])
        self.assertEqual(self.file.read_bytes(), before)

    def test_read(self):
        listed = os.listdir(self.mount.vars("board"))
        self.assertIn(f"Boot0001-{p.GLOBAL}", listed)
        self.assertNotIn(f"Empty-{p.TEST}", listed)
        self.assertEqual(self.mount.read("board", "Here"), (7, b"1"))
        store = self.mount.status("board")["store"]
        self.assertEqual(store["format"], "uboot")
        self.assertIs(store["read-only"], True)
        exported = (self.mount.guest("board") / "store.json").read_text()
        self.assertEqual([v["name"] for v in json.loads(exported)["variables"]],
                         ["Here", "Boot0001"])
        self.assertEqual((self.mount.guest("board") / "store.img").read_bytes(),
                         self.file.read_bytes())

    def test_never_written(self):
        folder = self.mount.guest("board")
        whole = json.dumps({"version": 2, "variables": []})
        why = "a file of U-Boot's, which is only read"
        self.refused(why, self.mount.write, "board", "Here", b"2")
        self.refused(why, self.mount.write, "board", "New", b"2")
        self.refused(why, os.unlink, self.mount.vars("board") / VARIABLE)
        self.refused(why, (folder / "store.json").write_text, whole)
        self.refused(why, (folder / "store.img").write_bytes, TEMPLATE.read_bytes())
        self.refused(why, (folder / "firmware/instantiate").write_text, "factory")
        # When its engine ends, what shows the guest without one is kept.
        left = {path.name for path in self.file.parent.rglob("[!.]*")}
        self.assertEqual(left - {"ubootefi.var.export"}, {"ubootefi.var"})

    def test_one_without_variables_stays(self):
        self.write()
        wait_until(lambda: VARIABLE not in os.listdir(self.mount.vars("board")), "no variables")
        self.refused("a file of U-Boot's", os.rmdir, self.mount.guest("board"))

    def test_what_uboot_writes_shows(self):
        self.assertEqual(self.mount.read("board", "Here"), (7, b"1"))
        self.write(uvuboot.entry("Here", p.TEST, b"two"))
        wait_until(lambda: self.mount.read("board", "Here") == (7, b"two"), "the new content")

    def test_rewritten_without_pause(self):
        """What can't be read then is told for what it is; it can be when there is a pause."""
        aside = self.source / "board/aside"
        stop = threading.Event()

        def rewrite():
            number = 0
            while not stop.is_set():
                number += 1
                aside.write_bytes(uvuboot.file(uvuboot.entry("Here", p.TEST, b"%d" % number)))
                os.rename(aside, self.file)
                stop.wait(0.002)

        def read():
            with contextlib.suppress(OSError):
                return self.mount.read("board", "Here")[1]

        writer = threading.Thread(target=rewrite)
        writer.start()
        end = time.monotonic() + 4
        told = set()
        while time.monotonic() < end:
            read()
            told.add(json.dumps(self.mount.status("board")["warnings"]))
        stop.set()
        writer.join()
        self.assertNotIn("died while it was starting", " ".join(told) + self.mount.log.read_text())
        wait_until(lambda: uvuboot.file(uvuboot.entry("Here", p.TEST, read() or b"")) ==
                   self.file.read_bytes(), "the last content", 15, 0.1)

    def test_hostile(self):
        self.file.write_bytes(self.file.read_bytes()[:-8])
        with self.assertRaises(OSError):
            self.mount.read("board", "Here")
        wait_until(lambda: "ubootefi.var: offset 0x10: expected" in
                   json.dumps(self.mount.status("board")), "the reason in status.json")

    def test_as_source(self):
        mount = self.scratch.mount(self.file, name="file")
        self.assertIn(VARIABLE, os.listdir(mount.path))
        with self.assertRaises(OSError) as caught:
            os.unlink(mount.path / VARIABLE)
        self.assertEqual(caught.exception.errno, errno.EROFS)


class Own(Layouts):
    options = ()

    def test_none(self):
        self.assertEqual(self.guests(), [])


class Option(unittest.TestCase):
    def test_nothing_there(self):
        """Who finds guests/ empty is told what was looked for."""
        with uvmount.Scratch() as scratch:
            source = scratch.path / "source"
            source.mkdir()
            mount = scratch.mount(source, "layout=auto")
            self.assertEqual(os.listdir(mount.path / "guests"), [])
            wait_until(lambda: "no guests; looked for" in mount.log.read_text(), "the line")
            for name in ("qemu.nvram", "vm-NAME-disk-0.raw", "ubootefi.var"):
                self.assertIn(name, mount.log.read_text())

    def test_unknown(self):
        done = subprocess.run([uvmount.UEFIVARSFS, "/tmp", "/tmp", "-o", "layout=other"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("layout=other: not one of own, auto", done.stderr)


del Layouts

if __name__ == "__main__":
    uvmount.need_mount()
    uvmount.need("qemu-img", "virt-fw-vars")
    if os.getuid() != 0 or not TEMPLATE.exists():
        skip("root's links, and a template of OVMF's")
    unittest.main()
