#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`rsync -a` of the mount is a complete backup, a second one copies nothing, and a backup's vars/
goes back the same way."""

import os
import pathlib
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402
from uvmount import variable  # noqa: E402

GUID = uvproto.TEST
AUTHENTICATED = 0x27
KEYS = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
OVMF = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"


class BackupTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.backup = self.scratch.path / "backup"
        self.source.mkdir()
        self.store("plain", variable("Alpha", b"alpha"), variable("Beta", b"beta"),
                   variable("a/b", b"slash"))
        self.store("empty")
        (self.source / "folder").mkdir()
        (self.source / "folder" / "config.json").write_text('{"size": 131072}')
        (self.source / "folder" / "vars.json").write_text(
            uvmount.store_text(variable("Gamma", b"g")))
        self.mount = self.scratch.mount(self.source)

    def store(self, name, *variables):
        (self.source / f"{name}.json").write_text(uvmount.store_text(*variables))

    def rsync(self, *arguments, status=0):
        """What it did, an item a line."""
        result = subprocess.run(["rsync", "-a", "--itemize-changes", *arguments],
                                capture_output=True, text=True)
        self.assertEqual(result.returncode, status, result.stderr + result.stdout)
        return result.stdout.splitlines()

    def back_up(self):
        return self.rsync(f"{self.mount.path}/", f"{self.backup}/")

    def copied(self):
        return [line for line in self.back_up() if line.startswith(">")]

    def read_back(self, guest):
        folder = self.backup / "guests" / guest / "vars"
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def read_mount(self, guest):
        return {path.name: path.read_bytes() for path in self.mount.vars(guest).iterdir()}

    def test_complete_and_quiet(self):
        self.back_up()
        for guest in ("plain", "empty", "folder"):
            self.assertEqual(self.read_back(guest), self.read_mount(guest))
            for name in ("store.json", "config.json"):
                self.assertEqual((self.backup / "guests" / guest / name).read_bytes(),
                                 (self.mount.guest(guest) / name).read_bytes())
        self.assertEqual(self.back_up(), [])
        self.mount.stop()
        self.mount.start()
        self.assertEqual(self.copied(), [])
        self.assertEqual(self.back_up(), [])

    def test_after_a_change(self):
        self.back_up()
        self.mount.write("plain", "Alpha", b"changed")
        self.mount.write("folder", "New", b"new")
        names = {line.split(maxsplit=1)[1].split("/", 1)[1] for line in self.copied()}
        self.assertEqual({n for n in names if not n.endswith("status.json")},
                         {f"plain/vars/Alpha-{GUID}", "plain/store.json", "plain/changes",
                          f"folder/vars/New-{GUID}", "folder/store.json", "folder/changes"})
        self.assertEqual(self.copied(), [])
        time.sleep(2.5)  # compaction
        self.assertEqual(self.copied(), [])
        self.mount.stop()
        self.mount.start()
        self.assertEqual(self.copied(), [])

    def test_tar(self):
        self.mount.write("plain", "Alpha", b"changed")
        subprocess.run(["tar", "-cf", self.scratch.path / "tar", "-C", self.mount.path, "guests"],
                       check=True)
        subprocess.run(["tar", "-df", self.scratch.path / "tar", "-C", self.mount.path,
                        "guests/plain/vars"], check=True)

    def test_folders_take_times(self):
        for folder in (self.mount.guest("plain"), self.mount.vars("plain")):
            os.utime(folder, ns=(5, 1234567890))
            os.chmod(folder, 0o700)
            self.assertEqual(folder.stat().st_mtime_ns, 1234567890)
        before = time.time_ns()
        self.mount.write("plain", "Alpha", b"changed")
        self.assertGreaterEqual(self.mount.vars("plain").stat().st_mtime_ns + 10 ** 9, before)

    def test_attributes_are_listed_as_none(self):
        for path in (self.mount.path, self.mount.guest("plain"), self.mount.vars("plain"),
                     self.mount.vars("plain") / f"Alpha-{GUID}",
                     self.mount.guest("plain") / "store.json"):
            self.assertEqual(os.listxattr(path), [], path)

    def test_nothing_moves_while_it_is_read(self):
        """What an archiver compares before and after it has read: right after an edit, and until the
        engine has made the store complete."""
        def seen(path):
            status = path.lstat()
            return status.st_size, status.st_mtime_ns, status.st_ctime_ns

        os.stat(self.mount.vars("plain"))  # what the kernel keeps of before the change is no answer
        self.mount.write("plain", "Alpha", b"changed")
        before = {}
        for folder, _, files in os.walk(self.mount.guest("plain")):
            for path in [pathlib.Path(folder), *(pathlib.Path(folder, file) for file in files)]:
                # These two are as old as the store's file.
                if path.name not in ("status.json", "mm.sock"):
                    before[path] = seen(path)
                if path.is_file() and path.name != "mm.sock":
                    path.read_bytes()
        self.assertGreater(len(before), 10)
        self.assertEqual({path: seen(path) for path in before}, before)
        time.sleep(2.5)  # compaction
        self.assertEqual({path: seen(path) for path in before}, before)

    def test_restore_variables(self):
        self.back_up()
        before = self.read_mount("plain")
        self.mount.write("plain", "Alpha", b"changed")
        os.unlink(self.mount.vars("plain") / f"Beta-{GUID}")
        self.mount.write("plain", "Extra", b"extra")
        vars_ = self.backup / "guests/plain/vars"
        self.rsync(f"{vars_}/", f"{self.mount.vars('plain')}/")
        after = self.read_mount("plain")
        self.assertIn(f"Extra-{GUID}", after)
        del after[f"Extra-{GUID}"]
        self.assertEqual(after, before)
        again = self.rsync(f"{vars_}/", f"{self.mount.vars('plain')}/")
        self.assertEqual([line for line in again if line.startswith("<") or ">f" in line], [])
        self.rsync("--delete", f"{vars_}/", f"{self.mount.vars('plain')}/")
        self.assertEqual(self.read_mount("plain"), before)

    def test_restore_store(self):
        self.back_up()
        before = self.read_mount("plain")
        self.mount.write("plain", "Alpha", b"changed")
        os.unlink(self.mount.vars("plain") / f"Beta-{GUID}")
        self.rsync(f"{self.backup}/guests/plain/store.json", f"{self.mount.guest('plain')}/")
        self.assertEqual(self.read_mount("plain"), before)

    def test_flash(self):
        image = OVMF.replace(".ms.fd", ".fd")
        if not os.path.exists(image):
            uvmount.skip("no OVMF image")
        shutil.copy(image, self.source / "flash_VARS.fd")
        uvmount.wait_until((self.mount.guest("flash")).exists, "the guest shows")
        self.back_up()
        self.assertEqual(self.copied(), [])
        self.mount.write("flash", "New", b"new")
        self.assertTrue(any("store.json" in line for line in self.copied()))
        self.assertEqual(self.copied(), [])
        self.mount.stop()
        self.mount.start()
        self.assertEqual(self.copied(), [])

    def test_real_store(self):
        if not os.path.exists(OVMF) or not shutil.which("virt-fw-vars"):
            uvmount.skip("no OVMF image, or no virt-fw-vars")
        path = self.source / "ovmf.json"
        subprocess.run(["virt-fw-vars", "-i", OVMF, "--output-json", self.scratch.path / "o.json"],
                       check=True, capture_output=True)
        shutil.copy(self.scratch.path / "o.json", path)
        uvmount.wait_until((self.mount.guest("ovmf")).exists, "the guest shows")
        self.back_up()
        self.assertEqual(self.back_up(), [])
        before = self.read_mount("ovmf")
        vars_ = self.backup / "guests/ovmf/vars"
        self.rsync("--ignore-times", f"{vars_}/", f"{self.mount.vars('ovmf')}/")  # silent
        self.assertEqual(self.read_mount("ovmf"), before)
        target = vars_ / f"db-{KEYS}"
        target.write_bytes(target.read_bytes()[:-1] + b"?")
        self.rsync("--ignore-times", f"{vars_}/", f"{self.mount.vars('ovmf')}/",
                   status=23)
        self.assertEqual(self.read_mount("ovmf"), before)


if __name__ == "__main__":
    uvmount.need_mount()
    uvmount.need("rsync")
    unittest.main(verbosity=1)
