#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""jsonfile= in a QEMU whose own module was put aside for ours: an engine that serves the store is found
by its path, and in every other case the machine has QEMU's own device."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time
import unittest

from machines import Engine, folder_of
from qemu import MODULE_DIR, DeviceGuest, Qemu, need, uv

GLUE = pathlib.Path(__file__).resolve().parents[2] / "qemu-glue"
STOCK = os.environ.get("UEFIVARS_QEMU_STOCK_MODULE", "")
NOBODY = 65534


def stock_module():
    """The installed module, as stamp.sh finds it."""
    if STOCK:
        return STOCK
    for pattern in ("lib/*/qemu", "lib64/qemu-kvm", "lib64/qemu", "lib/qemu"):
        for path in pathlib.Path("/usr").glob(f"{pattern}/hw-uefi-vars.so"):
            return str(path)
    raise unittest.SkipTest("QEMU's own hw-uefi-vars.so is not here")


def hash_of(path):
    return hashlib.sha256(os.path.realpath(path).encode()).hexdigest()[:16]


class ByStore(unittest.TestCase):
    def setUp(self):
        self.folder = folder_of(self)
        os.chmod(self.folder, 0o755)
        self.modules = f"{self.folder}/modules"
        self.by_store = f"{self.folder}/by-store"
        os.mkdir(self.modules)
        os.mkdir(self.by_store)
        for name in "hw-uefi-vars.so", "hw-uefi-vars-engine.so":
            shutil.copy(f"{MODULE_DIR}/{name}", self.modules)
        shutil.copy(stock_module(), f"{self.modules}/hw-uefi-vars-qemu.so")
        os.environ["UEFIVARS_BY_STORE"] = self.by_store
        self.addCleanup(os.environ.pop, "UEFIVARS_BY_STORE")
        self.store = self.make_store("vars.json")

    def make_store(self, name):
        path = f"{self.folder}/{name}"
        with open(path, "w") as file:
            file.write('{"version": 2, "variables": []}')
        return path

    def socket_of(self, store):
        return f"{self.by_store}/{hash_of(store)}.sock"

    def engine(self, store=None):
        store = store or self.store
        engine = Engine(self.folder, "--store-socket", self.socket_of(store),
                        store=os.path.basename(store), stderr=subprocess.DEVNULL)
        self.addCleanup(engine.__exit__)
        return engine

    def qemu(self, device=None, **kwargs):
        qemu = Qemu(device or f"uefi-vars-x64,jsonfile={self.store}", module_dir=self.modules,
                    **kwargs)
        self.addCleanup(qemu.close)
        return qemu

    def write(self, qemu):
        guest = DeviceGuest(qemu)
        self.assertEqual(guest.set("Mine", uv.TEST, uv.NV_BS, b"by the guest"), uv.SUCCESS)

    def has_open(self, qemu, path):
        """QEMU's own device holds its store open; ours does not."""
        fds = f"/proc/{qemu.process.pid}/fd"
        return any(os.path.realpath(f"{fds}/{fd}") == path for fd in os.listdir(fds))

    def assert_ours(self, qemu, engine):
        self.write(qemu)
        self.assertIn(f"Mine-{uv.TEST}", engine.variables())
        self.assertFalse(self.has_open(qemu, engine.store))

    def assert_qemus(self, qemu, store=None):
        self.write(qemu)
        self.assertTrue(self.has_open(qemu, store or self.store))
        with open(store or self.store) as file:
            self.assertEqual([v["name"] for v in json.load(file)["variables"]
                              if v["name"] == "Mine"], ["Mine"])

    def test_served(self):
        engine = self.engine()
        self.assert_ours(self.qemu(), engine)

    def test_every_form_of_the_option(self):
        store = self.make_store('a, "b" {[,]} é\\.json')
        engine = self.engine(store)
        link = f"{self.folder}/link"
        os.symlink(store, link)
        for device in (f"uefi-vars-x64,jsonfile={store.replace(',', ',,')}",
                       f"driver=uefi-vars-x64,id=x,jsonfile={store.replace(',', ',,')},size=262144",
                       f"uefi-vars-x64,use-pio=off,jsonfile={link}",
                       json.dumps({"driver": "uefi-vars-x64", "jsonfile": store}),
                       json.dumps({"id": "x", "jsonfile": store, "driver": "uefi-vars-x64"},
                                  ensure_ascii=False, indent=1)):
            with self.subTest(device):
                qemu = self.qemu(device)
                self.assert_ours(qemu, engine)
                qemu.quit()

    def test_not_served(self):
        start = time.monotonic()
        self.assert_qemus(self.qemu())
        self.assertLess(time.monotonic() - start, 3)

    def test_nobody_listens_any_more(self):
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(self.socket_of(self.store))
        dead.close()
        self.assert_qemus(self.qemu())

    def test_a_new_store_in_a_served_folder(self):
        os.symlink("/mnt", f"{self.by_store}/{hash_of(self.folder)}.folder")
        made = []
        timer = threading.Timer(1, lambda: made.append(self.engine()))
        timer.start()
        qemu = self.qemu()
        self.write(qemu)
        timer.join()
        self.assertIn(f"Mine-{uv.TEST}", made[0].variables())

    def test_a_folder_that_is_served_no_more(self):
        os.symlink("/mnt", f"{self.by_store}/{hash_of(self.folder)}.folder")
        self.assert_qemus(self.qemu())

    def test_socket_as_ever(self):
        engine = Engine(self.folder, stderr=subprocess.DEVNULL)
        self.addCleanup(engine.__exit__)
        self.assert_ours(self.qemu(f"uefi-vars-x64,socket={engine.socket}"), engine)

    def test_without_a_store(self):
        """As libvirt asks what the device has: it is QEMU's own."""
        qemu = self.qemu("")
        names = {p["name"] for p in qemu.qmp("device-list-properties", typename="uefi-vars-x64")}
        self.assertIn("jsonfile", names)
        self.assertNotIn("socket", names)

    def test_properties_of_qemus_own(self):
        engine = self.engine()
        pcap = f"{self.folder}/trace.pcap"
        qemu = self.qemu(f"uefi-vars-x64,jsonfile={self.store},size=262144,force-secure-boot=off,"
                         f"disable-custom-mode=off,use-pio=off,pcapfile={pcap}")
        self.assert_ours(qemu, engine)
        with open(pcap, "rb") as file:
            data = file.read()
        self.assertEqual(data[:4], b"\xd4\xc3\xb2\xa1")
        self.assertEqual(int.from_bytes(data[20:24], "little"), 302)
        self.assertIn("Mine".encode("utf-16-le"), data)

    def test_engine_comes_back(self):
        """Each HELLO comes with the store, also of a new file by that name."""
        engine = self.engine()
        qemu = self.qemu()
        self.write(qemu)
        engine.kill()
        os.unlink(self.socket_of(self.store))
        os.unlink(engine.socket)
        os.unlink(engine.host_socket)
        engine.start()
        self.assertEqual(DeviceGuest(qemu).get("Mine", uv.TEST)[2], b"by the guest")

    def test_stopped_engine(self):
        """One request waits for it, and holds up all of QEMU; the next ones fail at once."""
        engine = self.engine()
        guest = DeviceGuest(self.qemu())
        guest.set("Mine", uv.TEST, uv.NV_BS, b"1")
        engine.process.send_signal(signal.SIGSTOP)
        took = []
        for _ in range(20):
            start = time.monotonic()
            status, _ = guest.mm(uv.mm_variable(uv.F_READY))
            took.append(time.monotonic() - start)
            self.assertEqual(status, uv.DEVICE_UNKNOWN_ERROR)
        self.assertLess(took[0], 5)
        self.assertLess(sum(took[1:]), 1, took)
        engine.process.send_signal(signal.SIGCONT)
        end = time.monotonic() + 5
        while guest.mm(uv.mm_variable(uv.F_READY))[0] != 0:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        self.assertEqual(guest.get("Mine", uv.TEST)[2], b"1")

    @unittest.skipUnless(os.geteuid() == 0, "only root is two users")
    def test_as_libvirt_runs_it(self):
        """QEMU's user has the store, and shares no group with anybody."""
        os.chown(self.store, NOBODY, NOBODY)
        os.chmod(self.store, 0o600)
        engine = self.engine()
        start = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        qemu = self.qemu(args=["-name", "as-nobody"], popen=start)
        self.assert_ours(qemu, engine)
        qemu.quit()
        os.chown(self.store, 1, 1)
        qemu = self.qemu(qtest=False, popen=start)
        self.assertEqual(qemu.wait(), 1)
        self.assertIn("can't open the store", qemu.stderr())
        self.assertIn("Permission denied", qemu.stderr())

    # QEMU was upgraded under the module.

    def other_stamp(self):
        right = subprocess.run([GLUE / "stamp.sh", stock_module()], capture_output=True, text=True,
                               check=True).stdout.strip()
        for name in "hw-uefi-vars.so", "hw-uefi-vars-engine.so":
            path = pathlib.Path(self.modules, name)
            data = path.read_bytes()
            self.assertIn(right.encode(), data)
            path.write_bytes(data.replace(right.encode(), b"0123456789" * 4))

    def test_module_of_another_build(self):
        self.other_stamp()
        self.engine()
        qemu = self.qemu()
        self.write(qemu)
        self.assertTrue(self.has_open(qemu, self.store))
        self.assertIn("was built for another QEMU than this one", qemu.stderr())

    def test_module_of_another_build_not_served(self):
        self.other_stamp()
        qemu = self.qemu()
        self.assert_qemus(qemu)
        # Modules that are loaded later find everything in order.
        qemu.qmp("device-list-properties", typename="virtio-gpu-pci")
        qemu.qmp("qom-list-types")

    def test_ours_can_not_be_loaded(self):
        os.unlink(f"{self.modules}/hw-uefi-vars-engine.so")
        self.engine()
        qemu = self.qemu()
        self.write(qemu)
        self.assertTrue(self.has_open(qemu, self.store))

    def test_nothing_to_load(self):
        for name in "hw-uefi-vars-engine.so", "hw-uefi-vars-qemu.so":
            os.unlink(f"{self.modules}/{name}")
        qemu = self.qemu(qtest=False)
        self.assertEqual(qemu.wait(), 1)
        self.assertIn("not a valid device model name", qemu.stderr())


if __name__ == "__main__":
    need(engine=True)
    unittest.main()
