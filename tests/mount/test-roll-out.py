#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""examples/roll-out.sh over guests with different keys, and on a running one."""

import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402
import uvsign as s  # noqa: E402

DB = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
SCRIPT = uvmount.TOP / "examples" / "roll-out.sh"
OVMF = "/usr/share/OVMF/OVMF_VARS_4M.fd"


class RollOut(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.updates = self.scratch.path / "updates"
        self.source.mkdir()
        self.updates.mkdir()
        names = ("PK 1", "PK 2", "KEK 2011", "KEK 2023", "CA 2011", "CA 2023", "Stranger")
        self.keys = {name: s.Key(name) for name in names}
        for guest, pk in (("one", "PK 1"), ("two", "PK 2"), ("other", "Stranger")):
            (self.source / f"{guest}.json").write_text(uvmount.store_text(*self.variables(pk)))
        self.update("KEKUpdate_1.bin", "PK 1", "KEK", s.x509(self.keys["KEK 2023"]))
        self.update("KEKUpdate_2.bin", "PK 2", "KEK", s.x509(self.keys["KEK 2023"]))
        self.update("DBUpdate2024.bin", "KEK 2011", "db", s.x509(self.keys["CA 2023"]))
        self.update("DBXUpdate.bin", "KEK 2011", "dbx", s.hashes(1, 2, 3))

    def variables(self, pk):
        kek = "Stranger" if pk == "Stranger" else "KEK 2011"
        return [uvmount.variable("PK", s.x509(self.keys[pk]), s.KEYS, p.GLOBAL),
                uvmount.variable("KEK", s.x509(self.keys[kek]), s.KEYS, p.GLOBAL),
                uvmount.variable("db", s.x509(self.keys["CA 2011"]), s.KEYS, DB)]

    def update(self, file, key, name, lists):
        guid = p.GLOBAL if name == "KEK" else DB
        (self.updates / file).write_bytes(
            s.write(self.keys[key], name, guid, lists, 5, s.KEYS | 0x40))

    def roll(self, *guests, status=0):
        result = subprocess.run([SCRIPT, self.updates, self.mount.path, *guests],
                                capture_output=True, text=True)
        self.assertEqual(result.returncode, status, result.stderr)
        rows = [line.split(maxsplit=2) for line in result.stdout.splitlines()[1:]]
        return {(guest, name): [" ".join(rest[:60].split()), rest[61:]]
                for guest, name, rest in rows}, result.stderr

    def test_all(self):
        self.mount = self.scratch.mount(self.source)
        device = p.Guest(self.mount.socket("two")).hello()  # it runs
        self.addCleanup(device.close)
        table, said = self.roll(status=1)
        for guest in ("one", "two"):
            self.assertEqual(table[guest, "KEK"], ["KEK 2011", "KEK 2011, KEK 2023"])
            self.assertEqual(table[guest, "db"], ["CA 2011", "CA 2011, CA 2023"])
            self.assertEqual(table[guest, "dbx"], ["0", "3"])
        self.assertEqual(table["other", "KEK"], ["Stranger", "Stranger"])
        self.assertEqual(table["other", "dbx"], ["0", "0"])
        self.assertIn("other: no update of db is for it", said)
        before = {guest: (self.mount.guest(guest) / "store.json").read_bytes()
                  for guest in ("one", "two")}
        table, _ = self.roll("one", "two")
        self.assertEqual(table["one", "db"], ["CA 2011, CA 2023"] * 2)
        for guest, text in before.items():
            self.assertEqual((self.mount.guest(guest) / "store.json").read_bytes(), text)

    def test_flash(self):
        if not os.path.exists(OVMF):
            self.skipTest("no OVMF image")
        shutil.copy(OVMF, self.source / "flash_VARS.fd")
        self.mount = self.scratch.mount(self.source)
        secure = self.mount.guest("flash") / "secure-boot"
        for name, key in (("db", "CA 2011"), ("KEK", "KEK 2011"), ("PK", "PK 1")):
            (secure / name / "replace").write_bytes(self.keys[key].der)
        table, _ = self.roll("flash")
        self.assertEqual(table["flash", "KEK"], ["KEK 2011", "KEK 2011, KEK 2023"])
        self.assertEqual(table["flash", "dbx"], ["0", "3"])

    def test_usage(self):
        result = subprocess.run([SCRIPT, self.updates, self.updates], capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("usage", result.stderr)


if __name__ == "__main__":
    uvmount.need_mount()
    uvmount.need("openssl")
    unittest.main(verbosity=1)
