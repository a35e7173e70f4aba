# SPDX-License-Identifier: GPL-2.0-or-later
"""A JSON store between the engine, virt-fw-vars and stock QEMU: each reads what the others wrote,
and nobody loses anything while QEMU has it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from uvengine import Engine  # noqa: E402
import uvproto as uv  # noqa: E402
from uvskip import skip  # noqa: E402

TEMPLATE = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
QEMU = shutil.which("qemu-system-x86_64")
VENDOR = "12345678-1234-5678-9abc-def012345678"
MTC = "MTC-eb704011-1402-11d3-8e77-00a0c969723b"
COMPACTED_AFTER = 2


if not shutil.which("virt-fw-vars"):
    skip("python3-virt-firmware is not installed")
if not os.path.exists(TEMPLATE):
    skip("ovmf is not installed")


def has_uefi_vars():
    if not QEMU:
        return False
    listed = subprocess.run([QEMU, "-device", "help"], capture_output=True, text=True, check=False)
    return "uefi-vars-x64" in listed.stdout


def virt_fw_vars(*arguments):
    subprocess.run(["virt-fw-vars", *arguments], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def read_json(path):
    """{name-guid: (attributes, data, time)}"""
    with open(path, encoding="utf-8") as file:
        store = json.load(file)
    assert set(store) == {"version", "variables"} and store["version"] == 2, store
    return {f"{v['name']}-{v['guid']}": (v["attr"], v["data"], v.get("time", "00" * 16))
            for v in store["variables"]}


def contents(snapshot):
    """{name-guid: (attributes, data)} of what the host sees, without volatile variables."""
    out = {}
    for name, (content, _) in snapshot["entries"].items():
        attributes = int.from_bytes(content[:4], "little")
        if attributes & 1:
            out[name] = (attributes, content[4:].hex())
    return out


def without_time(variables):
    return {name: value[:2] for name, value in variables.items()}


class Qemu:
    """Stock QEMU with its own device on the store, stopped before the first instruction."""

    def __init__(self, store):
        self.process = subprocess.Popen(
            [QEMU, "-accel", "tcg", "-S", "-M", "q35", "-display", "none", "-nodefaults",
             "-device", f"uefi-vars-x64,jsonfile={store}", "-monitor", "stdio"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={name: value for name, value in os.environ.items() if name != "QEMU_MODULE_DIR"})
        # The prompt comes when the devices are made and the store is loaded.
        self.said = ""
        while "(qemu)" not in self.said:
            piece = self.process.stdout.read(1)
            if not piece:
                raise RuntimeError(f"QEMU does not start: {self.said}")
            self.said += piece

    def stop(self):
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        self.process.stdout.read()
        self.process.stdout.close()
        return self.process.wait(10)


class JsonStore(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.store = os.path.join(self.folder, "vars.json")

    def convert(self):
        virt_fw_vars("-i", TEMPLATE, "--output-json", self.store)
        with open(self.store, encoding="utf-8") as file:
            store = json.load(file)
        if MTC not in read_json(self.store):  # newer images hold keys alone
            store["variables"].append({"name": MTC[:3], "guid": MTC[4:], "attr": 7, "data": "01000000"})
            with open(self.store, "w", encoding="utf-8") as file:
                json.dump(store, file)

    def journal(self):
        return os.path.exists(os.path.join(self.folder, ".uefivarsfs/vars.json.journal"))

    def assert_same(self, found, expected):
        self.assertEqual(sorted(found), sorted(expected))
        for name, value in expected.items():
            self.assertTrue(found[name] == value, name)

    def assert_same_but_modes(self, found, expected):
        """QEMU's device rewrites the mode variables whenever it starts."""
        def others(variables):
            return {name: value for name, value in variables.items() if not name.startswith(
                ("CustomMode-", "SecureBootEnable-", "VendorKeysNv-"))}
        self.assert_same(others(found), others(expected))

    def wait_compacted(self):
        end = time.monotonic() + COMPACTED_AFTER + 5
        while self.journal():
            self.assertLess(time.monotonic(), end, "the journal is still there")
            time.sleep(0.05)

    def test_as_virt_fw_vars_sees_them(self):
        self.convert()
        before = read_json(self.store)
        self.assertGreater(len(before), 3)
        with open(self.store, "rb") as file:
            text = file.read()
        with Engine(self.folder) as engine, engine.host() as host:
            self.assert_same(contents(host.snapshot()), without_time(before))
        with open(self.store, "rb") as file:
            self.assertEqual(file.read(), text, "reading wrote")
        self.assertFalse(os.path.exists(os.path.join(self.folder, ".uefivarsfs")))

    def test_read_by_virt_fw_vars_after_edits(self):
        self.convert()
        before = read_json(self.store)
        with Engine(self.folder) as engine, engine.host() as host:
            host.snapshot()
            host.set_variable("Added", VENDOR, data=b"x" * 3000)
            host.set_variable("Grün 1", VENDOR, data=b"\x00\xff")
            host.delete(MTC)
            seen = contents(host.snapshot())
            self.assertTrue(self.journal())
        self.assertFalse(self.journal())
        after = read_json(self.store)
        self.assert_same(without_time(after), seen)
        self.assertEqual(after[f"Added-{VENDOR}"][1], "78" * 3000)
        for name in set(before) & set(after):
            self.assertEqual(before[name], after[name])
        self.assertEqual(set(after) - set(before), {f"Added-{VENDOR}", f"Grün 1-{VENDOR}"})
        self.assertEqual(set(before) - set(after), {MTC})
        again = os.path.join(self.folder, "again.json")
        virt_fw_vars("-i", self.store, "--output-json", again)
        self.assert_same(without_time(read_json(again)), seen)

    def test_virt_fw_vars_edits_while_the_engine_runs(self):
        self.convert()
        with Engine(self.folder) as engine, engine.host() as host:
            host.snapshot()
            self.assertEqual(host.set_variable("Ours", VENDOR, data=b"1").status, 0)
            self.wait_compacted()
            virt_fw_vars("--inplace", self.store, "--set-true", "Theirs")
            host.check()
            seen = contents(host.snapshot())
            self.assertIn(f"Ours-{VENDOR}", list(seen))
            self.assertTrue(any(name.startswith("Theirs-") for name in seen), "not seen")
            self.assertEqual(host.set_variable("Ours", VENDOR, data=b"2").status, 0)
        after = without_time(read_json(self.store))
        self.assertTrue(any(name.startswith("Theirs-") for name in after))
        self.assertEqual(after[f"Ours-{VENDOR}"][1], "32")

    @unittest.skipUnless(has_uefi_vars(), "no QEMU with uefi-vars-x64")
    def test_stock_qemu_loads_it_after_edits(self):
        self.convert()
        with Engine(self.folder) as engine, engine.host() as host:
            host.snapshot()
            host.set_variable("Edited", VENDOR, data=b"edited")
            seen = contents(host.snapshot())
        qemu = Qemu(self.store)
        self.assertEqual(qemu.stop(), 0)
        self.assert_same_but_modes(without_time(read_json(self.store)), seen)

    @unittest.skipUnless(has_uefi_vars(), "no QEMU with uefi-vars-x64")
    def test_refused_while_stock_qemu_runs(self):
        self.convert()
        with Engine(self.folder) as engine, engine.host() as host:
            host.snapshot()
            self.assertEqual(host.set_variable("Before", VENDOR, data=b"1").status, 0)
            self.wait_compacted()
            qemu = Qemu(self.store)
            with open(self.store, "rb") as file:
                text = file.read()
            for _ in range(3):
                outcome = host.set_variable("During", VENDOR, data=b"2")
                self.assertEqual((outcome.status, outcome.errno), (uv.WRITE_PROTECTED, 0), outcome)
            self.assertIn(f"Before-{VENDOR}", list(contents(host.snapshot())))
            status = json.dumps(host.status())
            self.assertIn("another program", status)
            time.sleep(COMPACTED_AFTER + 0.5)
            with open(self.store, "rb") as file:
                self.assertEqual(file.read(), text, "written under QEMU")
            self.assertEqual(qemu.stop(), 0)
            self.assertEqual(host.set_variable("After", VENDOR, data=b"3").status, 0)
        after = list(read_json(self.store))
        self.assertIn(f"Before-{VENDOR}", after)
        self.assertIn(f"After-{VENDOR}", after)
        self.assertNotIn(f"During-{VENDOR}", after)

    @unittest.skipUnless(has_uefi_vars(), "no QEMU with uefi-vars-x64")
    def test_qemu_started_right_after_an_edit_has_it(self):
        self.convert()
        with Engine(self.folder) as engine, engine.host() as host:
            host.snapshot()
            self.assertEqual(host.set_variable("Journaled", VENDOR, data=b"1").status, 0)
            self.assertTrue(self.journal())
            qemu = Qemu(self.store)
            time.sleep(COMPACTED_AFTER + 0.5)
            self.assertEqual(host.set_variable("During", VENDOR, data=b"2").status,
                             uv.WRITE_PROTECTED)
            self.assertEqual(qemu.stop(), 0)
        self.assertFalse(os.listdir(os.path.join(self.folder, ".uefivarsfs")).count(
            "vars.json.journal.conflict-1"), "taken for a conflict")
        self.assertIn(f"Journaled-{VENDOR}", list(read_json(self.store)))

    def test_killed_and_started_again(self):
        self.convert()
        engine = Engine(self.folder)
        acknowledged = {}
        try:
            for life in range(5):
                with engine.host() as host:
                    host.snapshot()
                    for i in range(40):
                        name = f"V{i % 7}"
                        data = f"{life}.{i}".encode()
                        self.assertEqual(host.set_variable(name, VENDOR, data=data).status, 0)
                        acknowledged[f"{name}-{VENDOR}"] = (7, data.hex())
                engine.kill(signal.SIGKILL)
                engine.start()
            with engine.host() as host:
                seen = contents(host.snapshot())
            for name, value in acknowledged.items():
                self.assertEqual(seen[name], value)
        finally:
            self.assertEqual(engine.stop(), 0)
        self.assertFalse(self.journal())


if __name__ == "__main__":
    unittest.main()
