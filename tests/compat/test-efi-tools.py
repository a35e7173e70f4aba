#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs that know efivarfs, on the mount: efivar, efibootmgr, efi-readvar, and virt-fw-vars as an
independent reader of the store."""

import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402

OVMF = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
GUID = uvproto.TEST
WRAPPER = uvmount.TOP / "examples" / "efitools"
# Derived by the engine, not in the store.
DERIVED = {"SetupMode", "SecureBoot", "SignatureSupport", "AuditMode", "DeployedMode", "VendorKeys",
           "VendorKeysNv"}


class ToolsTest(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        self.store = self.source / "vm.json"
        self.run_("virt-fw-vars", "-i", OVMF, "--output-json", str(self.store))
        self.add_boot_options()
        self.mount = self.scratch.mount(self.source)
        self.vars = self.mount.vars("vm")
        self.environment = os.environ | {"EFIVARFS_PATH": f"{self.vars}/"}

    def add_boot_options(self):
        """Two, where the image has none."""
        store = json.loads(self.store.read_text())
        if any(v["name"] == "Boot0000" for v in store["variables"]):
            return
        for number, name in enumerate(("One", "Two")):
            path = uvproto.ucs2(f"\\{name}.efi")
            nodes = struct.pack("<BBH", 4, 4, 4 + len(path)) + path + b"\x7f\xff\4\0"
            store["variables"].append(uvmount.variable(
                f"Boot{number:04X}", struct.pack("<IH", 1, len(nodes)) + uvproto.ucs2(name) + nodes,
                guid=uvproto.GLOBAL))
        self.store.write_text(json.dumps(store))

    def run_(self, *command, status=0, **kwargs):
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, **kwargs)
        self.assertEqual(result.returncode, status, f"{command}: {result.stdout}{result.stderr}")
        return result.stdout

    def efi(self, *command, **kwargs):
        return self.run_(*command, env=self.environment, **kwargs)

    def stored(self):
        """What virt-fw-vars sees in the store: {file name: content}."""
        out = self.scratch.path / "seen.json"
        self.run_("virt-fw-vars", "-i", str(self.store), "--output-json", str(out))
        return {f"{v['name']}-{v['guid']}": struct.pack("<I", v["attr"]) + bytes.fromhex(v["data"])
                for v in json.loads(out.read_text())["variables"]}

    def shown(self):
        return {path.name: path.read_bytes() for path in self.vars.iterdir()
                if path.name[:-37] not in DERIVED}

    def test_real_variables(self):
        stored = self.stored()
        self.assertGreater(len(stored), 3)
        shown = self.shown()
        self.assertEqual({name for name in stored if name[:-37] not in DERIVED}, set(shown))
        for name, content in stored.items():
            if name[:-37] not in DERIVED:
                self.assertEqual(shown[name], content, name)

    def test_the_store_is_read_after_edits(self):
        self.mount.write("vm", "Added", b"by the mount")
        self.mount.write("vm", "Timeout", b"\5\0", 7, uvproto.GLOBAL)
        os.unlink(self.vars / f"Added-{GUID}")
        self.mount.write("vm", "Kept", b"kept")
        self.mount.stop()
        stored = self.stored()
        self.assertEqual(stored[f"Timeout-{uvproto.GLOBAL}"], b"\7\0\0\0\5\0")
        self.assertEqual(stored[f"Kept-{GUID}"], b"\7\0\0\0kept")
        self.assertNotIn(f"Added-{GUID}", stored)

    def test_efivar(self):
        listed = set(self.efi("efivar", "-l").split("\n")) - {""}
        names = {f"{name[-36:]}-{name[:-37]}" for name in os.listdir(self.vars)}
        self.assertEqual(listed, names)
        data = self.scratch.path / "data"
        data.write_bytes(b"hello")
        name = f"{GUID}-Test"
        # -t of the older ones is -A of the newer.
        option = "-t" if "-t, " in self.efi("efivar", "--help") else "-A"
        self.efi("efivar", "-w", "-n", name, "-f", str(data), option, "7")
        self.assertEqual(self.mount.read("vm", "Test"), (7, b"hello"))
        shown = self.efi("efivar", "-p", "-n", name)
        self.assertIn("Non-Volatile", shown)
        self.assertIn("68 65 6c 6c 6f", shown)
        self.efi("efivar", "-a", "-n", name, "-f", str(data), option, "7")
        self.assertEqual(self.mount.read("vm", "Test"), (7, b"hellohello"))

    def test_efibootmgr(self):
        before = self.efi("efibootmgr", "-v")
        self.assertIn("Boot0000", before)
        entries = set(re.findall(r"^Boot([0-9A-F]{4})", before, re.M))
        self.create_entry()
        (new,) = set(re.findall(r"^Boot([0-9A-F]{4})", self.efi("efibootmgr"), re.M)) - entries
        self.assertIn("Linux", self.efi("efibootmgr", "-v"))
        self.assertIn(f"BootOrder: {new}", self.efi("efibootmgr"))
        self.efi("efibootmgr", "-o", f"0001,{new},0000")
        self.assertIn(f"BootOrder: 0001,{new},0000", self.efi("efibootmgr"))
        self.efi("efibootmgr", "-n", new)
        self.assertIn(f"BootNext: {new}", self.efi("efibootmgr"))
        self.efi("efibootmgr", "-t", "7")
        self.assertIn("Timeout: 7 seconds", self.efi("efibootmgr"))
        self.efi("efibootmgr", "-N")
        self.efi("efibootmgr", "-b", new, "-B")
        after = self.efi("efibootmgr")
        self.assertNotIn(f"Boot{new}", after)
        self.assertIn("BootOrder: 0001,0000", after)

    def create_entry(self):
        """efibootmgr -c wants a block device with a partition, of a kind it can describe."""
        disk = self.scratch.path / "disk"
        self.make_disk(disk)
        loop = self.run_("losetup", "-P", "-f", "--show", str(disk)).strip()
        try:
            node = pathlib.Path(f"{loop}p1")
            numbers = pathlib.Path(f"/sys/class/block/{node.name}/dev")
            if not numbers.exists():
                print("efibootmgr -c is not tried: this kernel reads no partition tables")
                self.copy_entry()
                return
            if not node.exists():  # nobody makes nodes in a container
                numbers = numbers.read_text()
                major, minor = map(int, numbers.split(":"))
                os.mknod(node, 0o60600, os.makedev(major, minor))
                self.addCleanup(node.unlink)
            self.efi("efibootmgr", "-e", "3", "-c", "-d", loop, "-p", "1", "-L", "Linux", "-l",
                     "\\linux.efi")
        finally:
            self.run_("losetup", "-d", loop)

    def copy_entry(self):
        option = bytearray((self.vars / f"Boot0001-{uvproto.GLOBAL}").read_bytes())
        option[10:] = "Linux\0".encode("utf-16-le") + option[10:].split(b"\0\0\0", 1)[1]
        (self.vars / f"Boot0003-{uvproto.GLOBAL}").write_bytes(option)
        self.efi("efibootmgr", "-o", "0003")

    def make_disk(self, path):
        """One EFI partition in a DOS table."""
        disk = bytearray(512 * 2048)
        disk[440:444] = b"disk"
        disk[446:462] = bytes([0, 0, 2, 0, 0xef, 255, 255, 255]) + struct.pack("<II", 40, 1900)
        disk[510:512] = b"\x55\xaa"
        path.write_bytes(disk)

    def test_efi_readvar(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        script = ("mount -t tmpfs none /sys/firmware; mkdir -p /sys/firmware/efi/efivars; "
                  f"mount --bind {self.vars} /sys/firmware/efi/efivars; "
                  f"PATH={WRAPPER}:$PATH efi-readvar -v KEK; "
                  f"PATH={WRAPPER}:$PATH efi-readvar -v PK -o {self.scratch.path}/pk")
        shown = self.run_("unshare", "-m", "sh", "-ec", script)
        self.assertIn("Microsoft Corporation KEK CA 2011", shown)
        self.assertEqual((self.scratch.path / "pk").read_bytes(),
                         (self.vars / f"PK-{uvproto.GLOBAL}").read_bytes()[4:])


if __name__ == "__main__":
    uvmount.need_mount()
    uvmount.need("virt-fw-vars", "efivar", "efibootmgr", "efi-readvar", "unshare")
    if not os.path.exists(OVMF):
        uvmount.skip(f"no {OVMF}")
    unittest.main(verbosity=1)
