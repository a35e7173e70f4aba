#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done to whole guests: renamed, made anew, removed; and variables whose names are longer
than a file's can be, which count in all of it."""

import errno
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402
from uvmount import variable, wait_until  # noqa: E402

GUID = uvproto.TEST


def content(data, attributes=7):
    return struct.pack("<I", attributes) + data


class GuestsTest(unittest.TestCase):
    options = ()

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        self.fill()
        self.mount = self.scratch.mount(self.source, *self.options)

    def fill(self):
        (self.source / "a.json").write_text(uvmount.store_text(variable("Alpha", b"alpha")))

    def fails(self, number, function, *arguments):
        with self.assertRaises(OSError) as caught:
            function(*arguments)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[number])

    def refusal(self, guest):
        last = self.mount.status(guest)["last-refusal"]
        return last["operation"], last["errno"], last["text"]

    def shell(self, command):
        got = subprocess.run(["sh", "-c", command], cwd=self.mount.path, capture_output=True,
                             text=True, check=False)
        self.assertEqual((got.returncode, got.stderr), (0, ""), command)
        return got.stdout

    def stored(self, path):
        return {v["name"] for v in json.loads(path.read_text())["variables"]}


class Rename(GuestsTest):
    def mtime(self, guest, name="Alpha"):
        return (self.mount.vars(guest) / f"{name}-{GUID}").stat().st_mtime_ns

    def test_all_of_it_goes_along(self):
        """Content, times, configuration, the record, and what is not in the store's file yet."""
        self.mount.write("a", "Beta", b"beta")
        os.utime(self.mount.vars("a") / f"Alpha-{GUID}", ns=(10**18, 10**18))
        (self.mount.guest("a") / "config.json").write_text('{"size": 131072}')
        changes = (self.mount.guest("a") / "changes").read_text()
        self.assertIn("Beta", changes)
        self.shell("mv guests/a guests/b")
        self.assertEqual(os.listdir(self.mount.path / "guests"), ["b"])
        self.assertEqual(self.mount.read("b", "Alpha"), (7, b"alpha"))
        self.assertEqual(self.mount.read("b", "Beta"), (7, b"beta"))
        self.assertEqual(self.mtime("b"), 10**18)
        self.assertEqual(json.loads((self.mount.guest("b") / "config.json").read_text()),
                         {"size": 131072})
        self.assertTrue((self.mount.guest("b") / "changes").read_text().startswith(changes))
        self.assertEqual({path.name for path in self.source.iterdir() if path.name[0] != "."},
                         {"b.json", "b.config.json"})
        beside = {path.name for path in (self.source / ".uefivarsfs").iterdir()}
        self.assertEqual({name for name in beside if name.startswith("a.json")}, set(), beside)
        self.mount.stop()
        self.assertEqual(self.stored(self.source / "b.json"), {"Alpha", "Beta"})

    def test_there_and_back(self):
        for i in range(5):
            old, new = ("a", "b") if i % 2 == 0 else ("b", "a")
            self.mount.write(old, "Count", b"%d" % i)
            os.rename(self.mount.guest(old), self.mount.guest(new))
            self.assertEqual(self.mount.read(new, "Count"), (7, b"%d" % i))
            self.assertFalse(self.mount.guest(old).exists())
        with uvproto.Guest(self.mount.socket("b")) as guest:
            guest.hello()
            self.assertEqual(guest.get("Alpha", GUID), (uvproto.SUCCESS, 7, b"alpha"))

    def test_folder_and_flash(self):
        folder = self.source / "inner"
        folder.mkdir()
        (folder / "vars.json").write_text(uvmount.store_text(variable("Inner", b"i")))
        image = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
        if image.exists():
            shutil.copy(image, self.source / "image_VARS.fd")
        for guest in ("inner", "image"):
            wait_until(lambda name=guest: self.mount.guest(name).exists() or not image.exists(),
                       guest)
            if not self.mount.guest(guest).exists():
                continue
            self.mount.write(guest, "New", b"new")
            os.rename(self.mount.guest(guest), self.mount.guest(guest + "-2"))
            self.assertEqual(self.mount.read(guest + "-2", "New"), (7, b"new"))
        self.assertTrue((self.source / "inner-2" / "vars.json").exists())
        if image.exists():
            self.assertTrue((self.source / "image-2_VARS.fd").exists())

    def test_running_guest(self):
        with uvproto.Guest(self.mount.socket("a")) as guest:
            guest.hello()
            self.fails(errno.EBUSY, os.rename, self.mount.guest("a"), self.mount.guest("b"))
            operation, number, text = self.refusal("a")
            self.assertEqual((operation, number), ("rename", "EBUSY"))
            self.assertIn("a guest is connected", text)
            self.assertEqual(os.listdir(self.mount.path / "guests"), ["a"])
            guest.request(uvproto.BYE)
        wait_until(lambda: not self.mount.status("a")["session"]["alive"], "the session's end")
        os.rename(self.mount.guest("a"), self.mount.guest("b"))
        self.assertEqual(self.mount.read("b", "Alpha"), (7, b"alpha"))

    def test_refused(self):
        (self.source / "taken.json").write_text("")
        wait_until(self.mount.guest("taken").exists, "taken")
        a = self.mount.guest("a")
        for number, name in ((errno.EEXIST, "taken"), (errno.EINVAL, "b.config.json"),
                             (errno.EINVAL, ".b"), (errno.ENAMETOOLONG, "x" * 201)):
            self.fails(number, os.rename, a, self.mount.guest(name))
            self.assertEqual(self.refusal("a")[:2], ("rename", errno.errorcode[number]))
        self.assertEqual(self.mount.read("a", "Alpha"), (7, b"alpha"))


