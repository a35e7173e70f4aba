#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A libvirt as SOURCE: its domains are guests, wherever their stores are, and as it changes so does the
mount."""

import errno
import hashlib
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvlibvirt  # noqa: E402
import uvmount  # noqa: E402
from uvlibvirt import USER, flash  # noqa: E402
from uvmount import wait_until  # noqa: E402

PROGRAM = uvmount.BUILD / "fusefs" / "libvirt" / "uefivars-libvirt"
FAKE = uvmount.BUILD / "tests" / "mount" / "fake-libvirt.so"
CODE, VARS = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
NAME = "Greeting-6d6f7265-2d74-6573-7473-2d6865726521"
HELLO = b"\x07\x00\x00\x00hello"


def run_folder():
    return pathlib.Path("/run/uefivarsfs")


def folder_of(source):
    """Where the monitor has a folder for each domain."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    return run_folder() / f"libvirt-{digest}.domains"


class Case(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)

    def mount(self, source, *options):
        """Whatever the test does, at a clean end nothing is left behind."""
        self.addCleanup(lambda: self.assertFalse(folder_of(source).exists()))
        self.addCleanup(self.scratch.__exit__)
        self.mounted = self.scratch.mount(source, *options)
        return self.mounted

    def own(self, file="made-up"):
        """A SOURCE that no other run of a test has: what was killed may still have it mounted."""
        return f"libvirt+test://{self.scratch.path}/{file}"

    def guests(self):
        return sorted(os.listdir(self.mounted.path / "guests"))

    def variables(self, name):
        """[] also while what failed a moment ago is not tried again."""
        try:
            return os.listdir(self.mounted.vars(name))
        except OSError:
            return []

    def wait_for_guests(self, *names):
        wait_until(lambda: self.guests() == sorted(names), f"guests {names}", 20)


