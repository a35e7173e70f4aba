#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The system's libvirt, and domains with <varstore/> as virt-install defines them, once the packages are
installed and nothing else was done: on our engines, and on QEMU's own device in every case that has none.

Run by test-domains.sh, in a root that may be spoilt: usage: domains.py GUEST PACKAGES [TEST...]
UV_ROUNDS is the number of lives that test_lives has of a domain.
"""

import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(HERE / "lib"), str(HERE / "qemu")]
import uvlibvirt  # noqa: E402
import uvproto as p  # noqa: E402
from console import Console  # noqa: E402
from uvmount import process_state, wait_until  # noqa: E402

GUEST, PACKAGES = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
ROUNDS = int(os.environ.get("UV_ROUNDS") or (100 if os.environ.get("UV_LONG") else 3))
STORES = pathlib.Path("/var/lib/libvirt/qemu/varstore")
MOUNT = pathlib.Path("/run/uefivars/varstore")
UNIT = pathlib.Path("/usr/lib/systemd/system/uefivarsfs-libvirt@.service")
FIRMWARE = "/usr/share/seabios/bios-256k.bin"
REAL_FIRMWARE = os.environ.get("UEFIVARS_FIRMWARE")
DESCRIPTORS = pathlib.Path("/etc/qemu/firmware")
# Where a domain's life could leave something: our folders, and those where others have their logs too.
OURS = (str(STORES), "/run/uefivars", "/run/uefivarsfs", "/var/lib/uefivarsfs")
LEFT = (*OURS, "/var/lib/libvirt", "/etc/libvirt/qemu", "/run/libvirt/qemu", "/tmp")
MARK = "by-the-guest"
TIMESTAMP = "trusted.libvirt.security.timestamp_dac"
# What a stop of one engine may add to what libvirt does with a domain.
MORE_S = 2


class System(uvlibvirt.Daemon):
    """The system's own, as root."""

    connection = "qemu:///system"

    def __init__(self):
        super().__init__("/run/uv-libvirt")
        self.processes = []

    def run(self, *words, **kwargs):
        return subprocess.Popen(list(map(str, words)), stdin=subprocess.DEVNULL, **kwargs)

    def start(self):
        os.makedirs("/run/libvirt", exist_ok=True)
        with open(self.folder / "log", "ab") as log:
            self.processes = [self.run(name, stdout=log, stderr=log) for name in ("virtlogd", "libvirtd")]
        self.process = self.processes[1]
        wait_until(self.answers, "libvirtd answers", 60, 0.1)


class Front:
    """What systemd starts once libvirt's folder is there."""

    def __init__(self):
        self.process = None

    def start(self):
        commands = {"ExecStartPre": [], "ExecStart": []}
        for line in UNIT.read_text().splitlines():
            key, _, value = line.partition("=")
            if key in commands:
                words = value.replace("%i", STORES.name).replace("$OPTIONS", "")
                commands[key].append(shlex.split(words.lstrip("-")))
        for command in commands["ExecStartPre"]:
            subprocess.run(command, check=False)
        self.process = subprocess.Popen(commands["ExecStart"][0])
        wait_until((MOUNT / "guests").is_dir, "the mount", 30)

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