class MadeAnew(GuestsTest):
    def setUp(self):
        self.templates = None
        super().setUp()
        self.instantiate = self.mount.guest("a") / "firmware" / "instantiate"

    def fill(self):
        super().fill()
        self.templates = self.scratch.path / "templates"
        self.templates.mkdir()
        (self.templates / "new.json").write_text(uvmount.store_text(variable("Factory", b"f")))
        (self.source / "a.config.json").write_text(
            json.dumps({"template": str(self.templates / "new.json")}))
        self.options = (f"templates={self.templates}",)

    def kept(self):
        return self.source / ".uefivarsfs" / "a.json.before-load"

    def test_factory(self):
        """The old store is kept, whole, and the mount shows the new one."""
        self.mount.write("a", "Beta", b"beta")
        self.shell("echo factory > guests/a/firmware/instantiate")
        self.assertEqual(self.mount.read("a", "Factory"), (7, b"f"))
        self.assertFalse((self.mount.vars("a") / f"Alpha-{GUID}").exists())
        self.assertEqual(self.stored(self.kept()), {"Alpha", "Beta"})
        self.assertEqual(self.stored(self.source / "a.json"), {"Factory"})
        self.assertNotIn(b'"door":"outside"', (self.mount.guest("a") / "changes").read_bytes())
        self.mount.write("a", "Gamma", b"g")
        self.mount.stop()
        self.mount.start()
        self.assertEqual(self.mount.read("a", "Gamma"), (7, b"g"))

    def test_running_guest(self):
        with uvproto.Guest(self.mount.socket("a")) as guest:
            guest.hello()
            self.fails(errno.EBUSY, self.instantiate.write_text, "factory\n")
            self.assertEqual(self.refusal("a"), ("write", "EBUSY", "a guest is connected"))
            self.assertEqual(guest.get("Alpha", GUID), (uvproto.SUCCESS, 7, b"alpha"))
            self.assertFalse(self.kept().exists())

    def test_a_bad_template_loses_nothing(self):
        template = self.templates / "new.json"
        for spoil in (lambda: template.write_bytes(b"no store"), template.unlink):
            spoil()
            with self.assertRaises(OSError):
                self.instantiate.write_text("factory\n")
            self.assertIn("new.json", self.refusal("a")[2])
            self.assertEqual(self.mount.read("a", "Alpha"), (7, b"alpha"))
            self.assertFalse(self.kept().exists())


