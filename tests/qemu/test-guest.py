#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A running bare-metal guest and its engine: found as firmware finds it, both transfer modes, the host
beside it, resets, and a second start with the state kept."""

import sys
import unittest

from machines import NOT_FOUND, Engine, Machine, folder_of, need_guest
from qemu import need, uv

ADDRESS = {"x86_64": "ready fef10000", "aarch64": "ready c000000"}
SANDBOX = ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
NAME = f"%s-{uv.TEST}"


class Guest(unittest.TestCase):
    arch = "x86_64"

    def setUp(self):
        self.folder = folder_of(self)
        self.engine = Engine(self.folder)
        self.addCleanup(self.engine.stop)

    def machine(self, **kwargs):
        machine = Machine(self.engine.socket, self.arch, **kwargs)
        self.addCleanup(machine.close)
        self.assertIn(ADDRESS[self.arch], machine.ready())
        return machine

    def use(self, guest, mode):
        guest.ask(f"mode {mode}")
        data = bytes(range(256)) * 4
        self.assertEqual(guest.set(f"By-{mode}", 7, data), "0")
        self.assertEqual(guest.get(f"By-{mode}"), ("0", 7, data))
        self.assertEqual(guest.set("Gone", 7, b"x"), "0")
        self.assertIn("Gone", guest.names())
        self.assertEqual(guest.delete("Gone"), "0")
        self.assertNotIn("Gone", guest.names())
        self.assertEqual(guest.get("Gone")[0], NOT_FOUND)
        self.assertEqual(self.engine.variables()[NAME % f"By-{mode}"], (7, data))

    def test_dma_and_pio(self):
        guest = self.machine()
        self.use(guest, "dma")
        self.use(guest, "pio")

    def test_sandbox(self):
        guest = self.machine(args=SANDBOX)
        self.use(guest, "dma")
        self.engine.kill()
        self.engine.start()
        self.use(guest, "pio")

    def test_host_beside_it(self):
        """What either writes, the other sees at once."""
        guest = self.machine()
        with self.engine.host() as host:
            for number in range(20):
                data = bytes([number]) * (number + 1)
                self.assertTrue(host.set_variable("FromHost", uv.TEST, 7, data).ok)
                self.assertEqual(guest.get("FromHost"), ("0", 7, data))
                self.assertEqual(guest.set("FromGuest", 7, data), "0")
                entries = host.snapshot()["entries"]
                self.assertEqual(entries[NAME % "FromGuest"][0][4:], data)
            self.assertTrue(host.delete(NAME % "FromHost").ok)
        self.assertEqual(guest.get("FromHost")[0], NOT_FOUND)

    def test_reset_and_state(self):
        guest = self.machine()
        self.assertEqual(guest.set("Kept", 7, b"kept"), "0")
        self.assertEqual(guest.set("Volatile", 6, b"gone"), "0")
        self.assertEqual(guest.ask("event exit-boot-services")[1], "0")
        self.assertNotEqual(guest.set("BootOnly", 3, b"x"), "0")
        guest.type("reset")
        guest.ready()
        self.assertEqual(guest.get("Kept"), ("0", 7, b"kept"))
        self.assertEqual(guest.get("Volatile")[0], NOT_FOUND)
        self.assertEqual(guest.set("BootOnly", 3, b"x"), "0")
        guest.type("off")
        self.assertEqual(guest.wait(), 0)
        guest = self.machine()
        self.assertEqual(guest.get("Kept"), ("0", 7, b"kept"))
        self.assertEqual(guest.get("BootOnly"), ("0", 3, b"x"))

    def test_engine_that_is_started_again(self):
        """Phases and volatile variables are the session's, not the process'."""
        guest = self.machine()
        self.assertEqual(guest.set("Volatile", 6, b"here"), "0")
        self.assertEqual(guest.set("BootOnly", 3, b"x"), "0")
        self.assertEqual(guest.ask("event exit-boot-services")[1], "0")
        self.engine.kill()
        self.engine.start()
        self.assertEqual(guest.get("Volatile"), ("0", 6, b"here"))
        self.assertEqual(guest.get("BootOnly")[0], NOT_FOUND)


class Aarch64(Guest):
    arch = "aarch64"


if __name__ == "__main__":
    for case in (Guest, Aarch64):
        if f"--arch={case.arch}" in sys.argv:
            sys.argv.remove(f"--arch={case.arch}")
            need(case.arch, engine=True)
            need_guest(case.arch)
            sys.exit(0 if unittest.TextTestRunner(verbosity=1).run(
                unittest.defaultTestLoader.loadTestsFromTestCase(case)).wasSuccessful() else 1)
    sys.exit("usage: test-guest.py --arch=x86_64|aarch64")