class Guest(Console):
    """The domain's serial line."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.listen(self.socket, self.socket.makefile("wb"))

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


class Case(unittest.TestCase):
    def setUp(self):
        self.addCleanup(self.clear)
        if FRONT.process is None or FRONT.process.poll() is not None:
            FRONT.start()

    def clear(self):
        SYSTEM.clear()
        for path in [*STORES.glob("*.json"), *STORES.glob(".uefivarsfs/*")]:
            path.unlink(missing_ok=True)

    def define(self, name, store="<varstore/>", devices=""):
        serial = self.serial(name)
        said = SYSTEM.define(name, f"<kernel>{GUEST}</kernel>{store}", devices=serial + devices)
        self.assertIsNone(said)

    def serial(self, name):
        return (f"<serial type='unix'><source mode='bind' path='/run/uv-libvirt/{name}.serial'/></serial>"
                f"<memballoon model='none'/>")

    def store(self, name):
        return STORES / f"{name}.json"

    def connect(self, name, serial=None):
        guest = Guest(f"/run/uv-libvirt/{serial or name}.serial")
        self.addCleanup(guest.close)
        return guest

    def start(self, name, *options, serial=None):
        """Not running before we listen to it."""
        SYSTEM.virsh("start", name, "--paused", *options)
        guest = self.connect(name, serial)
        SYSTEM.virsh("resume", name)
        guest.ready()
        return guest

    def is_running(self, name):
        """Also while it is shut down: it still has its store then."""
        return SYSTEM.virsh("domstate", name)[1].strip() != "shut off"

    def off(self, name, guest):
        guest.type("off")
        wait_until(lambda: not self.is_running(name), "the domain's end", 30, 0.05)
        guest.close()

    def modules(self, name):
        """The devices that its QEMU has loaded."""
        pid = int(pathlib.Path(f"/run/libvirt/qemu/{name}.pid").read_text())
        lines = pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
        return {line.rpartition("/")[2] for line in lines if "hw-uefi-vars-" in line}

    def assert_ours(self, name):
        self.assertEqual(self.modules(name), {"hw-uefi-vars-engine.so"})

    def assert_qemus(self, name):
        self.assertEqual(self.modules(name), {"hw-uefi-vars-qemu.so"})

    def file(self, name, variable):
        return MOUNT / "guests" / name / "vars" / f"{variable}-{p.TEST}"

    def host_write(self, name, variable, data):
        """While libvirt gives the file to another user the administrator may have to ask twice."""
        def done():
            try:
                self.file(name, variable).write_bytes(p.NV_BS_RT.to_bytes(4, "little") + data)
                return True
            except OSError:
                return False
        wait_until(done, f"{variable} is written", 20, 0.05)

    def host_read(self, name, variable):
        return self.file(name, variable).read_bytes()[4:]

    def kept(self, name):
        """What the file has, which is all that QEMU's own device would find."""
        variables = json.loads(self.store(name).read_text())["variables"]
        return {v["name"]: bytes.fromhex(v["data"]) for v in variables if v["guid"] == p.TEST}

    def write(self, guest, data, variable=MARK):
        self.assertEqual(guest.set(variable, p.NV_BS_RT, data), "0")

    def look(self, name):
        """Owner, mode and attributes, but for the host's start as libvirt notes it."""
        path = self.store(name)
        st = path.stat()
        attributes = {key: os.getxattr(path, key) for key in os.listxattr(path) if key != TIMESTAMP}
        return st.st_uid, st.st_gid, st.st_mode, attributes


