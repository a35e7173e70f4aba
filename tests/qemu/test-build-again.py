#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU is upgraded under the modules: build-again.sh links them for the new one, as long as that is of the
branch whose headers they were compiled with, and leaves them alone else."""

import pathlib
import shutil
import subprocess
import unittest

from machines import Engine, folder_of
from qemu import MODULE_DIR, DeviceGuest, Qemu, need, uv

GLUE = pathlib.Path(__file__).resolve().parents[2] / "qemu-glue"
MODULES = ["hw-uefi-vars.so", "hw-uefi-vars-engine.so"]


class BuildAgain(unittest.TestCase):
    def setUp(self):
        """What an installation has: modules, QEMU's own put aside, and the parts."""
        top = pathlib.Path(folder_of(self))
        self.modules, self.parts = top / "modules", top / "parts"
        self.modules.mkdir()
        self.parts.mkdir()
        for name in MODULES:
            shutil.copy(pathlib.Path(MODULE_DIR) / name, self.modules)
        for name in ("hw-uefi-vars.a", "hw-uefi-vars-engine.a", "branch"):
            shutil.copy(pathlib.Path(MODULE_DIR) / name, self.parts)
        shutil.copy(GLUE / "build-again.sh", self.parts)
        self.stock = self.modules / "hw-uefi-vars-qemu.so"
        self.branch = (self.parts / "branch").read_text().strip()
        self.right = self.stamp(MODULES[0])

    def stamp(self, name):
        done = subprocess.run([GLUE / "stamp.sh", self.modules / name], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def upgrade(self, stamp):
        """QEMU's own is of that build now."""
        ours = (pathlib.Path(MODULE_DIR) / MODULES[0]).read_bytes()
        self.stock.write_bytes(ours.replace(self.right.encode(), stamp.encode()))

    def build_again(self, version):
        return subprocess.run([self.parts / "build-again.sh", self.modules, version], capture_output=True,
                              text=True, check=False)

    def content(self):
        return {path.name: path.read_bytes() for path in self.modules.iterdir()}

    def test_same_branch(self):
        other = "0123456789abcdef" * 2 + "01234567"
        self.upgrade(other)
        done = self.build_again(f"1:{self.branch}.7+ds-1")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual([self.stamp(name) for name in MODULES], [other] * 2)
        self.assertEqual(sorted(self.content()), sorted([*MODULES, self.stock.name]))
        before = [(self.modules / name).stat().st_ino for name in MODULES]
        self.assertEqual(self.build_again(f"1:{self.branch}.7+ds-1").returncode, 0)
        self.assertEqual([(self.modules / name).stat().st_ino for name in MODULES], before)

    def test_what_is_built_works(self):
        self.upgrade("0" * 40)
        self.assertEqual(self.build_again(self.branch).returncode, 0)
        self.upgrade(self.right)
        self.assertEqual(self.build_again(self.branch).returncode, 0)
        self.stock.unlink()
        with Engine(folder_of(self)) as engine, \
                Qemu(f"uefi-vars-x64,socket={engine.socket}", module_dir=str(self.modules)) as qemu:
            guest = DeviceGuest(qemu)
            guest.setup()
            guest.set("Mine", uv.TEST, uv.NV_BS_RT, b"built again")
            self.assertEqual(engine.variables()[f"Mine-{uv.TEST}"][1], b"built again")

    def test_other_branch(self):
        self.upgrade("0" * 40)
        before = self.content()
        for version in ("1:9.9.1+ds-1", f"{self.branch}0", "", "x"):
            done = self.build_again(version)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"headers of QEMU {self.branch}", done.stderr)
        self.assertEqual(self.content(), before)

    def test_without_a_linker(self):
        self.upgrade("0" * 40)
        before = self.content()
        tools = pathlib.Path(folder_of(self))
        for name in ("cat", "dirname", "grep", "head", "sed", "sh"):
            (tools / name).symlink_to(shutil.which(name))
        done = subprocess.run([self.parts / "build-again.sh", self.modules, self.branch], capture_output=True,
                              text=True, check=False, env={"PATH": str(tools)})
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no ld", done.stderr)
        self.assertEqual(self.content(), before)


if __name__ == "__main__":
    need()
    if not shutil.which("nm") or not shutil.which("ld"):
        raise SystemExit(77)
    unittest.main()
