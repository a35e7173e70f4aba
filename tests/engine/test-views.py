#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Views over the host socket: what boot/ lists, reads and takes."""

import errno
import pathlib
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
from uvengine import EngineTest  # noqa: E402


def node(type_, subtype, payload):
    return struct.pack("<BBH", type_, subtype, 4 + len(payload)) + payload


END = node(0x7F, 0xFF, b"")


def file_path(name):
    return node(4, 4, (name + "\0").encode("utf-16-le"))


def load_option(description, path, data=b"", attributes=1):
    path += END
    return (struct.pack("<IH", attributes, len(path)) +
            (description + "\0").encode("utf-16-le", "surrogatepass") + path + data)


class Boot(EngineTest):
    def setUp(self):
        super().setUp()
        self.h = self.host(self.engine())
        self.option(1, "one", "\\EFI\\one.efi")
        self.option(2, "two", "\\EFI\\two.efi", b"\0data\xff")
        self.option(0xA, "ten", "\\EFI\\ten.efi", attributes=0)
        self.set("BootOrder", struct.pack("<3H", 2, 1, 0x77))

    def set(self, name, data):
        self.assertEqual(self.h.set_variable(name, data=data)[0], 0)

    def option(self, number, description, file, data=b"", attributes=1):
        self.set(f"Boot{number:04X}", load_option(description, file_path(file), data, attributes))

    def variable(self, name):
        entry = self.h.snapshot()["entries"].get(f"{name}-{p.GLOBAL}")
        return entry[0][4:] if entry else None

    def read(self, path):
        return self.h.view_read("boot", path).decode()

    def write(self, path, text):
        outcome = self.h.view_act("boot", path, text.encode())
        self.assertEqual(outcome[0], 0, outcome)

    def refused(self, wanted, path, content=b"", act=p.VIEW_WRITE):
        before = self.h.export()
        outcome = self.h.view_act("boot", path, content, act)
        self.assertEqual(outcome[1], wanted, outcome)
        self.assertTrue(outcome[2])
        self.assertEqual(self.h.export(), before)
        return outcome[2]

    def test_list(self):
        files = self.h.view_list("boot")
        self.assertEqual({path for path in files if path.startswith("0002")},
                         {"0002"} | {f"0002/{name}" for name in
                                     ("description", "path", "data", "active", "hidden")})
        self.assertEqual(files["0002"][0], 0o40755)
        for path, (mode, size) in files.items():
            if mode & 0o170000 == 0o100000:
                self.assertEqual(len(self.h.view_read("boot", path)), size, path)

    def test_read(self):
        self.assertEqual(self.read("order"), "0002\n0001\n0077\n")
        self.assertEqual(self.read("0002/description"), "two\n")
        self.assertEqual(self.read("0002/path"), "File(\\EFI\\two.efi)\n")
        self.assertEqual(self.h.view_read("boot", "0002/data"), b"\0data\xff")
        self.assertEqual(self.read("0002/active") + self.read("000A/active"), "1\n0\n")
        self.assertEqual(self.read("next") + self.read("timeout") + self.read("current"), "")
        self.assertEqual(self.read("firmware-setup"), "0\n")
        for path in ("nothing", "0003/path", "0002/nothing", "0002", "000a/path"):
            self.assertIsNone(self.h.view_read("boot", path), path)

    def test_summary(self):
        self.assertEqual(self.read("summary").splitlines(), [
            "next:", "current:", "timeout:",
            "0002\t*\ttwo\tFile(\\EFI\\two.efi)\t\\EFI\\two.efi",
            "0001\t*\tone\tFile(\\EFI\\one.efi)\t\\EFI\\one.efi",
            "0077\t-\t(not there)\t\t",
            "000A\t-\tten\tFile(\\EFI\\ten.efi)\t\\EFI\\ten.efi"])

    def test_order(self):
        self.write("order", "0001, 000a\n0002\n")
        self.assertEqual(self.variable("BootOrder"), struct.pack("<3H", 1, 10, 2))
        self.assertIn("0003", self.refused(errno.EINVAL, "order", b"0001 0003"))
        self.refused(errno.EINVAL, "order", b"1 2")
        self.refused(errno.EINVAL, "order", b"0001 0001")
        self.refused(errno.EINVAL, "order", b"\xff\xfe")
        self.write("order", "\n")
        self.assertIsNone(self.variable("BootOrder"))

    def test_next_and_timeout(self):
        self.write("next", "0002\n")
        self.assertEqual(self.variable("BootNext"), b"\2\0")
        self.assertIn("next: 0002\n", self.read("summary"))
        self.write("next", "\n")
        self.assertIsNone(self.variable("BootNext"))
        self.write("timeout", "300")
        self.assertEqual(self.variable("Timeout"), struct.pack("<H", 300))
        self.assertEqual(self.h.view_act("boot", "timeout", act=p.VIEW_REMOVE)[0], 0)
        self.assertEqual(self.h.view_act("boot", "timeout", act=p.VIEW_REMOVE)[0], 0)
        self.assertIsNone(self.variable("Timeout"))
        self.refused(errno.EINVAL, "timeout", b"65536")
        self.refused(errno.EINVAL, "timeout", b"-1")
        self.refused(errno.EINVAL, "next", b"0003")
        self.refused(errno.EPERM, "summary", b"x")
        self.refused(errno.EPERM, "order", act=p.VIEW_REMOVE)

    def test_firmware_setup(self):
        self.set("OsIndications", struct.pack("<Q", 0x40))
        self.write("firmware-setup", "1\n")
        self.assertEqual(self.variable("OsIndications"), struct.pack("<Q", 0x41))
        self.write("firmware-setup", "0")
        self.assertEqual(self.variable("OsIndications"), struct.pack("<Q", 0x40))
        self.refused(errno.EINVAL, "firmware-setup", b"yes")

    def test_edit_option(self):
        self.write("0001/description", "Überraschung\n")
        self.write("0001/path", "HD(1,GPT,f5b6a1d3-5a73-4b6e-8a10-0123456789ab,0x800,0x1000)"
                                "/File(\\EFI\\neu.efi)\n")
        self.write("0001/hidden", "1")
        self.write("0001/active", "0")
        self.assertEqual(self.h.view_act("boot", "0001/data", b"\n\0raw \n")[0], 0)
        self.assertEqual(self.read("0001/description"), "Überraschung\n")
        self.assertEqual(self.h.view_read("boot", "0001/data"), b"\n\0raw \n")
        self.assertEqual(self.variable("Boot0001"), load_option(
            "Überraschung",
            node(4, 1, struct.pack("<IQQ", 1, 0x800, 0x1000) +
                 bytes.fromhex("d3a1b6f5735a6e4b8a100123456789ab") + b"\2\2") +
            file_path("\\EFI\\neu.efi"), b"\n\0raw \n", attributes=8))
        self.refused(errno.EINVAL, "0001/path", b"HD(1)")
        self.refused(errno.EINVAL, "0001/description", b"a\nb")
        self.refused(errno.EINVAL, "0001/active", b"2")
        self.refused(errno.ENOENT, "0003/path", b"File(x)")
        self.refused(errno.ENOENT, "0001/nothing", b"x")
        self.refused(errno.EINVAL, "0001/data", b"x" * 70000)
        self.refused(errno.EINPROGRESS, "0001/data", act=p.VIEW_REMOVE)

    def test_make_and_remove(self):
        self.assertEqual(self.h.view_act("boot", "0007", act=p.VIEW_MKDIR)[0], 0)
        self.assertEqual(self.read("0007/active") + self.read("0007/path"), "0\n\n")
        self.write("0007/path", "PciRoot(0x0)/Pci(0x1f,0x2)/Sata(0,65535,0)")
        self.assertEqual(self.read("0007/active"), "1\n")
        self.refused(errno.EEXIST, "0007", act=p.VIEW_MKDIR)
        for name in ("007", "000b", "nine", "0007x"):
            self.refused(errno.EINVAL, name, act=p.VIEW_MKDIR)
        self.write("order", "0007 0001 0002")
        self.assertEqual(self.h.view_act("boot", "0001", act=p.VIEW_RMDIR)[0], 0)
        self.assertEqual(self.variable("BootOrder"), struct.pack("<2H", 7, 2))
        self.assertIsNone(self.variable("Boot0001"))
        self.refused(errno.ENOENT, "0001", act=p.VIEW_RMDIR)

    def test_hostile_options(self):
        """What no load option is, and what would break lines, is shown and costs nobody else."""
        self.h.set_variable("Boot0003", data=load_option("a\nb\ud800", file_path("\\a\tb")))
        self.h.set_variable("Boot0004", attributes=3, data=b"\1\0\0\0\xff\xff")
        self.h.set_variable("Boot0005", data=load_option("x", node(2, 1, b"") + node(3, 24, b"")))
        summary = self.read("summary")
        self.assertEqual(len(summary.splitlines()), 3 + 3 + 3, summary)
        self.assertEqual(self.read("0003/description"), "a\\u000ab\\ud800\n")
        before = self.variable("Boot0003")
        self.write("0003/description", self.read("0003/description"))
        self.write("0003/path", self.read("0003/path"))
        self.assertEqual(self.variable("Boot0003"), before)

    def test_malformed_requests(self):
        for payload in (b"", b"\xff\xff", p.host_name("nowhere"), p.host_name("boot") + b"x"):
            self.assert_error(p.E_STATE, self.h.request, p.HOST_VIEW_LIST, payload)
        for path in ("", "/order", "../order", "0001//path", "0001/"):
            self.assert_error(p.E_STATE, self.h.view_read, "boot", path)
        self.assert_error(p.E_STATE, self.h.view_act, "boot", "order", b"", 4)


if __name__ == "__main__":
    unittest.main()
