#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Engines started before they are asked for: for who goes through the guests in the order of their
list, a few at a time, under the cap; for nobody else."""

import os
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
from uvmount import variable, wait_until  # noqa: E402

GUESTS = [f"g{i:02}" for i in range(60)]
ROW = 3  # so many neighbours make a walk
SOON_S = 0.5


def reach():
    """How far ahead engines are wanted."""
    return 2 * (len(os.sched_getaffinity(0)) + 1)


class Ahead(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        source = self.scratch.path / "source"
        source.mkdir()
        for number, name in enumerate(GUESTS):
            (source / f"{name}.json").write_text(
                uvmount.store_text(variable("A", bytes([number]))))
        self.source = source

    def mount(self, *options):
        return self.scratch.mount(self.source, *(options or ["idle=60"]))

    def walk(self, mount, names):
        for name in names:
            self.assertEqual(mount.read(name, "A")[1], bytes([GUESTS.index(name)]))

    def of(self, mount, names):
        return [name for name in names if mount.engine_pid(name)]

    def test_walk(self):
        with self.mount() as mount:
            self.walk(mount, GUESTS[:ROW + 1])
            wait_until(lambda: self.of(mount, [GUESTS[ROW + 1]]), "the next one's engine")
            time.sleep(SOON_S)
            last = ROW + 1 + reach()
            self.assertEqual(self.of(mount, GUESTS[last:]), [])
            self.walk(mount, GUESTS[ROW + 1:])

    def test_what_shows(self):
        """Each guest has one engine, whatever of it is looked at: the first ones taught which."""
        with self.mount() as mount:
            for name in GUESTS[:20]:
                (mount.guest(name) / "secure-boot/summary").read_text()
                (mount.guest(name) / "boot/summary").read_text()
            pids = {}
            for name in GUESTS[20:40]:
                (mount.guest(name) / "secure-boot/summary").read_text()
                pids[name] = mount.engine_pid(name)
                (mount.guest(name) / "boot/summary").read_text()
                self.assertEqual(mount.engine_pid(name), pids[name])

    def test_gaps(self):
        """Those between that are known already need no engine, and end no walk."""
        with self.mount() as mount:
            self.walk(mount, GUESTS[:20:5])
            wait_until(lambda: self.of(mount, [GUESTS[16]]), "the next one's engine")

    def test_no_walk(self):
        with self.mount() as mount:
            chosen = [GUESTS[i] for i in (50, 3, 30, 2, 55, 1, 25)]
            self.walk(mount, chosen)
            time.sleep(SOON_S)
            self.assertEqual(self.of(mount, GUESTS), sorted(chosen))

    def test_one_guest(self):
        with self.mount() as mount:
            for _ in range(10):
                self.walk(mount, [GUESTS[7]])
            time.sleep(SOON_S)
            self.assertEqual(self.of(mount, GUESTS), [GUESTS[7]])

    def test_kept(self):
        """What is kept beside a store may spare it the engine: none is started ahead of that."""
        with self.mount() as mount:
            for name in GUESTS[10:]:
                os.listdir(mount.vars(name))
            mount.stop()
        with self.mount() as mount:
            self.walk(mount, GUESTS[5:10])
            time.sleep(SOON_S)
            self.assertEqual(self.of(mount, GUESTS[10:]), [])

    def test_cap(self):
        """A small one leaves no room for it, and a walk never goes beyond."""
        for cap in (1, 4, 9):
            with self.subTest(cap=cap), self.mount("idle=60", f"engines={cap}") as mount:
                for name in GUESTS[:20]:
                    self.walk(mount, [name])
                    # Those that were asked to end may still be on their way out.
                    self.assertLessEqual(len(mount.engines()), 2 * cap + 1)
                if cap < 4:
                    time.sleep(SOON_S)
                    self.assertEqual(self.of(mount, GUESTS[20:]), [])
                mount.stop()

    def test_broken_ahead(self):
        """A store that can't be served fails for who asks for it, once each, and stops nobody."""
        for name in GUESTS[4:8]:
            (self.source / f"{name}.json").write_text("{")
        with self.mount() as mount:
            self.walk(mount, GUESTS[:4])
            time.sleep(SOON_S)
            for name in GUESTS[4:8]:
                with self.assertRaises(OSError):
                    mount.read(name, "A")
            self.walk(mount, GUESTS[8:])


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main(verbosity=2)
