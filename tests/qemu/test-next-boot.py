#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose PK's key is lost gets new keys while it runs: what waits in next-boot/ is there when
the machine was reset."""

import pathlib
import shutil
import unittest

from machines import Machine, need_guest
from qemu import need, uv
import uvmount
import uvsign

GLOBAL = uv.guid_bytes(uv.GLOBAL)
IMAGE = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")


class LostKey(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        source, self.keys = (self.scratch.path / name for name in ("source", "keys"))
        source.mkdir()
        self.own = uvsign.Key("Own")
        for key in ("PK", "KEK", "db"):
            (self.keys / "own" / key).mkdir(parents=True)
            shutil.copy(self.own.pem, self.keys / "own" / key / "own.crt")
        (source / "vm.json").write_text(uvmount.store_text())
        if IMAGE.exists():
            shutil.copy(IMAGE, source / "flash_VARS.fd")
        self.mount = self.scratch.mount(source, f"keys={self.keys}")

    def rescue(self, name):
        secure = self.mount.guest(name) / "secure-boot"
        guest = Machine(self.mount.socket(name))
        self.addCleanup(guest.close)
        guest.ready()
        self.assertEqual(guest.get("SetupMode", GLOBAL), ("0", 6, b"\0"))
        lost = guest.get("PK", GLOBAL)
        with self.assertRaises(OSError):
            (secure / "enroll").write_text("own\n")
        (self.mount.guest(name) / "next-boot/secure-boot/enroll").write_text("own\n")
        self.assertEqual(guest.get("PK", GLOBAL), lost)
        guest.type("reset")
        guest.ready()
        for key in ("PK", "KEK"):
            status, attributes, data = guest.get(key, GLOBAL)
            self.assertEqual((status, attributes), ("0", 0x27))
            self.assertIn(self.own.der, data)
        self.assertEqual(guest.get("SetupMode", GLOBAL), ("0", 6, b"\0"))
        self.assertIn("enroll", (self.mount.guest(name) / "next-boot/results").read_text())
        self.assertEqual([path.name.split(".")[0] for path in (secure / "PK").glob("*.crt")],
                         ["Own"])

    def test_json(self):
        lost = uvsign.Key("Lost")
        for key in ("db", "KEK", "PK"):
            path = self.mount.guest("vm") / "secure-boot" / key / "replace"
            path.write_bytes(lost.pem.read_bytes())
        self.rescue("vm")

    @unittest.skipUnless(IMAGE.exists(), f"no {IMAGE}")
    def test_flash(self):
        """The image holds Microsoft's keys, and a PK of which only its maker has the key."""
        self.rescue("flash")


if __name__ == "__main__":
    need()
    need_guest("x86_64")
    uvmount.need_mount()
    unittest.main()
