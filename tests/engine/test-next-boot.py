#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""next-boot/: what waits for a cold start or a reset, and what comes of it."""

import errno
import pathlib
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
import uvsign as s  # noqa: E402
from uvengine import EngineTest  # noqa: E402

DB = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
GREETING = f"Greeting-{s.OWNER}"


class NextBoot(EngineTest):
    @classmethod
    def setUpClass(cls):
        cls.pk, cls.kek, cls.new = (s.Key(name) for name in ("PK", "KEK", "New"))

    def start(self, *options):
        self.e = self.engine(*options)
        self.h = self.host(self.e)

    def setUp(self):
        super().setUp()
        self.start()
        for path, key in (("KEK/replace", self.kek), ("PK/replace", self.pk)):
            self.assertEqual(self.h.view_act("secure-boot", path, key.der)[0], 0)

    def keep(self, path, content, act=p.VIEW_WRITE):
        outcome = self.h.view_act("next-boot", path, content, act)
        self.assertEqual(outcome[0], 0, outcome)

    def refused(self, wanted, path, content=b"x", act=p.VIEW_WRITE):
        files = self.h.view_list("next-boot")
        outcome = self.h.view_act("next-boot", path, content, act)
        self.assertNotEqual(outcome[0], 0)
        self.assertEqual(outcome[1], wanted, outcome)
        self.assertEqual(self.h.view_list("next-boot"), files)
        return outcome[2]

    def files(self):
        return [path for path, (mode, _) in self.h.view_list("next-boot").items()
                if mode & 0o170000 == 0o100000 and path != "results"]

    def results(self):
        return self.h.view_read("next-boot", "results").decode().splitlines()

    def variable(self, name):
        entry = self.h.snapshot()["entries"].get(name)
        return entry[0][4:] if entry else None

    def test_reset_of_a_running_guest(self):
        guest = self.guest(self.e)
        self.keep("secure-boot/db/append", self.new.pem.read_bytes())
        self.keep(f"vars/{GREETING}", struct.pack("<I", 7) + b"hello")
        self.keep("secure-boot/db/append", b"11" * 32)
        self.assertEqual(self.files(), ["secure-boot/db/append", f"vars/{GREETING}",
                                        "secure-boot/db/append~2"])
        self.assertEqual(self.h.view_read("next-boot", "secure-boot/db/append~2"), b"11" * 32)
        self.assertIsNone(self.variable(f"db-{DB}"))
        guest.reset()
        self.assertIn(self.new.der, self.variable(f"db-{DB}"))
        self.assertIn(b"\x11" * 32, self.variable(f"db-{DB}"))
        self.assertEqual(self.variable(GREETING), b"hello")
        self.assertEqual(self.files(), [])
        results = self.results()
        self.assertEqual([line.split(" ", 1)[1] for line in results],
                         ["secure-boot/db/append: done", f"vars/{GREETING}: done",
                          "secure-boot/db/append: done"])
        # The session is a session again.
        self.assertEqual(self.h.view_act("secure-boot", "db/append", self.kek.der)[1],
                         errno.EBUSY)
        guest.reset()
        self.assertEqual(self.results(), results)

    def test_cold_start_after_a_restart(self):
        """What waits survives the engine's death, and is done before the firmware sees the store."""
        self.keep("secure-boot/PK/replace", self.new.der)
        self.e.kill()
        self.h.close()
        self.e.start()
        self.h = self.host(self.e)
        self.assertEqual(self.files(), ["secure-boot/PK/replace"])
        self.guest(self.e)
        self.assertIn(self.new.der, self.variable(f"PK-{p.GLOBAL}"))

    def test_refusals_are_told(self):
        self.keep(f"vars/SetupMode-{p.GLOBAL}", struct.pack("<I", 6) + b"\1")
        self.keep("secure-boot/db/append",
                  s.write(self.new, "db", DB, s.x509(self.new), attributes=s.KEYS | 0x40))
        self.keep(f"vars/{GREETING}", struct.pack("<I", 7) + b"after")
        self.guest(self.e)
        self.assertEqual([("refused: " in line) for line in self.results()], [True, True, False])
        self.assertEqual(self.variable(GREETING), b"after")
        self.keep("results", b"", p.VIEW_REMOVE)
        self.assertEqual(self.results(), [])

    def test_take_back(self):
        for i in range(3):
            self.keep("secure-boot/dbx/append", b"%02x" % i * 32)
        self.keep("secure-boot/dbx/append~2", b"", p.VIEW_REMOVE)
        self.assertEqual(len(self.files()), 2)
        self.assertEqual(self.h.view_read("next-boot", "secure-boot/dbx/append~2"), b"02" * 32)
        self.refused(errno.ENOENT, "secure-boot/dbx/append~3", b"", p.VIEW_REMOVE)

    def test_what_is_not_kept(self):
        for path in ("nothing", "secure-boot/db/hashes", "secure-boot/xx/append", "boot/order",
                     "secure-boot/db"):
            self.refused(errno.ENOENT, path)
        self.refused(errno.EINVAL, "secure-boot/db/append", b"nonsense")
        self.refused(errno.EINVAL, "vars/no-guid", b"1234")
        self.refused(errno.EINVAL, f"vars/{GREETING}", b"123")
        self.refused(errno.EPERM, "secure-boot/db", b"", p.VIEW_MKDIR)

    def test_size_is_bound(self):
        content = struct.pack("<I", 7) + bytes(60000)
        for i in range(17):
            self.keep(f"vars/Big{i}-{s.OWNER}", content)
        self.assertIn("1 MiB", self.refused(0, f"vars/Big-{s.OWNER}", content))

    def test_custom_mode_disabled(self):
        self.e.stop()
        self.h.close()
        self.start("--disable-custom-mode")
        self.assertIn("custom mode", self.refused(0, "secure-boot/db/append", self.new.der))
        self.assertIn("custom mode", self.refused(0, "secure-boot/enroll", b""))
        self.keep("secure-boot/db/append",
                  s.write(self.kek, "db", DB, s.x509(self.new), attributes=s.KEYS | 0x40))
        self.guest(self.e)
        self.assertIn(self.new.der, self.variable(f"db-{DB}"))


if __name__ == "__main__":
    unittest.main()
