#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""secure-boot/ over the host socket: what is shown of keys, and every way to change them."""

import errno
import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
import uvsign as s  # noqa: E402
from uvengine import EngineTest  # noqa: E402

DB = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
GUIDS = {"PK": p.GLOBAL, "KEK": p.GLOBAL, "db": DB, "dbx": DB}
MICROSOFT = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"


def profile(files):
    return b"".join(struct.pack("<H", len(path)) + path.encode() +
                    struct.pack("<I", len(content)) + content for path, content in files.items())


class SecureBoot(EngineTest):
    @classmethod
    def setUpClass(cls):
        cls.pk, cls.kek, cls.db, cls.new = (s.Key(name) for name in
                                            ("Test PK", "Test KEK", "Test db", "New/one"))

    def start(self, *options, **named):
        self.e = self.engine(*options, **named)
        self.h = self.host(self.e)

    def setUp(self):
        super().setUp()
        self.start()

    def act(self, path, content=b"", act=p.VIEW_WRITE):
        return self.h.view_act("secure-boot", path, content, act)

    def ok(self, *arguments):
        outcome = self.act(*arguments)
        self.assertEqual(outcome[0], 0, outcome)

    def refused(self, wanted, *arguments):
        before = self.h.export()
        outcome = self.act(*arguments)
        self.assertNotEqual(outcome[0], 0)
        if isinstance(wanted, int):
            self.assertEqual(outcome[1], wanted, outcome)
        self.assertTrue(outcome[2])
        self.assertEqual(self.h.export(), before)
        return outcome[2]

    def variable(self, name):
        entry = self.h.snapshot()["entries"].get(f"{name}-{GUIDS[name]}")
        return entry[0][4:] if entry else None

    def summary(self):
        return self.h.view_read("secure-boot", "summary").decode().splitlines()

    def enroll_all(self):
        """PK, KEK and db, in setup mode."""
        self.ok("enroll", profile({"PK/pk.pem": self.pk.pem.read_bytes(),
                                   "KEK/kek.der": self.kek.der, "db/db.esl": s.x509(self.db),
                                   "README": b"not looked at"}))

    def test_setup_mode(self):
        self.assertEqual(self.summary()[:3], ["secure-boot: off", "mode: setup", "custom-mode: 0"])
        self.ok("db/append", self.db.pem.read_bytes())
        self.ok("KEK/append", self.kek.der)
        self.assertEqual(set(self.h.view_list("secure-boot")) &
                         {"db/Test db." + hashlib.sha256(self.db.der).hexdigest()[:8] + ".crt"},
                         {"db/Test db." + hashlib.sha256(self.db.der).hexdigest()[:8] + ".crt"})
        # PK ends setup mode: the owner's act, as it is not signed.
        self.ok("PK/replace", self.pk.pem.read_bytes())
        self.assertEqual(self.summary()[:2], ["secure-boot: on", "mode: user"])

    def test_enroll(self):
        self.enroll_all()
        lines = self.summary()
        for name, key in (("PK", self.pk), ("KEK", self.kek), ("db", self.db)):
            line = next(line for line in lines if line.startswith(name + ": "))
            self.assertIn(key.name, line)
            self.assertIn(hashlib.sha256(key.der).hexdigest(), line)
            self.assertRegex(line, r"valid until 20\d\d-\d\d-\d\d")
        self.assertIn("dbx-hashes: 0", lines)
        self.assertIn("KEK-microsoft:", lines)
        self.assertNotIn("2023", "".join(line for line in lines if "microsoft" in line))

    def test_enroll_is_all_or_nothing(self):
        self.enroll_all()
        reason = self.refused(errno.EINVAL, "enroll", profile(
            {"db/new.pem": self.new.pem.read_bytes(), "PK/broken.pem": b"nonsense\n"}))
        self.assertIn("PK/broken.pem", reason)
        # A PK of two keys is found by the service, behind db's change.
        reason = self.refused(None, "enroll", profile(
            {"db/new.pem": self.new.pem.read_bytes(), "PK/a.der": self.pk.der,
             "PK/b.der": self.new.der}))
        self.assertTrue(reason.startswith("PK: "), reason)
        self.refused(errno.EINVAL, "enroll", b"\1\2\3")
        self.refused(errno.EINVAL, "enroll", profile({"README": b"x"}))

    def test_files(self):
        self.enroll_all()
        self.ok("dbx/append", ("11" * 32 + "\n" + "sha1 " + "22" * 20 + "\n").encode())
        self.assertEqual(self.h.view_read("secure-boot", "dbx/hashes").decode(),
                         "sha256 " + "11" * 32 + "\nsha1 " + "22" * 20 + "\n")
        files = self.h.view_list("secure-boot")
        certificates = [path for path in files if path.endswith(".crt")]
        self.assertEqual(len(certificates), 3)
        for path in certificates:
            pem = self.h.view_read("secure-boot", path)
            self.assertEqual(len(pem), files[path][1])
            der = s.openssl("x509", "-outform", "DER", data=pem)
            self.assertIn(hashlib.sha256(der).hexdigest()[:8], path)
        self.assertEqual(self.h.view_read("secure-boot", "db/list.esl"), self.variable("db"))
        for path in files:
            self.assertNotIn("//", path)
        for path in ("db/append", "db/nothing.crt", "nowhere", "db"):
            self.assertIsNone(self.h.view_read("secure-boot", path))

    def test_odd_names(self):
        """A common name with '/', and two certificates of one name."""
        twin = s.Key("New/one")
        self.ok("db/append", self.new.pem.read_bytes() + twin.pem.read_bytes())
        names = sorted(path for path in self.h.view_list("secure-boot") if path.endswith(".crt"))
        self.assertEqual(len(names), 2)
        for name in names:
            self.assertRegex(name, r"^db/New_one\.[0-9a-f]{8}\.crt$")

    def test_owner_changes_keys(self):
        self.enroll_all()
        self.ok("db/append", self.new.pem.read_bytes())
        self.assertEqual(self.variable("db")[:len(s.x509(self.db))], s.x509(self.db))
        before = self.h.export()
        self.ok("db/append", self.new.pem.read_bytes())
        self.assertEqual(self.h.export(), before)
        name = next(path for path in self.h.view_list("secure-boot")
                    if path.startswith("db/New_one"))
        self.ok(name, b"", p.VIEW_REMOVE)
        self.assertEqual(self.variable("db"), s.x509(self.db))
        self.ok("dbx/replace", s.hashes(1, 2))
        self.ok("dbx/append", ("01" * 32 + "\n" + "03" * 32).encode())
        self.assertEqual(self.h.view_read("secure-boot", "dbx/hashes").count(b"\n"), 3)
        self.ok("dbx/hashes", b"", p.VIEW_REMOVE)
        self.assertIsNone(self.variable("dbx"))
        self.ok("PK/list.esl", b"", p.VIEW_REMOVE)
        self.assertEqual(self.summary()[1], "mode: setup")

    def test_owner_is_refused(self):
        self.enroll_all()
        guest = self.guest(self.e)
        reason = self.refused(errno.EBUSY, "db/append", self.new.der)
        self.assertIn("session", reason)
        guest.bye()
        self.ok("db/append", self.new.der)

    def test_custom_mode_disabled(self):
        self.enroll_all()
        self.h.close()
        self.e.stop()
        self.start("--disable-custom-mode")
        self.assertIn("custom mode", self.refused(None, "db/append", self.new.der))

    def test_signed_updates(self):
        """As they are published: no attribute word. Verified like the guest's, session or not."""
        self.enroll_all()
        self.guest(self.e)
        update = s.write(self.kek, "db", DB, s.x509(self.new), attributes=s.KEYS | 0x40,
                         time=s.time_bytes(year=2010))
        self.ok("db/append", update)
        after = self.h.export()
        self.ok("db/append", update)
        self.assertEqual(self.h.export(), after)
        self.assertIn(s.x509(self.new), self.variable("db"))
        self.refused(None, "db/append", s.write(self.db, "db", DB, s.x509(self.pk),
                                                attributes=s.KEYS | 0x40))
        self.refused(None, "KEK/append", update)
        self.ok("db/replace", s.write(self.kek, "db", DB, s.x509(self.new),
                                      time=s.time_bytes(year=2040)))
        self.assertEqual(self.variable("db"), s.x509(self.new))

    def test_nonsense(self):
        self.enroll_all()
        for content in (b"", b"\n", b"hello\n", b"12" * 31, b"-----BEGIN CERTIFICATE-----\n",
                        b"sha256 zz" * 10, b"\x30\x82\xff\xff", os.urandom(500),
                        self.db.der + b"x", b"md5 " + b"0" * 32):
            self.refused(errno.EINVAL, "db/append", content)
        self.refused(errno.EPERM, "db/hashes", b"11" * 32)
        self.refused(errno.EPERM, "summary", b"x")
        self.refused(errno.ENOENT, "db/other.crt", b"", p.VIEW_REMOVE)
        self.refused(errno.EPERM, "db", b"", p.VIEW_RMDIR)

    def test_store_as_profile(self):
        self.enroll_all()
        store, before = self.h.export(), self.variable("PK")
        self.ok("PK/list.esl", b"", p.VIEW_REMOVE)
        self.ok("db/list.esl", b"", p.VIEW_REMOVE)
        self.ok("enroll", profile({"vars.json": store}))
        self.assertEqual(self.variable("PK"), before)
        self.assertEqual(self.summary()[1], "mode: user")

    @unittest.skipUnless(os.path.exists(MICROSOFT) and shutil.which("virt-fw-vars"),
                         "no firmware with Microsoft's keys, or no virt-fw-vars")
    def test_microsoft(self):
        self.h.close()
        self.e.stop()
        store = os.path.join(self.folder, "ms.json")
        subprocess.run(["virt-fw-vars", "-i", MICROSOFT, "--output-json", store], check=True,
                       stderr=subprocess.DEVNULL)
        self.start(store="ms.json")
        lines = self.summary()
        self.assertIn("KEK-microsoft: KEK CA 2011", "\n".join(lines))
        with open(store) as file:
            variables = json.load(file)["variables"]
        count = sum((len(v["data"]) // 2 - 28) // 48 for v in variables if v["name"] == "dbx")
        self.assertIn(f"dbx-hashes: {count}", lines)


if __name__ == "__main__":
    unittest.main()