class LongNames(GuestsTest):
    LONG = ["x" * 300, "x" * 299 + "y", "ü" * 200, "z" * 219]

    def fill(self):
        (self.source / "a.json").write_text(uvmount.store_text(
            variable("w" * 218, b"fits"), *(variable(name, b"%d" % i)
                                            for i, name in enumerate(self.LONG))))
        (self.source / "only.json").write_text(uvmount.store_text(variable("x" * 300, b"x")))

    def names(self, guest):
        """Of the variables with our GUID: file name → content."""
        return {path.name: path.read_bytes() for path in self.mount.vars(guest).iterdir()
                if path.name.endswith(GUID)}

    def file_of(self, data, guest="a"):
        (name,) = [name for name, found in self.names(guest).items() if found == content(data)]
        return self.mount.vars(guest) / name

    def test_listed(self):
        names = self.names("a")
        self.assertEqual(len(names), 5)
        self.assertIn(f"{'w' * 218}-{GUID}", names)
        self.assertEqual(sorted(names.values()),
                         sorted([content(b"fits")] + [content(b"%d" % i) for i in range(4)]))
        for name in names:
            self.assertLessEqual(len(os.fsencode(name)), 255)
            if name[0] != "w":
                self.assertRegex(name, rf"~[0-9a-f]{{16}}-{GUID}$")
        self.mount.stop()
        self.mount.start()
        self.assertEqual(self.names("a"), names)

    def test_told(self):
        told = json.dumps(self.mount.status("a")["shortened-names"], ensure_ascii=False)
        for name, data in zip(self.LONG, (b"0", b"1", b"2", b"3")):
            self.assertIn(name, told)
            self.assertIn(self.file_of(data).name, told)
        self.assertNotIn("w" * 218, told)

    def test_changed(self):
        path = self.file_of(b"1")
        path.write_bytes(content(b"changed"))
        self.assertEqual(path.read_bytes(), content(b"changed"))
        staged = path.with_name(f".{path.name[:100]}.XyZ123")
        staged.write_bytes(content(b"staged"))
        os.rename(staged, path)
        os.unlink(self.file_of(b"0"))
        stored = json.loads((self.mount.guest("a") / "store.json").read_text())["variables"]
        self.assertEqual({v["name"]: bytes.fromhex(v["data"]) for v in stored},
                         {"w" * 218: b"fits", self.LONG[1]: b"staged", self.LONG[2]: b"2",
                          self.LONG[3]: b"3"})

    def test_no_such_variable(self):
        """The hash of one that is gone does not lead back: nothing is made under its name."""
        gone = self.file_of(b"0")
        os.unlink(gone)
        with self.assertRaises(OSError):
            gone.write_bytes(content(b"x"))

    def test_backup(self):
        if not shutil.which("rsync"):
            self.skipTest("no rsync")
        out = self.scratch.path / "backup"
        self.shell(f"rsync -a guests/a/ {out}/")
        before = self.names("a")
        self.file_of(b"2").write_bytes(content(b"other"))
        self.shell(f"rsync -a {out}/vars/ guests/a/vars/")
        self.assertEqual(self.names("a"), before)
        self.shell(f"rsync -a {out}/ guests/new/")
        self.assertEqual(self.names("new"), before)

    def test_rmdir_counts_all(self):
        self.fails(errno.ENOTEMPTY, os.rmdir, self.mount.guest("only"))
        self.assertTrue((self.source / "only.json").exists())
        os.unlink(self.file_of(b"x", "only"))
        os.rmdir(self.mount.guest("only"))
        self.assertFalse((self.source / "only.json").exists())


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main()