class Served(Case):
    def test_starts(self):
        """With the firmware that libvirt finds alone, and with <varstore/>."""
        for name, store in ("plain", ""), ("web", "<varstore/>"), ("a.config", "<varstore/>"):
            self.define(name, store)
            guest = self.start(name)
            self.assert_ours(name)
            self.write(guest, b"1")
            self.assertEqual(self.host_read(name, MARK), b"1")
            self.host_write(name, "Host", b"2")
            self.assertEqual(guest.get("Host"), ("0", p.NV_BS_RT, b"2"))
            status = json.loads((MOUNT / "guests" / name / "status.json").read_text())
            self.assertEqual(status["store"]["path"], str(self.store(name)))
            self.assertNotIn("taint", SYSTEM.virsh("dominfo", name)[1])
            self.off(name, guest)
            self.assertEqual(self.kept(name), {MARK: b"1", "Host": b"2"})

    @unittest.skipUnless(REAL_FIRMWARE, "UEFIVARS_FIRMWARE is not set")
    def test_real_firmware(self):
        """To where it has its boot options, with Secure Boot's state, and again after a reset."""
        descriptor = DESCRIPTORS / "05-real.json"
        describe(descriptor, "real", REAL_FIRMWARE)
        self.addCleanup(descriptor.unlink)
        self.assertIsNone(SYSTEM.define("real", "<varstore/>", devices=self.serial("real")))
        SYSTEM.virsh("start", "real")
        self.assert_ours("real")
        variables = MOUNT / "guests/real/vars"
        order = variables / f"BootOrder-{p.GLOBAL}"
        wait_until(order.exists, "the firmware's boot options", 120, 0.2)
        self.assertTrue((variables / f"SecureBoot-{p.GLOBAL}").exists())
        self.host_write("real", "Host", b"kept")
        SYSTEM.virsh("reset", "real")
        wait_until(lambda: not (variables / f"BootCurrent-{p.GLOBAL}").exists() and order.exists(),
                   "its next start", 120, 0.2)
        SYSTEM.virsh("destroy", "real")
        self.assertEqual(self.kept("real"), {"Host": b"kept"})
        self.assertIn('"BootOrder"', self.store("real").read_text())

    def live(self, name, number):
        """One life: nothing lost, and nothing left."""
        mine = b"%d" % number
        self.define(name)
        guest = self.start(name)
        self.assert_ours(name)
        self.write(guest, mine)
        self.host_write(name, "Host", mine)
        SYSTEM.virsh("reset", name)
        guest.ready()
        self.assertEqual((guest.get(MARK)[2], guest.get("Host")[2]), (mine, mine))
        # The button alone does nothing to this guest: it goes off as a system does that was asked to.
        SYSTEM.virsh("reboot", name)
        guest.type("off")
        guest.ready()
        self.assertEqual(guest.get(MARK)[2], mine)
        self.save_and_restore(name, guest, mine)
        new = f"{name}-renamed"
        SYSTEM.virsh("domrename", name, new)
        self.renamed(name, new, mine)

    def save_and_restore(self, name, guest, mine):
        SYSTEM.virsh("managedsave", name)
        guest.close()
        SYSTEM.virsh("start", name)
        guest = self.connect(name)
        self.assertEqual(guest.get(MARK)[2], mine)
        self.assert_ours(name)
        state = SYSTEM.folder / "state"
        SYSTEM.virsh("save", name, state)
        guest.close()
        SYSTEM.virsh("restore", state)
        guest = self.connect(name)
        self.assertEqual(guest.get("Host")[2], mine)
        self.write(guest, mine + b"r")
        self.off(name, guest)
        self.assertEqual(self.kept(name), {MARK: mine + b"r", "Host": mine})

    def renamed(self, name, new, mine):
        """The file keeps its name."""
        guest = self.start(new, serial=name)
        self.assert_ours(new)
        self.assertEqual(guest.get(MARK)[2], mine + b"r")
        self.off(new, guest)
        guest = self.start(new, "--reset-nvram", serial=name)
        self.assert_ours(new)
        self.assertNotEqual(guest.get(MARK)[0], "0")
        self.write(guest, b"anew")
        self.assertEqual(self.host_read(name, MARK), b"anew")
        self.off(new, guest)
        self.assertEqual(self.kept(name), {MARK: b"anew"})
        SYSTEM.virsh("undefine", new, "--nvram")

    def left(self, tops):
        """All files there; of our mount the guests alone."""
        found = {str(path) for path in (MOUNT / "guests").iterdir()}
        for top in tops:
            for folder, folders, files in os.walk(top):
                folders[:] = [name for name in folders if os.path.join(folder, name) != str(MOUNT)]
                found.update(os.path.join(folder, name) for name in folders + files)
        return found

    def assert_left(self, before, tops):
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: self.left(tops) <= before, "all is tidy", 20, 0.2)
        self.assertEqual(self.left(tops) - before, set())

    def test_lives(self):
        """A life leaves nothing in our folders; of libvirt's, the first one its logs and empty folders."""
        before, begun = self.left(OURS), time.monotonic()
        for number in range(ROUNDS):
            self.live("web", number)
            self.assertEqual(list(STORES.glob("*.json")), [])
            self.assert_left(before, OURS)
            if number == 0:
                first = self.left(LEFT)
            self.assert_left(first, LEFT)
        print(f"{ROUNDS} lives in {time.monotonic() - begun:.0f} s: nothing lost, nothing left")

    def test_snapshot(self):
        """Of memory, and back to it: the variables are as they were."""
        self.define("web")
        guest = self.start("web")
        self.write(guest, b"before")
        memory = SYSTEM.folder / "memory"
        SYSTEM.virsh("snapshot-create-as", "web", "one", "--memspec", f"file={memory},snapshot=external")
        self.write(guest, b"after")
        guest.close()
        SYSTEM.virsh("snapshot-revert", "web", "one")
        guest = self.connect("web")
        self.assert_ours("web")
        self.assertEqual(guest.get(MARK)[2], b"before")
        self.assertEqual(self.host_read("web", MARK), b"before")
        SYSTEM.virsh("snapshot-delete", "web", "one", "--metadata")
        self.off("web", guest)
        self.assertEqual(self.kept("web"), {MARK: b"before"})

    def test_internal_snapshot(self):
        """All of it in the disk's image, and back, also to a machine that has ended."""
        disk = SYSTEM.folder / "disk.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "64M"], check=True)
        self.define("web", devices=f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{disk}'/>"
                                   "<target dev='vda' bus='virtio'/></disk>")
        guest = self.start("web")
        self.write(guest, b"before")
        SYSTEM.virsh("snapshot-create-as", "web", "one")
        self.write(guest, b"after")
        SYSTEM.virsh("snapshot-revert", "web", "one")
        guest.close()
        guest = self.connect("web")
        self.assertEqual(guest.get(MARK)[2], b"before")
        self.assertEqual(self.host_read("web", MARK), b"before")
        self.write(guest, b"later")
        self.off("web", guest)
        SYSTEM.virsh("snapshot-revert", "web", "one")
        guest = self.connect("web")
        self.assert_ours("web")
        self.assertEqual(guest.get(MARK)[2], b"before")
        self.off("web", guest)
        self.assertEqual(self.kept("web"), {MARK: b"before"})
        SYSTEM.virsh("snapshot-delete", "web", "one")

    def test_labels(self):
        """Each step leaves the store to whom QEMU's own device leaves it."""
        self.assertEqual(self.labels("ours", self.assert_ours), self.stock_labels())

    def stock_labels(self):
        FRONT.stop()
        try:
            return self.labels("stock", self.assert_qemus)
        finally:
            FRONT.start()

    def labels(self, name, assert_device):
        looks = []
        self.define(name)
        for options, end in (([], "off"), ([], "destroy"), (["--reset-nvram"], "off"), ([], "managedsave")):
            guest = self.start(name, *options)
            assert_device(name)
            self.write(guest, b"1" * 5000)
            looks.append(self.look(name))
            if end == "off":
                self.off(name, guest)
            else:
                SYSTEM.virsh(end, name)
            looks.append(self.look(name))
        return looks