class TestDriver(Case):
    """libvirt's own driver for tests, which needs no daemon and takes any domain."""

    def node(self, *domains):
        files = []
        for number, text in enumerate(domains):
            path = self.scratch.path / f"d{number}.xml"
            path.write_text(text)
            files.append(f"<domain file='{path.name}'/>")
        (self.scratch.path / "node.xml").write_text(f"<node>{''.join(files)}</node>")
        return f"libvirt+test://{self.scratch.path}/node.xml"

    def store(self, name="a_VARS.fd"):
        path = self.scratch.path / name
        shutil.copy(VARS, path)
        os.chmod(path, 0o600)
        return path

    def domain(self, name, store="", number=1, **more):
        return uvlibvirt.domain(name, store, kind="test",
                                uuid=f"11111111-1111-1111-1111-{number:012x}", **more)

    def test_names(self):
        names = ["plain", "two words", "it's \"quoted\"", "gäst-日本", "-dash", "100%", "x_VARS", "a.config"]
        odd = {".dot": "%2Edot", "a.config.json": "a%2Econfig.json", "tab\there": "tab%09here",
               "%2Edot": "%252Edot"}
        long = "n" * 230
        mount = self.mount(self.node(*[self.domain(name, number=number + 1)
                                       for number, name in enumerate([*names, *odd, long])]))
        shown = self.guests()
        self.assertEqual(sorted([*names, *odd.values()]),
                         [name for name in shown if not name.startswith("nnn")])
        (cut,) = [name for name in shown if name.startswith("nnn")]
        self.assertEqual(len(cut), 200)
        self.assertIn("%~", cut)
        for name in shown:
            self.assertEqual(os.listdir(mount.vars(name)), [])

    def test_store_is_where_the_xml_says(self):
        store = self.store()
        mount = self.mount(self.node(self.domain("web", f"<nvram>{store}</nvram>")))
        variable = mount.vars("web") / NAME
        variable.write_bytes(HELLO)
        self.assertEqual(variable.read_bytes(), HELLO)
        self.assertEqual(mount.status("web")["store"]["path"], str(store))
        self.assertEqual(mount.stop(), 0)
        self.assertIn("hello", store.read_bytes().decode("latin1"))

    def test_json_store(self):
        store = self.scratch.path / "odd name"
        store.write_text(uvmount.store_text())
        os.chmod(store, 0o600)
        mount = self.mount(self.node(self.domain("web", f"<varstore path='{store}'/>")))
        if mount.status("web")["store"]["path"] != str(store):
            self.skipTest("this libvirt has no <varstore>")
        (mount.vars("web") / NAME).write_bytes(HELLO)
        self.assertEqual(mount.stop(), 0)
        self.assertIn("Greeting", store.read_text())

    def test_never_started(self):
        path = self.scratch.path / "later_VARS.fd"
        mount = self.mount(self.node(self.domain("new"), self.domain("later", f"<nvram>{path}</nvram>", 2),
                                     self.domain("far", "<nvram>/nowhere/at/all</nvram>", 3),
                                     self.domain("bios", number=4, firmware="")))
        self.assertEqual(self.guests(), ["far", "later", "new"])
        for name in self.guests():
            self.assertEqual(os.listdir(mount.vars(name)), [])
            with self.assertRaises(OSError):
                (mount.vars(name) / NAME).write_bytes(HELLO)
            self.assertIn("libvirt makes it when it first starts", mount.status(name)["last-refusal"]["text"])
        self.assertEqual(mount.status("far")["store"]["path"], "/nowhere/at/all")
        self.assertFalse(path.exists())
        self.store(path.name)
        wait_until(lambda: self.variables("later"), "the store that came is seen", 10)

    def test_paths_that_are_no_stores(self):
        here = self.scratch.path
        os.mkfifo(here / "fifo")
        (here / "secret").write_text("not a store")
        os.chmod(here / "secret", 0o600)
        os.symlink(here / "secret", here / "link")
        os.lchown(here / "link", USER, USER)
        os.symlink(here, here / "way")
        os.lchown(here / "way", USER, USER)
        self.store("other_VARS.fd")
        os.chown(here / "other_VARS.fd", 1234, 1234)
        os.mkdir(here / "theirs")
        os.chown(here / "theirs", USER, USER)
        shutil.copy(VARS, here / "theirs" / "root_VARS.fd")
        bad = {"fifo": here / "fifo", "link": here / "link", "way": here / "way" / "secret",
               "folder": here, "device": "/dev/zero", "secret": here / "secret", "proc": "/proc/1/mem",
               "root": here / "theirs" / "root_VARS.fd"}
        mount = self.mount(self.node(*[self.domain(name, f"<nvram>{path}</nvram>", number + 1)
                                       for number, (name, path) in enumerate(bad.items())]))
        self.assertEqual(self.guests(), sorted(bad))
        for name in bad:
            with self.assertRaises(OSError, msg=name):
                (mount.vars(name) / NAME).write_bytes(HELLO)
        self.assertEqual((here / "secret").read_text(), "not a store")
        self.assertEqual((here / "theirs" / "root_VARS.fd").read_bytes(), pathlib.Path(VARS).read_bytes())

    def test_only_libvirt_makes_domains(self):
        mount = self.mount(self.node(self.domain("web", f"<nvram>{self.store()}</nvram>")))
        for act in (lambda: mount.guest("new").mkdir(), lambda: mount.guest("web").rmdir(),
                    lambda: mount.guest("web").rename(mount.guest("other")),
                    lambda: (mount.guest("web") / "config.json").write_text("{}")):
            with self.assertRaises(PermissionError):
                act()
        self.assertEqual(self.guests(), ["web"])

    def test_a_thousand(self):
        start = time.monotonic()
        self.mount(self.node(*[self.domain(f"vm{number}", f"<nvram>/none/{number}.fd</nvram>", number + 1)
                               for number in range(1000)]))
        wait_until(lambda: len(self.guests()) == 1000, "all are listed", 60)
        print(f"1000 domains: {time.monotonic() - start:.2f} s from the start to the list")

    def test_what_is_no_libvirt_of_this_host(self):
        (self.scratch.path / "m").mkdir()
        for source in ("libvirt://host/system", "libvirt:system", "libvirt+qemu+ssh:///system",
                       "libvirt+qemu://host/system", "libvirt+:///x", "libvirt+ext:x"):
            done = subprocess.run([uvmount.UEFIVARSFS, source, self.scratch.path / "m"], capture_output=True,
                                  text=True, timeout=20, check=False)
            self.assertEqual(done.returncode, 1, source)
            self.assertIn("a libvirt of this host is expected", done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)

    def test_mounted_once(self):
        node = self.node(self.domain("web", f"<nvram>{self.store()}</nvram>"))
        self.mount(node)
        (self.scratch.path / "m").mkdir()
        done = subprocess.run([uvmount.UEFIVARSFS, node, self.scratch.path / "m"], capture_output=True, text=True,
                              timeout=20, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("mounted already", done.stderr)
        reader = self.scratch.mount(node, "ro", name="ro")
        self.assertEqual(os.listdir(reader.path / "guests"), ["web"])

    def test_libvirt_is_not_there(self):
        mount = self.mount(self.own("nowhere/node.xml"))
        self.assertEqual(self.guests(), [])
        wait_until(lambda: "read-only" in mount.log.read_text(), "it says so", 10)


# What stands in for uefivars-libvirt: each run of it sends the packets of the next file, the last one stays.
STANDS_IN = """#!{python}
import pathlib, socket, sys, time
folder = pathlib.Path({folder!r})
link = socket.socket(fileno=3)
runs = len(list(folder.glob("ran-*")))
(folder / f"ran-{{runs}}").touch()
for line in (folder / f"run-{{runs}}").read_text().split():
    data, _, n = line.partition("*")
    fds = [0] * int(n or 0)
    socket.send_fds(link, [bytes.fromhex(data)], fds) if fds else link.send(bytes.fromhex(data))
sent = 0
while True:
    more = folder / f"more-{{sent}}"
    if more.exists():
        for line in more.read_text().split():
            link.send(bytes.fromhex(line))
        sent += 1
    time.sleep(0.02)
"""
IS, GONE, ALL, LOST = 1, 2, 3, 4
JSON, FLASH = 0, 1


def packet(kind, guest="", text="", form=FLASH, flags=0):
    data = struct.pack("<III256s512s", kind, flags, form, os.fsencode(guest), os.fsencode(text))
    return (data.rstrip(b"\0") or b"\0").hex()


class WithAnother(Case):
    """Another program tells of the domains."""

    def install(self, script):
        programs, helpers = self.scratch.path / "bin", self.scratch.path / "libexec" / "uefivarsfs"
        for folder in (programs, helpers):
            folder.mkdir(parents=True)
        shutil.copy(uvmount.UEFIVARSFS, programs)
        (programs / "uefivarsd").symlink_to(uvmount.UEFIVARSD)
        (helpers / "uefivars-make").symlink_to(uvmount.BUILD / "fusefs" / "uefivars-make")
        (helpers / "uefivars-qcow2").symlink_to(uvmount.BUILD / "vars" / "uefivars-qcow2")
        (helpers / "uefivars-libvirt").write_text(script)
        (helpers / "uefivars-libvirt").chmod(0o755)
        self.addCleanup(setattr, uvmount, "UEFIVARSFS", uvmount.UEFIVARSFS)
        uvmount.UEFIVARSFS = programs / "uefivarsfs"


class StandIn(WithAnother):
    """What tells of the domains was taken over, or tells of what this host's libvirt does not have."""

    def setUp(self):
        super().setUp()
        self.folder = self.scratch.path / "fake"
        self.folder.mkdir()
        self.install(STANDS_IN.format(python=sys.executable, folder=str(self.folder)))

    def runs(self, *runs):
        for number, packets in enumerate(runs):
            (self.folder / f"run-{number}").write_text("\n".join(packets))
        return self.mount(self.own())

    def more(self, number, *packets):
        (self.folder / "more").write_text("\n".join(packets))
        (self.folder / "more").rename(self.folder / f"more-{number}")

    def test_varstore(self):
        store = self.scratch.path / "varstore" / "web.json"
        store.parent.mkdir()
        store.write_text(uvmount.store_text())
        os.chmod(store, 0o600)
        mount = self.runs([packet(IS, "web", str(store), JSON), packet(ALL)])
        self.wait_for_guests("web")
        (mount.vars("web") / NAME).write_bytes(HELLO)
        by_store = run_folder() / "by-store"
        hashes = {what: hashlib.sha256(os.fsencode(what)).hexdigest()[:16] for what in (store, store.parent)}
        self.assertTrue((by_store / f"{hashes[store]}.sock").is_socket())
        self.assertEqual(os.readlink(by_store / f"{hashes[store.parent]}.folder"), str(store.parent))
        self.more(0, packet(IS, "new", str(store), JSON), packet(GONE, "web"))
        self.wait_for_guests("new")
        wait_until(lambda: NAME in self.variables("new"), "the same store", 10)
        self.assertEqual(mount.stop(), 0)
        self.assertIn("Greeting", store.read_text())
        self.assertFalse((by_store / f"{hashes[store.parent]}.folder").is_symlink())

    def test_what_is_not_believed(self):
        good = [packet(IS, "web", str(self.scratch.path / "none.fd")), packet(ALL)]
        bad = [packet(9, "x"), "00", packet(IS, "", "/v/x"), packet(IS, "x", "v/x"), packet(IS, "x", "/v/../x"),
               packet(IS, "x", "/v//x"), packet(IS, "x", "/v/x\n"), packet(IS, "x", "/v", 7),
               packet(IS, "x", "/v", flags=2), packet(IS, "n" * 256, "/v"), packet(IS, "x", "/" + "v" * 511),
               packet(IS, "a\x1bb", "/v"), "11" * 781, packet(IS, "x", "/v") + "*4"]
        mount = self.runs(*[[one] for one in bad], good)
        wait_until(lambda: self.guests() == ["web"], "the one that is believed", 60)
        self.assertEqual(len(list(self.folder.glob("ran-*"))), len(bad) + 1)
        self.assertEqual(mount.log.read_text().count("what it said last stands"), 1)

    def test_names_that_are_no_guests(self):
        names = [".", "..", ".new", "../x", "a/b", "x.config.json", "n" * 201, "n" * 255]
        self.runs([*[packet(IS, name, "/v/x") for name in names], *[packet(GONE, name) for name in names],
                   packet(IS, "web", "/v/x"), packet(IS, "fds", "/v/x") + "*2", packet(ALL)])
        self.wait_for_guests("fds", "web")
        self.assertEqual(sorted(os.listdir(folder_of(self.own()))), ["fds", "web"])

    def test_what_it_knew_goes_when_it_is_not_told_again(self):
        self.runs([packet(IS, name, "/v/x") for name in ("a", "b")] + [packet(ALL), packet(LOST, "", "bye")],
                  [packet(IS, "b", "/v/x"), packet(ALL)])
        self.wait_for_guests("a", "b")
        self.wait_for_guests("b")

    def test_one_that_says_nothing(self):
        started = time.monotonic()
        self.runs([])
        self.assertEqual(self.guests(), [])
        self.assertLess(time.monotonic() - started, 20)


class AnyVersion(WithAnother):
    """What newer libvirts say, and what no test of this host's may have."""

    def setUp(self):
        super().setUp()
        self.daemon = uvlibvirt.MadeUp(self.scratch.path / "daemon")
        self.addCleanup(self.daemon.close)
        # With a sanitizer its library comes first, if it is asked.
        self.install("#!/bin/sh\n"
                     f"exec env LD_PRELOAD={FAKE} UV_MADE_UP_LIBVIRT={self.daemon.path} "
                     f'ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 {PROGRAM} "$@"\n')

    def has(self, *domains):
        self.daemon.have(*[(number + 1, name, uvlibvirt.domain(name, store), *more)
                           for number, (name, store, *more) in enumerate(domains)])

    def start(self, *domains):
        self.has(*domains)
        return self.mount(self.own())

    def folder(self, name="stores"):
        path = self.scratch.path / name
        path.mkdir()
        return path

    def path_of(self, name):
        return self.mounted.status(name)["store"]["path"]

    def wait_for_file(self, store):
        journal = store.parent / ".uefivarsfs" / f"{store.name}.journal"
        wait_until(lambda: "Greeting" in store.read_text() and not journal.exists(), "the file has it", 20)

    def json_store(self, path):
        path.write_text(uvmount.store_text())
        os.chmod(path, 0o600)
        return path

    def test_varstore(self):
        """As libvirt 12 has it, from the definition by virt-install to undefine --nvram."""
        store = self.folder() / "web.json"
        mount = self.start(("web", "<varstore template='/usr/share/edk2/vars.json'/>"))
        self.wait_for_guests("web")
        self.assertEqual(os.listdir(mount.vars("web")), [])
        self.json_store(store)
        self.has(("web", f"<varstore template='/usr/share/edk2/vars.json' path='{store}'/>"))
        wait_until(lambda: self.path_of("web") == str(store), "its store is known", 20)
        (mount.vars("web") / NAME).write_bytes(HELLO)
        self.assertIn("json", mount.status("web")["store"]["format"])
        self.has(("new name", f"<varstore path='{store}'/>"))
        self.wait_for_guests("new name")
        wait_until(lambda: NAME in self.variables("new name"), "it has its variables", 20)
        self.wait_for_file(store)
        store.unlink()
        self.has()
        self.wait_for_guests()
        wait_until(lambda: os.listdir(store.parent) == [], "nothing is left of it", 20)

    def test_what_was_not_in_a_removed_store_is_kept(self):
        store = self.json_store(self.folder() / "web.json")
        mount = self.start(("web", f"<varstore path='{store}'/>"))
        self.wait_for_guests("web")
        (mount.vars("web") / NAME).write_bytes(HELLO)
        engine = mount.engine_pid("web")
        os.kill(engine, signal.SIGKILL)
        store.unlink()
        self.has()
        self.wait_for_guests()
        kept = store.parent / ".uefivarsfs" / "web.json.journal.conflict-1"
        wait_until(kept.exists, "it is kept", 20)
        wait_until(lambda: os.listdir(kept.parent) == [kept.name], "and nothing else", 20)

    def test_qcow2(self):
        """By its format; nothing in its name says so."""
        uvmount.need("qemu-img", "qemu-storage-daemon")
        image = self.folder() / "box.img"
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", VARS, image], check=True)
        os.chmod(image, 0o600)
        mount = self.start(("box", f"<nvram type='file' format='qcow2'><source file='{image}'/></nvram>"))
        self.wait_for_guests("box")
        (mount.vars("box") / NAME).write_bytes(HELLO)
        self.assertEqual(mount.status("box")["store"]["format"], "qcow2")
        self.assertEqual(mount.stop(), 0)
        raw = self.scratch.path / "raw"
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, raw], check=True)
        self.assertIn(b"hello", raw.read_bytes())

    def test_format_is_another_one_now(self):
        image = self.folder() / "box.img"
        shutil.copy(VARS, image)
        os.chmod(image, 0o600)
        nvram = f"<nvram type='file' format='{{}}'><source file='{image}'/></nvram>"
        mount = self.start(("box", nvram.format("qcow2")))
        self.wait_for_guests("box")
        self.assertEqual(self.variables("box"), [])
        self.has(("box", nvram.format("raw")))
        wait_until(lambda: self.variables("box"), "it is read as what it is", 20)
        (mount.vars("box") / NAME).write_bytes(HELLO)

    def test_block_device(self):
        """By its path, and by a link of root's as there are in /dev/disk."""
        uvmount.need("losetup")
        backing = self.scratch.path / "backing"
        shutil.copy(VARS, backing)
        made = subprocess.run(["losetup", "-f", "--show", backing], check=False, text=True, capture_output=True)
        if made.returncode:
            self.skipTest(f"no loop device: {made.stderr}")
        device = made.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "-d", device], check=True)
        links = self.folder("disk")
        (links / "by-name").symlink_to(device)
        mount = self.start(("disk", f"<nvram type='block'><source dev='{device}'/></nvram>"))
        self.wait_for_guests("disk")
        (mount.vars("disk") / NAME).write_bytes(HELLO)
        self.assertEqual(self.path_of("disk"), device)
        self.has(("disk", f"<nvram type='block'><source dev='{links}/by-name'/></nvram>"))
        wait_until(lambda: NAME in self.variables("disk"), "the same by its other name", 20)
        (mount.vars("disk") / NAME).write_bytes(HELLO[:4] + b"again")
        self.assertEqual(mount.stop(), 0)
        self.assertIn(b"again", backing.read_bytes())

    def test_in_another_file_system(self):
        """What lies in one that does not answer keeps nobody else waiting."""
        far = self.folder("far")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", far], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", far], check=True)
        stores = {"far": self.json_store(far / "web.json"), "near": self.json_store(self.folder() / "web.json")}
        mount = self.start(*[(name, f"<varstore path='{store}'/>") for name, store in stores.items()])
        self.wait_for_guests(*stores)
        for name, store in stores.items():
            (mount.vars(name) / NAME).write_bytes(HELLO)
            self.assertEqual(self.path_of(name), str(store))
            self.wait_for_file(store)
        for store in stores.values():
            store.unlink()
        self.has()
        self.wait_for_guests()
        for store in stores.values():
            wait_until(lambda folder=store.parent: os.listdir(folder) == [], f"nothing is left of it", 20)


