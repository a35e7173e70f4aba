#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Stores that others own and label stay the files they are: libvirt's, and those it would be told for."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
from uvengine import EngineTest  # noqa: E402


def variables(path):
    with open(path) as file:
        return {v["name"]: bytes.fromhex(v["data"]) for v in json.load(file)["variables"]}


class InPlace(EngineTest):
    def folder_like(self, *names):
        folder = os.path.join(self.folder, *names)
        os.makedirs(folder)
        return folder

    def run_guest(self, folder, *options, **named):
        """One guest's life; whether its store is the same file afterwards."""
        store = os.path.join(folder, "vars.json")
        if not os.path.exists(store):
            pathlib.Path(store).touch()
        before = os.stat(store).st_ino
        engine = self.engine(*options, folder=folder, **named)
        guest = self.guest(engine)
        for i in range(3):
            self.assert_status(guest.set(f"V{i}", p.TEST, p.NV_BS_RT, bytes([i]) * 500), p.SUCCESS)
        guest.bye()
        # Complete before the reply: libvirt takes the file back now.
        self.assertEqual(variables(store)["V2"], b"\2" * 500)
        self.assertFalse(os.path.exists(os.path.join(folder, ".uefivarsfs/vars.json.journal")))
        return os.stat(store).st_ino == before

    def test_plain(self):
        self.assertFalse(self.run_guest(self.folder_like("plain")))

    def test_option(self):
        self.assertTrue(self.run_guest(self.folder_like("plain"), "--in-place"))

    def test_libvirt_folder(self):
        folder = self.folder_like("libvirt", "qemu", "varstore")
        self.assertTrue(self.run_guest(folder))

    def test_libvirt_folder_spawned(self):
        folder = self.folder_like("libvirt", "qemu", "nvram")
        user = ()
        if os.geteuid() == 0:
            os.chown(folder, 1234, 1234)
            pathlib.Path(folder, "vars.json").touch()
            os.chown(os.path.join(folder, "vars.json"), 1234, 1234)
            os.chmod(self.folder, 0o755)
            user = {"user": "1234:1234"}
        self.assertTrue(self.run_guest(folder, spawned=True, **dict(user)))

    def test_trusted_attributes(self):
        folder = self.folder_like("plain")
        store = os.path.join(folder, "vars.json")
        pathlib.Path(store).touch()
        try:
            os.setxattr(store, "trusted.libvirt.security.ref_dac", b"1")
        except OSError as error:
            self.skipTest(f"trusted attributes: {error}")
        self.assertTrue(self.run_guest(folder))
        self.assertEqual(os.getxattr(store, "trusted.libvirt.security.ref_dac"), b"1")

    def test_nobody_waits(self):
        """While changes are in the journal, whoever opens the file gets it at once."""
        folder = self.folder_like("libvirt", "qemu", "varstore")
        engine = self.engine(folder=folder)
        guest = self.guest(engine)
        for i in range(20):
            self.assert_status(guest.set("V", p.TEST, p.NV_BS_RT, bytes([i])), p.SUCCESS)
            os.close(os.open(engine.store, os.O_RDONLY | os.O_NONBLOCK))

    def test_a_stopped_engine_holds_nobody_up(self):
        """What libvirtd does with a store, in another process, while the engine answers nothing: before,
        between and after changes, and with some that are only in the journal."""
        folder = self.folder_like("libvirt", "qemu", "varstore")
        engine = self.engine(folder=folder)
        guest = self.guest(engine)
        for i in range(3):
            self.assert_status(guest.set("V", p.TEST, p.NV_BS_RT, bytes([i])), p.SUCCESS)
            os.kill(engine.process.pid, signal.SIGSTOP)
            try:
                begun = time.monotonic()
                subprocess.run([sys.executable, "-c", OPENS, engine.store], check=True, timeout=20)
                alone = time.monotonic()
                subprocess.run([sys.executable, "-c", OPENS, engine.store + ".other"], check=True)
                self.assertLess(alone - begun, time.monotonic() - alone + 2)
            finally:
                os.kill(engine.process.pid, signal.SIGCONT)
        self.assertEqual(guest.get("V", p.TEST)[2], b"\2")
        guest.bye()
        self.assertEqual(variables(engine.store)["V"], b"\2")


# As libvirtd: reading and writing, a POSIX lock of its own on byte 1, owner and mode, a look.
OPENS = """
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.fcntl(fd, fcntl.F_SETLKW, struct.pack("hhqqi", fcntl.F_WRLCK, 0, 1, 1, 0))
st = os.fstat(fd)
os.fchown(fd, st.st_uid, st.st_gid)
os.chmod(sys.argv[1], st.st_mode & 0o777)
os.close(os.open(sys.argv[1], os.O_RDONLY))
"""


if __name__ == "__main__":
    unittest.main()