class Stopped(Case):
    """An engine that stands still."""

    def took(self, *words):
        begun = time.monotonic()
        SYSTEM.virsh(*words)
        return time.monotonic() - begun

    def round(self):
        """What libvirt does: with all of them, with one, and with the one whose engine it is, until it starts
        anew."""
        took = {"list": self.took("list", "--all"), "destroy other": self.took("destroy", "other"),
                "start other": self.took("start", "other"), "dominfo": self.took("dominfo", "web"),
                "destroy": self.took("destroy", "web"), "start": self.took("start", "web")}
        for name in "web", "other":
            SYSTEM.virsh("destroy", name)
        return took

    def start_both(self, assert_device):
        for name in "web", "other":
            self.write(self.start(name), b"1")
            assert_device(name)

    def test_stopped_engine(self):
        for name in "web", "other":
            self.define(name)
        FRONT.stop()
        self.start_both(self.assert_qemus)
        without = self.round()
        FRONT.start()
        self.start_both(self.assert_ours)
        engine = json.loads((MOUNT / "guests/web/status.json").read_text())["engine"]["pid"]
        os.kill(engine, signal.SIGSTOP)
        self.addCleanup(self.go_on, engine)
        wait_until(lambda: process_state(engine) == "T", "it stands still")
        stopped = self.round()
        print("seconds without us, with one engine that stands still:",
              ", ".join(f"{what} {without[what]:.2f} {stopped[what]:.2f}" for what in without))
        for what, seconds in stopped.items():
            self.assertLess(seconds - without[what], MORE_S, what)
        self.assertFalse(process_state(engine), "another one has its place")
        guest = self.start("web")
        self.assert_ours("web")
        self.assertEqual(guest.get(MARK), ("0", p.NV_BS_RT, b"1"))

    def go_on(self, engine):
        with contextlib.suppress(ProcessLookupError):
            os.kill(engine, signal.SIGCONT)