class Session(WithAnother):
    """A libvirtd, its events and its end."""

    @classmethod
    def setUpClass(cls):
        folder = uvmount.Scratch()
        cls.addClassCleanup(folder.__exit__)
        cls.daemon = uvlibvirt.Daemon(folder.path / "libvirt")
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.start()

    def setUp(self):
        super().setUp()
        self.addCleanup(self.daemon.clear)

    def store(self, name):
        path = self.daemon.nvram / f"{name}_VARS.fd"
        shutil.copy(VARS, path)
        os.chown(path, USER, USER)
        return path

    def define(self, name):
        self.assertIsNone(self.daemon.define(name, flash(CODE, self.store(name)), firmware=""))

    def write(self, name):
        (self.mounted.vars(name) / NAME).write_bytes(HELLO)

    def saved_state(self, name):
        """As its engine has it, which is started for that."""
        self.variables(name)
        try:
            (self.mounted.guest(name) / "boot" / "summary").read_text()
        except OSError:
            return None
        return self.mounted.status(name)["store"].get("saved-state")

    def writes(self, name):
        try:
            self.write(name)
        except OSError:
            return False
        return True

    def test_follows(self):
        self.define("a")
        mount = self.mount(self.daemon.uri)
        self.wait_for_guests("a")
        self.write("a")
        self.define("b")
        self.wait_for_guests("a", "b")
        self.daemon.virsh("domrename", "a", "new name")
        self.wait_for_guests("b", "new name")
        self.assertEqual((mount.vars("new name") / NAME).read_bytes(), HELLO)
        self.daemon.virsh("undefine", "b", "--nvram")
        self.wait_for_guests("new name")
        self.assertEqual(self.daemon.define("new name", flash(CODE, self.store("moved")), firmware="",
                                            uuid=self.daemon.virsh("domuuid", "new name")[1].strip()), None)
        wait_until(lambda: self.variables("new name") and NAME not in self.variables("new name"),
                   "the other store is seen", 20)
        self.daemon.virsh("undefine", "new name", "--keep-nvram")
        self.wait_for_guests()

    def test_started_and_saved(self):
        self.daemon.define("web", firmware=" firmware='efi'")
        mount = self.mount(self.daemon.uri, "saved=refuse", "idle=1")
        self.wait_for_guests("web")
        self.assertEqual(os.listdir(mount.vars("web")), [])
        status, output = self.daemon.virsh("start", "web", check=False)
        if status:
            self.skipTest(f"no domain starts here: {output}")
        wait_until(lambda: self.variables("web"), "the store that libvirt made is seen", 20)
        self.daemon.virsh("managedsave", "web")
        wait_until(lambda: self.saved_state("web"), "the saved state is known", 20)
        with self.assertRaises(OSError):
            self.write("web")
        self.assertIn("saved state", mount.status("web")["last-refusal"]["text"])
        self.daemon.virsh("managedsave-remove", "web")
        wait_until(lambda: self.writes("web"), "it is known to be gone", 30)

    def test_daemon_goes_and_comes(self):
        self.define("a")
        mount = self.mount(self.daemon.uri)
        self.wait_for_guests("a")
        self.write("a")
        self.daemon.stop()
        wait_until(lambda: mount.status("a")["warnings"], "it says so", 20)
        self.assertIn("qemu:///session", mount.status("a")["warnings"][0])
        self.assertEqual(self.guests(), ["a"])
        self.assertEqual((mount.vars("a") / NAME).read_bytes(), HELLO)
        for change in (lambda: self.write("a"), lambda: (mount.vars("a") / NAME).unlink(),
                       lambda: (mount.guest("a") / "boot" / "timeout").write_text("3\n")):
            with self.assertRaises(OSError) as caught:
                change()
            self.assertEqual(caught.exception.errno, errno.EROFS)
        self.assertIn("qemu:///session", mount.status("a")["last-refusal"]["text"])
        self.daemon.start()
        self.define("b")
        self.wait_for_guests("a", "b")
        self.write("b")
        self.write("a")
        self.assertEqual(mount.status("a")["warnings"], [])

    def test_session(self):
        """An ordinary user's own libvirt, mounted by that user."""
        self.define("web")
        folder = self.daemon.folder / "mnt"
        folder.mkdir()
        os.chown(folder, USER, USER)
        variable, log = folder / "guests" / "web" / "vars" / NAME, self.scratch.path / "log"
        script = f"""until mountpoint -q {folder}; do sleep 0.1; done
            until ls {folder}/guests/web; do sleep 0.1; done
            printf '\\7\\0\\0\\0hello' >{variable}
            cat {variable}
            ls {self.daemon.folder}/run/uefivarsfs
            fusermount3 -u {folder}"""
        with open(log, "wb") as file:
            mount = self.daemon.run(uvmount.UEFIVARSFS, "libvirt:///session", folder, "-f", stdout=file, stderr=file)
        self.addCleanup(mount.wait)
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=False, stderr=subprocess.DEVNULL)
        user = self.daemon.run("timeout", "30", "sh", "-ec", script, stdout=subprocess.PIPE)
        said = user.communicate()[0]
        self.assertEqual(user.returncode, 0, log.read_text())
        self.assertIn(HELLO, said)
        self.assertRegex(said, rb"libvirt-[0-9a-f]{8}\.domains\n")
        self.assertEqual(mount.wait(20), 0, log.read_text())
        self.assertIn(b"hello", (self.daemon.nvram / "web_VARS.fd").read_bytes())
        self.assertEqual(list((self.daemon.folder / "run" / "uefivarsfs").glob("libvirt-*")), [])

    def test_helper_is_killed(self):
        self.define("a")
        mount = self.mount(self.daemon.uri)
        self.wait_for_guests("a")
        (helper,) = children(mount.process.pid, "uefivars-libvir")
        os.kill(helper, signal.SIGKILL)
        self.define("b")
        self.wait_for_guests("a", "b")

    def test_helper_is_confined(self):
        self.define("a")
        mount = self.mount(self.daemon.uri)
        self.wait_for_guests("a")
        (helper,) = children(mount.process.pid, "uefivars-libvir")
        status = pathlib.Path(f"/proc/{helper}/status").read_text()
        self.assertIn("CapEff:\t0000000000000000", status)
        self.assertIn("CapBnd:\t0000000000000000", status)
        self.assertIn("NoNewPrivs:\t1", status)
        if not uvengine.sanitized():
            self.assertIn("Seccomp:\t2", status)

    def test_system_calls_in_operation(self):
        """What it calls is on its list, from the connection to its end."""
        if uvengine.sanitized() or not shutil.which("strace"):
            self.skipTest("needs strace and a plain build")
        trace = self.scratch.path / "trace"
        trace.mkdir(mode=0o777)
        self.install(f'#!/bin/sh\nexec strace -ff -o {trace}/of {PROGRAM} "$@"\n')
        self.define("a")
        mount = self.mount(self.daemon.uri, "sandbox=strict")
        self.wait_for_guests("a")
        self.define("b")
        self.wait_for_guests("a", "b")
        self.daemon.virsh("domrename", "b", "c")
        self.wait_for_guests("a", "c")
        self.daemon.stop()
        wait_until(lambda: mount.status("a")["warnings"], "it has ended", 20)
        self.daemon.start()
        wait_until(lambda: not mount.status("a")["warnings"], "another one is there", 20)
        self.assertEqual(mount.stop(), 0)
        texts = [path.read_text(errors="replace") for path in trace.iterdir()]
        parts = [re.split(r"seccomp\(SECCOMP_SET_MODE_FILTER, 0, .*\) = 0\n", text) for text in texts]
        confined = [part[1] for part in parts if len(part) == 2]
        self.assertGreaterEqual(len(confined), 2)
        # Catalogs of messages are looked for, and not missed.
        refused = [line for text in confined for line in text.split("\n")
                   if "EPERM" in line and not line.startswith("openat(")]
        self.assertEqual(refused, [])


def children(pid, name):
    found = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(word) for word in found if pathlib.Path(f"/proc/{word}/comm").read_text().strip() == name]


if __name__ == "__main__":
    if os.geteuid() != 0:
        uvmount.skip("not root")
    uvmount.need_mount()
    uvlibvirt.need_libvirt(PROGRAM)
    unittest.main()
