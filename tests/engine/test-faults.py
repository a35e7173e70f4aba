#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An engine's life, in which one system call after the other fails: it tells, goes on or ends, and keeps
what it has acknowledged."""

import os
import pathlib
import shutil
import signal
import socket
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvfail  # noqa: E402
import uvflash  # noqa: E402
import uvproto as p  # noqa: E402
from uvengine import EngineTest  # noqa: E402

uvfail.need()
# What the client of an engine that fails or ends gets to see.
LOST = (p.Closed, p.ErrorFrame, OSError, socket.timeout, RuntimeError, IndexError)
CHANGES = {"Old1": b"n" * 300, "New": b"n" * 300, "Old2": None, "Host": b"h"}


class Faults(EngineTest):
    store = "vars.json"

    def prepare(self):
        """What each run begins with: a store that a killed engine left."""
        start = os.path.join(self.folder, "start")
        os.mkdir(start)
        self.make_store(os.path.join(start, self.store))
        engine = self.engine(folder=start, store=self.store)
        with engine.guest() as guest:
            guest.hello()
            for i in range(4):
                self.assert_status(guest.set(f"Old{i}", p.TEST, p.NV_BS_RT, bytes([i]) * 200), p.SUCCESS)
            engine.kill(signal.SIGKILL)
        return start

    def make_store(self, path):
        pass

    def live(self, engine, kept):
        """Does what guests and hosts do, and notes in `kept` what may be there afterwards: both until
        an answer comes, then what it says."""
        def change(name, make):
            before, after = kept[name][0], CHANGES[name]
            kept[name] = [before, after]
            kept[name] = [after if make() else before]

        engine.wait_ready(3)
        with engine.guest(3) as guest:
            guest.hello()
            for name in ("Old1", "New", "Old2"):
                change(name, lambda: guest.set(name, p.TEST, p.NV_BS_RT, CHANGES[name] or b"") == p.SUCCESS)
            guest.set("Volatile", p.TEST, p.BS_RT, b"v")
            with engine.host(3) as host:
                host.snapshot()
                change("Host", lambda: host.set_variable("Host", p.TEST, data=CHANGES["Host"]).ok)
                host.status(), host.check(), host.listener().close()
                host.import_(host.export())
            guest.load(guest.save())
            guest.bye()

    def check(self, folder, kept):
        """Another engine, to which nothing happens, finds it all."""
        with self.engine(folder=folder, store=self.store, name="after") as engine, engine.guest() as guest:
            guest.hello()
            for name, allowed in kept.items():
                status, _, found = guest.get(name, p.TEST)
                self.assertIn(found if status == p.SUCCESS else None, allowed, name)
            self.assert_status(guest.set("After", p.TEST, p.NV_BS_RT, b"a"), p.SUCCESS)

    def one(self, start, fault):
        folder = os.path.join(tempfile.mkdtemp(dir=self.folder), "run")
        shutil.copytree(start, folder, ignore=shutil.ignore_patterns("mm.sock", "mm.host"))
        kept = {"New": [None], "Host": [None]}
        kept.update({f"Old{i}": [bytes([i]) * 200] for i in range(4)})
        engine = self.engine(folder=folder, store=self.store, wrapper=fault.wrapper(), start=False)
        engine.start(wait=False)
        try:
            self.live(engine, kept)
        except LOST:
            pass
        code = engine.stop()
        self.assertIn(code, (0, 1, -signal.SIGTERM), f"{fault}: killed, or it does not end")
        self.check(folder, kept)
        if not fault.was_reached():
            for name, data in CHANGES.items():
                self.assertEqual(kept[name], [data], f"{fault}: without a fault it all works")

    def test_each(self):
        start = self.prepare()
        counts = {}
        for call, error in uvfail.CALLS:
            for fault in uvfail.faults(self.folder, call, error):
                with self.subTest(fault=str(fault)):
                    self.one(start, fault)
                    counts[call] = counts.get(call, 0) + fault.was_reached()
        print(counts)
        self.assertGreater(sum(counts.values()), 150)


class FlashFaults(Faults):
    store = "vars.fd"

    def make_store(self, path):
        uvflash.small_image(path)


class Spawned(EngineTest):
    """As the monitor starts it: it becomes another user, and confines itself."""

    def test_each(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become another user")
        os.chmod(self.folder, 0o777)
        for call, error in uvfail.CALLS:
            if call not in ("prctl", "setgroups", "setresgid", "setresuid", "syscall", "getrlimit", "setrlimit",
                            "fork", "socketpair"):
                continue
            for number, fault in enumerate(uvfail.faults(self.folder, call, error, 40)):
                with self.subTest(fault=str(fault)):
                    self.one(f"e{call}{error}-{number}", fault)

    def one(self, name, fault):
        program = os.path.join(self.folder, "program")
        with open(program, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\nexec {' '.join(fault.wrapper())} {uvengine.program()} \"$@\"\n")
        os.chmod(program, 0o755)
        engine = self.engine(spawned=True, user="65534:65534", name=name, store=name + ".json", start=False,
                             executable=program)
        engine.start(wait=False)
        try:
            engine.wait_ready(3)
            with engine.guest(3) as guest:
                guest.hello()
                guest.set("A", p.TEST, p.NV_BS_RT, b"a")
                guest.bye()
        except LOST:
            pass
        self.assertIn(engine.stop(), (0, 1, -signal.SIGTERM), f"{fault}: killed, or it does not end")
        engine.close_listeners()


if __name__ == "__main__":
    unittest.main()
