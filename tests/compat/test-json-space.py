# SPDX-License-Identifier: GPL-2.0-or-later
"""A JSON store on a full disk (a small tmpfs), and one of an owner who is not root. Needs root."""

import glob
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

VENDOR = "12345678-1234-5678-9abc-def012345678"

if os.geteuid() != 0:
    skip("mounting and changing owners need root")


def values(host):
    return {name: content[4:] for name, (content, _) in host.snapshot()["entries"].items()
            if VENDOR in name}


def stored(path):
    with open(path, encoding="utf-8") as file:
        return {f"{v['name']}-{v['guid']}": bytes.fromhex(v["data"])
                for v in json.load(file)["variables"]}


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320k", "tmpfs", self.folder], check=True)
        self.addCleanup(subprocess.run, ["umount", self.folder], check=True)
        sockets = tempfile.TemporaryDirectory()
        self.addCleanup(sockets.cleanup)
        self.engine = Engine(self.folder, start=False)
        for name in ("socket", "host_socket"):
            setattr(self.engine, name, os.path.join(sockets.name, name))
        self.engine.session = self.engine.socket + ".session"
        self.addCleanup(self.engine.stop)

    def fill(self, leave=0):
        """All but `leave` bytes of what is free."""
        path = os.path.join(self.folder, "ballast")
        free = os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize
        with open(path, "ab") as file:
            file.write(bytes(max(free - leave, 0)))
        return path

    def test_refused_and_nothing_lost(self):
        self.engine.start()
        expected = {}
        with self.engine.host() as host:
            for i in range(20):
                self.assertTrue(host.set_variable(f"V{i}", VENDOR, data=bytes([i]) * 1000).ok)
                expected[f"V{i}-{VENDOR}"] = bytes([i]) * 1000
            ballast = self.fill(leave=8192)
            refused = 0
            for i in range(40):
                name, data = f"V{i % 25}", os.urandom(1500)
                outcome = host.set_variable(name, VENDOR, data=data)
                if outcome.ok:
                    expected[f"{name}-{VENDOR}"] = data
                else:
                    self.assertEqual(outcome.status, uv.OUT_OF_RESOURCES, outcome)
                    refused += 1
            self.assertGreater(refused, 10)
            self.assertEqual(values(host), expected)
            time.sleep(3)  # a compaction fails as well
            self.assertEqual(values(host), expected)
        self.engine.kill(signal.SIGKILL)
        self.engine.start()
        with self.engine.host() as host:
            self.assertEqual(values(host), expected)
            os.unlink(ballast)
            self.assertTrue(host.set_variable("V0", VENDOR, data=b"again").ok)
            expected[f"V0-{VENDOR}"] = b"again"
            self.assertEqual(values(host), expected)
        self.assertEqual(self.engine.stop(), 0)
        self.assertEqual(stored(self.engine.store), expected)
        self.assertEqual(glob.glob(self.folder + "/.uefivarsfs/*journal*"), [])

    def test_no_room_for_anything(self):
        self.fill()
        self.engine.start()
        with self.engine.host() as host:
            self.assertEqual(host.set_variable("V", VENDOR, data=b"1").status, uv.OUT_OF_RESOURCES)
            os.unlink(os.path.join(self.folder, "ballast"))
            self.assertTrue(host.set_variable("V", VENDOR, data=b"2").ok)
        self.assertEqual(self.engine.stop(), 0)
        self.assertEqual(stored(self.engine.store), {f"V-{VENDOR}": b"2"})


class Owners(unittest.TestCase):
    """As the front starts engines: root, that becomes the store's owner."""

    def run_as_owner(self, folder_owner):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        store = os.path.join(folder, "vars.json")
        with open(store, "w", encoding="utf-8"):
            pass
        os.chown(store, 1234, 2345)
        os.chmod(store, 0o640)
        os.chown(folder, folder_owner, 0)
        with Engine(folder, spawned=True, user="1234:2345") as engine:
            with engine.host() as host:
                outcome = host.set_variable("V", VENDOR, data=b"1")
                self.assertTrue(outcome.ok, outcome)
            self.assertEqual(engine.stop(), 0)
        self.assertEqual(stored(store), {f"V-{VENDOR}": b"1"})
        sidecars = folder + "/.uefivarsfs"
        for path in [store, sidecars] + glob.glob(sidecars + "/*"):
            self.assertEqual((os.stat(path).st_uid, os.stat(path).st_gid), (1234, 2345), path)
        self.assertEqual(os.stat(store).st_mode & 0o7777, 0o640)
        self.assertEqual(os.stat(sidecars).st_mode & 0o7777, 0o700)
        return folder

    def test_own_folder(self):
        self.run_as_owner(1234)

    def test_folder_of_root(self):
        """No renaming there: the store is written in place."""
        self.run_as_owner(0)


if __name__ == "__main__":
    unittest.main()
