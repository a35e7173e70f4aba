#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""boot/ of a mount beside efibootmgr: what one writes the other shows, for the variable images of
Debian and for two hundred options of all kinds."""

import glob
import pathlib
import random
import re
import shutil
import struct
import subprocess
import sys
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402

IMAGES = sorted(glob.glob("/usr/share/OVMF/*VARS*.fd") + glob.glob("/usr/share/AAVMF/*VARS*.fd") +
                glob.glob("/usr/share/qemu-efi-*/*VARS*.fd"))


def node(type_, subtype, payload=b""):
    return struct.pack("<BBH", type_, subtype, 4 + len(payload)) + payload


END = node(0x7F, 0xFF)
ROOT = node(2, 1, struct.pack("<II", 0x0A0341D0, 0))


def pci(r):
    return ROOT + node(1, 1, bytes([r.randrange(8), r.randrange(32)]))


def file(r):
    name = "\\EFI\\" + r.choice(("debian", "fedora", "BOOT")) + f"\\{r.randrange(999)}.efi"
    return node(4, 4, (name + "\0").encode("utf-16-le"))


def disk(r):
    guid = uuid.UUID(int=r.getrandbits(128)).bytes_le
    return node(4, 1, struct.pack("<IQQ16sBB", r.randrange(1, 9), 2048, 4096, guid, 2, 2)) + file(r)


def mac(r):
    return pci(r) + node(3, 11, r.randbytes(6) + bytes(26) + b"\1")


def ipv4():
    return node(3, 12, struct.pack("<4s4sHHHB4s4s", bytes(4), bytes(4), 0, 0, 0, 0, bytes(4), bytes(4)))


def usb(r):
    return pci(r) + node(3, 5, bytes([r.randrange(8), 0]))


def nvme(r):
    return pci(r) + node(3, 23, struct.pack("<I8s", 1, r.randbytes(8))) + disk(r)


def sata(r):
    return pci(r) + node(3, 18, struct.pack("<HHH", r.randrange(6), 0xFFFF, 0)) + disk(r)


def uri(r):
    return mac(r) + ipv4() + node(3, 24, b"http://boot.example/" + str(r.randrange(99)).encode())


def vendor(r):
    return node(1, 4, r.randbytes(16)) + file(r)


def firmware_file(r):
    return node(4, 7, r.randbytes(16)) + node(4, 6, r.randbytes(16))


KINDS = (disk, file, usb, nvme, sata, lambda r: mac(r) + ipv4(), uri, vendor, firmware_file)


def load_option(path, description="broken", path_bytes=None, data=b""):
    return struct.pack("<IH", 1, len(path) if path_bytes is None else path_bytes) + \
        (description + "\0").encode("utf-16-le") + path + data


FILE = node(4, 4, "\\EFI\\x.efi\0".encode("utf-16-le"))

# What firmware or somebody with an editor has left behind; description and path as we show them; and
# whether efibootmgr shows the same. It reads on where a node is too short for what it says it is,
# forgets what comes behind the first path's end, and gives up at what it can't read.
BROKEN = (
    (load_option(b""), "broken\thex:", False),
    (load_option(END), "broken\t", True),
    (load_option(END + END), "broken\t", True),
    (load_option(FILE), "broken\thex:" + FILE.hex(), False),
    (load_option(b"\4\4\2\0" + END), "broken\thex:040402007fff0400", False),
    (load_option(b"\4\4\xff\x7f" + END), "broken\thex:0404ff7f7fff0400", False),
    (load_option(node(9, 9, b"abc") + END), "broken\tPath(9,9,616263)", False),
    (load_option(node(4, 1, b"short") + END), "broken\tPath(4,1,73686f7274)", False),
    (load_option(node(3, 5) + END), "broken\tPath(3,5)", False),
    (load_option(node(4, 4, b"\x00\xd8\0\0") + END), "broken\tPath(4,4,00d80000)", False),
    (load_option(FILE + END, data=b"x\0y"), "broken\tFile(\\EFI\\x.efi)", True),
    (load_option(FILE + node(0x7F, 1) + FILE + END),
     "broken\tFile(\\EFI\\x.efi),File(\\EFI\\x.efi)", False),
    (load_option(END, "tab\there"), "tab\\u0009here\t", False),
    (load_option(END, ""), "\t", True),
    (load_option(node(3, 19, struct.pack("<HHQH", 0, 0, 0, 1) + b"iqn.2020-01.example\0") + END),
     "broken\tiSCSI(iqn.2020-01.example,1,0x0,None,None,CHAP_BI,TCP)", True),
    (load_option(END, path_bytes=400),
     "(not a load option)\thex:" + load_option(END, path_bytes=400).hex(), False),
    (b"\1\0\0\0", "(not a load option)\thex:01000000", False),
    (b"\1\0\0\0\4\0a\0b\0", "(not a load option)\thex:01000000040061006200", False),
)


def option(r, number):
    path = r.choice(KINDS)(r) + END
    description = r.choice(("debian", "UEFI QEMU DVD-ROM", "Windows Boot Manager", "x" * 40)) + \
        f" {number}"
    return struct.pack("<IH", r.randrange(2), len(path)) + (description + "\0").encode("utf-16-le") + \
        path


def plain(text):
    """As efivar 39 and later show a file's path: alone."""
    return re.sub(r"File\(([^)]*)\)", r"\1", text)


