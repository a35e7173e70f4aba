#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a confined engine tells systemd's journal: a socket in its place, in a mount namespace."""

import ctypes
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
import uvsign as s  # noqa: E402
from uvengine import EngineTest  # noqa: E402
from uvmount import wait_until  # noqa: E402
from uvskip import skip  # noqa: E402

PLACE = "/run/systemd/journal/socket"
CLONE_NEWNS = 0x20000
CHANGE, REFUSAL = "26ee2fd83e3f44ad9b157626bd3156c8", "6fa6232b08b444c3bfc5ebeb7b97ba33"
NOTICE, DEBUG = "5", "7"


def setUpModule():
    if os.getuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        skip("a mount namespace needs root")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    os.makedirs(os.path.dirname(PLACE))


def parse(entry):
    """{field: value} of an entry in the journal's native format; a field comes once here."""
    fields = {}
    while entry:
        line, _, entry = entry.partition(b"\n")
        name, assigned, value = line.partition(b"=")
        if not assigned:
            (size,) = struct.unpack_from("<Q", entry)
            value, entry = entry[8:8 + size], entry[9 + size:]
        if name.decode() in fields:
            raise ValueError(f"{name} comes twice")
        fields[name.decode()] = value.decode()
    return fields


class Journal(EngineTest):
    def setUp(self):
        super().setUp()
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.journal.close)
        self.journal.bind(PLACE)
        self.addCleanup(os.unlink, PLACE)
        os.chmod(PLACE, 0o666)
        self.came = []
        self.reader = threading.Thread(target=self.read, daemon=True)

    def read(self):
        """As the journal does: its queue holds no more than some entries."""
        while entry := self.journal.recv(65536):
            self.came.append(parse(entry))

    def start(self, reads=True):
        """As a mount without a terminal spawns it, for the guest web1."""
        if reads:
            self.reader.start()
            self.addCleanup(self.reader.join)
            self.addCleanup(self.journal.shutdown, socket.SHUT_RD)
        self.e = self.engine("--name", "web1", spawned=True)
        self.h = self.host(self.e)

    def entries(self):
        """All that have come, up to one that comes last."""
        self.h.set("the last", b"")
        wait_until(lambda: any(e.get("UEFIVARSFS_PATH") == "vars/the last" for e in self.came),
                   "the last entry")
        return self.came[:-1]

    def events(self):
        return [entry for entry in self.entries() if "UEFIVARSFS_DOOR" in entry]

    def test_change(self):
        self.start()
        self.h.actor(1000, 100, 4711, b"vim")
        self.h.set_variable("Greeting", s.OWNER, data=b"hello")
        (entry,) = self.events()
        message = entry.pop("MESSAGE")
        self.assertEqual(entry, {
            "SYSLOG_IDENTIFIER": "uefivarsd", "UEFIVARSFS_GUEST": "web1", "PRIORITY": DEBUG,
            "MESSAGE_ID": CHANGE, "UEFIVARSFS_STATUS": "0", "UEFIVARSFS_DOOR": "host",
            "UEFIVARSFS_UID": "1000", "UEFIVARSFS_PID": "4711", "UEFIVARSFS_COMM": "vim",
            "UEFIVARSFS_VARIABLE": f"Greeting-{s.OWNER}"})
        self.assertEqual(message, f"Greeting-{s.OWNER}: created by the host: vim")

    def test_from_outside(self):
        self.start()
        self.h.set_variable("A", s.OWNER, data=b"1")
        self.h.export()
        with open(self.e.store, "w") as file:
            json.dump({"version": 2, "variables": []}, file)
        self.h.set_variable("B", s.OWNER, data=b"1")
        outside = [entry for entry in self.events() if entry["UEFIVARSFS_DOOR"] == "outside"]
        self.assertEqual([entry["MESSAGE"] for entry in outside], [f"A-{s.OWNER}: deleted from outside"])

    def test_what_is_read(self):
        """Is no change: an engine that starts tells none, and has none of its ration spent."""
        with open(os.path.join(self.folder, "vars.json"), "w") as file:
            json.dump({"version": 2, "variables": [
                {"name": f"V{i}", "guid": s.OWNER, "attr": 7, "data": "00"} for i in range(100)]}, file)
        self.start()
        self.h.set_variable("V1", s.OWNER, data=b"hello")
        self.assertEqual([entry["MESSAGE"] for entry in self.events()],
                         [f"V1-{s.OWNER}: changed by the host"])

    def test_priorities(self):
        self.start()
        guest = self.guest(self.e, name="machine")
        guest.set("ByGuest", s.OWNER, 7, b"1")
        guest.set("SetupMode", p.GLOBAL, 6, b"\0")
        guest.bye()
        self.assertEqual(self.h.view_act("secure-boot", "PK/replace", s.Key("PK").der)[0], 0)
        self.h.set("no name", b"")
        entries = self.entries()
        self.assertEqual({entry["UEFIVARSFS_GUEST"] for entry in entries}, {"web1"})

        def only(**wanted):
            (entry,) = [entry for entry in entries
                        if wanted.items() <= {k: v for k, v in entry.items()}.items()]
            return entry
        entry = only(UEFIVARSFS_VARIABLE=f"ByGuest-{s.OWNER}")
        self.assertEqual((entry["PRIORITY"], entry["UEFIVARSFS_CLIENT"]), (DEBUG, "machine"))
        entry = only(UEFIVARSFS_VARIABLE=f"SetupMode-{p.GLOBAL}", UEFIVARSFS_DOOR="guest")
        self.assertEqual((entry["PRIORITY"], entry["MESSAGE_ID"]), (NOTICE, REFUSAL))
        self.assertNotEqual(entry["UEFIVARSFS_STATUS"], "0")
        self.assertRegex(entry["UEFIVARSFS_RULE"], r"^[12]\.")
        entry = only(UEFIVARSFS_VARIABLE=f"PK-{p.GLOBAL}")
        self.assertEqual((entry["PRIORITY"], entry["UEFIVARSFS_DOOR"]), (NOTICE, "owner"))
        self.assertEqual(only(UEFIVARSFS_PATH="vars/no name")["PRIORITY"], NOTICE)

    def test_hostile_names(self):
        """Nobody's name makes a field, or another line."""
        self.start()
        guest = self.guest(self.e, name="a b")
        for name in ("a\nPRIORITY=0\nb", "\x1b[2J\u202e", "\ud800", "=" * 20000):
            self.assertEqual(guest.set(name, s.OWNER, 7, b"x"), 0)
        for entry in self.events():
            self.assertEqual(entry["PRIORITY"], DEBUG)
            self.assertTrue(all(value.isprintable() for value in entry.values()), entry)
            self.assertLess(len(entry["UEFIVARSFS_VARIABLE"]), 300)

    def test_rates(self):
        self.start()
        guest = self.guest(self.e)
        for i in range(400):
            guest.set("Counter", s.OWNER, 7, b"%d" % i)
            guest.set("SetupMode", p.GLOBAL, 6, b"\0")
        wait_until(lambda: len(self.came) > 50, "entries come")
        time.sleep(0.5)
        entries = [entry for entry in self.came if "MESSAGE_ID" in entry]
        self.assertLess(len([e for e in entries if e["MESSAGE_ID"] == CHANGE]), 70)
        self.assertLess(len([e for e in entries if e["MESSAGE_ID"] == REFUSAL]), 30)

    def test_nobody_reads(self):
        """A journal that stands still holds up nobody."""
        self.start(reads=False)
        guest = self.guest(self.e)
        for i in range(1000):
            self.assertEqual(guest.set(f"N{i % 7}", s.OWNER, 7, b"%d" % i), 0)
            guest.set("SetupMode", p.GLOBAL, 6, b"\0")

    def test_journal_is_gone(self):
        self.start(reads=False)
        self.journal.close()
        self.assertEqual(self.h.set_variable("A", s.OWNER, data=b"x")[0], 0)
        self.assertEqual(self.h.set("no name", b"")[1], 22)
        self.assertEqual(self.e.stop(), 0)


if __name__ == "__main__":
    unittest.main()
