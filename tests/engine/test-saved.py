#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Edits of a store whose guest has a saved state: kept, told of, and refused where that is wished."""

import json
import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
from uvengine import EngineTest  # noqa: E402

RELATIVE_KEPT = ".uefivarsfs/vars.json.before-load"
EROFS = 30


class Saved(EngineTest):
    def saved(self, *options):
        """An engine whose guest was saved, and is gone; the state."""
        engine = self.engine(*options)
        guest = self.guest(engine)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        blob = guest.save(release=True)
        guest.bye()  # as QEMU says it when it ends, whatever became of its machine
        return engine, blob

    def restart(self, engine):
        self.assertEqual(engine.stop(), 0)
        engine.start()

    def load(self, engine, blob):
        guest = self.guest(engine, flags=p.HELLO_INCOMING)
        guest.load(blob)
        return guest

    def kept(self):
        with open(os.path.join(self.folder, RELATIVE_KEPT)) as file:
            return {v["name"]: bytes.fromhex(v["data"]) for v in json.load(file)["variables"]}

    def status(self, engine):
        return self.host(engine).status()

    def warnings(self, engine):
        return " ".join(self.status(engine)["warnings"])

    def test_untouched(self):
        engine, blob = self.saved()
        self.assertIsNotNone(self.status(engine)["store"]["saved-state"])
        self.restart(engine)
        status = self.status(engine)
        self.assertIsNotNone(status["store"]["saved-state"])
        self.assertEqual(status["warnings"], [])
        self.load(engine, blob)
        status = self.status(engine)
        self.assertIsNone(status["store"]["saved-state"])
        self.assertEqual(status["warnings"], [])
        self.assertFalse(os.path.exists(os.path.join(self.folder, RELATIVE_KEPT)))

    def edited_then_loaded(self, restarts):
        engine, blob = self.saved()
        if restarts:
            self.restart(engine)
        self.assertTrue(self.host(engine).set_variable("A", p.TEST, data=b"edited").ok)
        self.assertIn("a saved state of the guest exists", self.warnings(engine))
        if restarts:
            self.restart(engine)
            self.assertIn("a saved state of the guest exists", self.warnings(engine))
        guest = self.load(engine, blob)
        self.assertEqual(guest.get("A", p.TEST)[2], b"1")
        self.assertEqual(self.kept()["A"], b"edited")
        warnings = self.warnings(engine)
        self.assertIn("older than the store", warnings)
        self.assertIn(RELATIVE_KEPT, warnings)
        self.assertNotIn("a saved state of the guest exists", warnings)

    def test_edited(self):
        self.edited_then_loaded(False)

    def test_edited_and_restarted(self):
        self.edited_then_loaded(True)

    def test_killed_after_the_edit(self):
        """What is newer is in the journal only."""
        engine, blob = self.saved()
        self.assertTrue(self.host(engine).set_variable("A", p.TEST, data=b"edited").ok)
        engine.kill()
        engine.start()
        self.load(engine, blob)
        self.assertEqual(self.kept()["A"], b"edited")
        self.assertIn("older than the store", self.warnings(engine))

    def test_refuse(self):
        engine, blob = self.saved("--saved=refuse")
        self.restart(engine)
        host = self.host(engine)
        outcome = host.set_variable("A", p.TEST, data=b"edited")
        self.assertEqual(outcome.errno, EROFS)
        self.assertIn("saved state", outcome.reason)
        self.assertEqual(host.import_(b'{"version": 2, "variables": []}').errno, EROFS)
        guest = self.load(engine, blob)
        self.assertTrue(host.set_variable("A", p.TEST, data=b"edited").ok)
        self.assertEqual(guest.get("A", p.TEST)[2], b"edited")
        guest.bye()
        self.assertTrue(host.set_variable("A", p.TEST, data=b"again").ok)

    def test_over(self):
        """Started without it, or powered off after a snapshot: nothing waits for it."""
        engine, _ = self.saved("--saved=refuse")
        guest = self.guest(engine)
        self.assertIsNone(self.status(engine)["store"]["saved-state"])
        guest.save()
        self.assertIsNotNone(self.status(engine)["store"]["saved-state"])
        guest.bye()
        self.assertIsNone(self.status(engine)["store"]["saved-state"])
        self.restart(engine)
        self.assertIsNone(self.status(engine)["store"]["saved-state"])

    def test_goes_on(self):
        engine = self.engine()
        guest = self.guest(engine)
        guest.save(release=True)
        guest.acquire()
        self.assertIsNone(self.status(engine)["store"]["saved-state"])

    def test_odd_files(self):
        engine, _ = self.saved()
        engine.stop()
        path = os.path.join(self.folder, ".uefivarsfs/vars.json.saved")
        for odd in (b"", b"uvsaved\1", bytes(24), b"uvsaved\1" + bytes(17), b"x" * 100000):
            with open(path, "wb") as file:
                file.write(odd)
            engine.start()
            self.assertIsNone(self.status(engine)["store"]["saved-state"])
            engine.stop()

    def test_snapshot_is_no_edit(self):
        """Going back to a snapshot after the guest's own changes: kept, and told of."""
        engine = self.engine()
        guest = self.guest(engine)
        guest.set("A", p.TEST, p.NV_BS_RT, b"1")
        blob = guest.save()
        time.sleep(0.01)
        guest.set("A", p.TEST, p.NV_BS_RT, b"2")
        guest.load(blob)
        self.assertEqual(self.kept()["A"], b"2")
        self.assertIn("older than the store", self.warnings(engine))


if __name__ == "__main__":
    unittest.main()