class Without(Case):
    """Nothing of ours serves, and every domain starts."""

    def setUp(self):
        super().setUp()
        self.define("web")
        guest = self.start("web")
        self.assert_ours("web")
        self.write(guest, b"ours")
        self.off("web", guest)

    def on_qemus(self):
        guest = self.start("web")
        self.assert_qemus("web")
        self.assertEqual(guest.get(MARK)[2], b"ours")
        self.write(guest, b"qemu's")
        self.off("web", guest)
        self.assertEqual(self.kept("web"), {MARK: b"qemu's"})

    def test_front_down(self):
        FRONT.stop()
        self.on_qemus()
        FRONT.start()
        guest = self.start("web")
        self.assert_ours("web")
        self.assertEqual(guest.get(MARK)[2], b"qemu's")

    def test_front_killed(self):
        """Its engine ends some seconds later, and may serve till then."""
        os.kill(FRONT.process.pid, signal.SIGKILL)
        FRONT.process.wait()
        guest = self.start("web")
        self.assertEqual(guest.get(MARK)[2], b"ours")
        self.off("web", guest)

    def test_upgrade(self):
        """QEMU of another build than the modules."""
        folder = next(pathlib.Path("/usr/lib").glob("*/qemu/hw-uefi-vars-engine.so")).parent
        for name in "hw-uefi-vars.so", "hw-uefi-vars-engine.so":
            module = folder / name
            kept = SYSTEM.folder / name
            shutil.copy2(module, kept)
            self.addCleanup(os.replace, shutil.copy2(kept, f"{module}.kept"), module)
            data = module.read_bytes()
            at = data.index(b"qemu_stamp_") + len(b"qemu_stamp_")
            stamp = data[at:at + 40]
            module.unlink()
            module.write_bytes(data.replace(stamp, b"0123456789" * 4))
        self.on_qemus()

    def test_package_removed(self):
        def dpkg(*words):
            subprocess.run(["dpkg", *words], check=True, stdout=subprocess.DEVNULL)
        dpkg("--remove", "uefivars-qemu")
        self.addCleanup(dpkg, "--install", *map(str, PACKAGES.glob("uefivars-qemu_*.deb")))
        guest = self.start("web")
        self.assertEqual(self.modules("web"), set())
        self.assertEqual(guest.get(MARK)[2], b"ours")
        self.off("web", guest)


def describe(path, what, firmware):
    """As packages of firmware for the device have it."""
    path.write_text(json.dumps({
        "description": what, "interface-types": ["uefi"], "features": [], "tags": [],
        "mapping": {"device": "memory", "filename": firmware, "uefi-vars": {"template": str(TEMPLATE)}},
        "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}]}))


SYSTEM = System()
FRONT = Front()


def setUpModule():
    SYSTEM.start()


def tearDownModule():
    SYSTEM.close()
    FRONT.stop()


if __name__ == "__main__":
    TEMPLATE = SYSTEM.folder / "template.json"
    TEMPLATE.write_text('{"version": 2, "variables": []}')
    DESCRIPTORS.mkdir(parents=True, exist_ok=True)
    describe(DESCRIPTORS / "10-uefi-vars.json", "bare metal", FIRMWARE)
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