class BootView(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()

    def start(self):
        self.mount = self.scratch.mount(self.source)

    def efibootmgr(self, guest, *arguments):
        result = subprocess.run(
            ["efibootmgr", *arguments], capture_output=True, text=True,
            env={"EFIVARFS_PATH": f"{self.mount.vars(guest)}/", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def theirs(self, guest):
        """Number -> active, and description and path in one."""
        rows = re.findall(r"^Boot([0-9A-F]{4})(.) (.*)$", self.efibootmgr(guest, "-v"), re.M)
        return {number: (mark == "*", text) for number, mark, text in rows}

    def ours(self, guest):
        lines = (self.mount.guest(guest) / "boot/summary").read_text().splitlines()[3:]
        rows = [line.split("\t") for line in lines]
        return {number: (mark == "*", f"{description}\t{path}")
                for number, mark, description, path, _ in rows}

    def agree(self, guest):
        theirs, ours = self.theirs(guest), self.ours(guest)
        self.assertEqual(ours.keys(), theirs.keys())
        for number, (active, text) in ours.items():
            self.assertEqual(active, theirs[number][0], number)
            # Behind the path efibootmgr shows optional data.
            self.assertTrue(plain(theirs[number][1]).startswith(plain(text)), (text, theirs[number][1]))
        return len(ours)

    def test_images(self):
        if not IMAGES:
            self.skipTest("no variable images")
        for number, image in enumerate(IMAGES):
            shutil.copy(image, self.source / f"image{number}_VARS.fd")
        self.start()
        r = random.Random(1)
        for number in range(len(IMAGES)):
            guest = f"image{number}"
            before = self.agree(guest)
            self.mount.write(guest, "Boot0099", option(r, 99), 7, p.GLOBAL)
            self.assertEqual(self.agree(guest), before + 1)

    def test_made_up(self):
        r = random.Random(2)
        variables = [uvmount.variable(f"Boot{n:04X}", option(r, n), 7, p.GLOBAL) for n in range(200)]
        order = struct.pack("<100H", *r.sample(range(200), 100))
        (self.source / "vm.json").write_text(
            uvmount.store_text(*variables, uvmount.variable("BootOrder", order, 7, p.GLOBAL)))
        self.start()
        self.assertEqual(self.agree("vm"), 200)
        shown = [int(number, 16) for number in self.ours("vm")]
        self.assertEqual(shown[:100], list(struct.unpack("<100H", order)))

    def test_broken(self):
        """Each is shown, whatever it is, and as efibootmgr does where that reads what is there."""
        for n, (data, _, _) in enumerate(BROKEN):
            (self.source / f"vm{n}.json").write_text(uvmount.store_text(
                uvmount.variable("Boot0001", data, 7, p.GLOBAL)))
        self.start()
        for n, (data, shown, agrees) in enumerate(BROKEN):
            with self.subTest(n=n, data=data.hex()):
                self.assertEqual(self.ours(f"vm{n}")["0001"][1], shown)
                if agrees:
                    self.assertEqual(self.agree(f"vm{n}"), 1)

    def test_both_ways(self):
        r = random.Random(3)
        (self.source / "vm.json").write_text(uvmount.store_text(
            *(uvmount.variable(f"Boot{n:04X}", option(r, n), 7, p.GLOBAL) for n in range(4))))
        self.start()
        boot = self.mount.guest("vm") / "boot"
        self.efibootmgr("vm", "-o", "3,1,2")
        self.assertEqual((boot / "order").read_text(), "0003\n0001\n0002\n")
        self.efibootmgr("vm", "-n", "2")
        self.assertEqual((boot / "next").read_text(), "0002\n")
        self.efibootmgr("vm", "-t", "7")
        self.assertEqual((boot / "timeout").read_text(), "7\n")
        if "version 18" not in self.efibootmgr("vm", "-V"):  # it finds no entry to activate, nowhere
            self.efibootmgr("vm", "-b", "1", "-a")
            self.assertEqual((boot / "0001/active").read_text(), "1\n")
            self.efibootmgr("vm", "-b", "1", "-A")
            self.assertEqual((boot / "0001/active").read_text(), "0\n")
        self.efibootmgr("vm", "-b", "1", "-B")
        self.assertFalse((boot / "0001").exists())
        (boot / "order").write_text("0000 0002\n")
        (boot / "next").write_text("0000\n")
        (boot / "timeout").write_text("9\n")
        (boot / "0005").mkdir()
        (boot / "0005/path").write_text("File(\\EFI\\debian\\shimx64.efi)\n")
        (boot / "0005/description").write_text("by hand\n")
        said = self.efibootmgr("vm", "-v")
        for line in ("BootOrder: 0000,0002", "BootNext: 0000", "Timeout: 9 seconds"):
            self.assertIn(line, said)
        self.assertIn("Boot0005* by hand\t\\EFI\\debian\\shimx64.efi", plain(said))
        self.agree("vm")


if __name__ == "__main__":
    uvmount.need_mount()
    uvmount.need("efibootmgr")
    unittest.main(verbosity=1)
