#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""--shared: engines of two hosts on one store. Which of them has it, and what becomes of the other."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvflash  # noqa: E402
import uvhosts  # noqa: E402
import uvproto as p  # noqa: E402
from uvengine import EngineTest  # noqa: E402

HOLDER = r"since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


class TwoHosts(EngineTest):
    store = "vars.json"

    def setUp(self):
        super().setUp()
        self.hosts = {}
        for name in ("one", "two"):
            self.hosts[name] = uvhosts.Host(self.folder, name)
            self.addCleanup(self.hosts[name].end)
        self.make_store()
        self.one, self.two = self.engine_on("one"), self.engine_on("two")

    def make_store(self):
        pass

    def settle(self):
        """A host that is not fenced keeps others off what it is writing just now."""

    def engine_on(self, host):
        return self.engine("--shared", name=host, store=self.store, wrapper=self.hosts[host].enter)

    def lock_path(self, suffix=""):
        return os.path.join(self.folder, ".uefivarsfs", f"{self.store}.lock{suffix}")

    def holder(self):
        """The first line of the lock file."""
        with open(self.lock_path()) as file:
            return file.readline().rstrip("\n")

    def expect_holder(self, host):
        self.assertRegex(self.holder(), f"^{host} {HOLDER}$" if host else "^$")

    def expect_refused(self, outcome, words):
        self.assertEqual(outcome.errno or (30 if outcome.status == p.WRITE_PROTECTED else 0), 30, outcome)
        self.assertRegex(outcome.reason, words)

    def host_set(self, engine, value, name="Host"):
        host = self.host(engine)
        outcome = host.set_variable(name, p.TEST, data=value)
        host.close()
        return outcome

    def value(self, engine, name):
        host = self.host(engine)
        entry = host.snapshot()["entries"].get(f"{name}-{p.TEST}")
        host.close()
        return entry and entry[0][4:]

    def let_go(self, timeout=10):
        end = time.monotonic() + timeout
        while self.holder() and time.monotonic() < end:
            time.sleep(0.02)
        self.expect_holder(None)


class Shared(TwoHosts):
    def test_the_guests_host_writes(self):
        guest = self.guest(self.one)
        self.expect_holder("one")
        with open(self.lock_path()) as file:
            self.assertEqual(file.read().split("\n")[1], f"boot {self.hosts['one'].boot}")
        self.expect_refused(self.host_set(self.two, b"x"), f"held by one {HOLDER}")
        self.assertIn("one since", json.dumps(self.host(self.two).status()["store"]["lock-holder"]))
        self.assertTrue(self.host_set(self.one, b"1").ok)
        self.assert_status(guest.set("Guest", p.TEST, p.NV_BS_RT, b"2"), p.SUCCESS)
        text = self.assert_error(p.E_OCCUPIED, self.raw_guest(self.two).hello)
        self.assertRegex(text, f"held by one {HOLDER}")
        time.sleep(2.5)  # complete, and held still
        self.expect_holder("one")
        self.assertEqual(self.value(self.two, "Guest"), b"2")
        guest.bye()
        self.expect_holder(None)
        self.assertTrue(self.host_set(self.two, b"3").ok)
        self.expect_holder("two")
        self.let_go()
        self.assertEqual(self.value(self.one, "Host"), b"3")

    def test_a_guest_that_comes_right_after_a_change(self):
        """Of the other host's administrator, which is over in two seconds."""
        self.assertTrue(self.host_set(self.one, b"1").ok)
        guest = self.guest(self.two)
        self.assertEqual(guest.get("Host", p.TEST)[2], b"1")
        blob = guest.save(release=True)
        guest.bye()
        self.assertTrue(self.host_set(self.one, b"2").ok)
        self.guest(self.two, flags=p.HELLO_INCOMING).load(blob)
        self.expect_holder("two")

    def test_a_lost_connection_keeps_it(self):
        guest = self.guest(self.one)
        guest.close()
        time.sleep(0.2)
        self.expect_holder("one")
        self.expect_refused(self.host_set(self.two, b"x"), "held by one")
        self.guest(self.one, session=guest.session)
        self.assertTrue(self.host_set(self.one, b"x").ok)

    def test_a_killed_engine_goes_on(self):
        guest = self.guest(self.one)
        self.assert_status(guest.set("Guest", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        self.one.kill()
        self.expect_refused(self.host_set(self.two, b"x"), "held by one")
        self.one.start()
        again = self.guest(self.one, session=guest.session)
        self.assert_status(again.set("Guest", p.TEST, p.NV_BS_RT, b"2"), p.SUCCESS)
        again.bye()
        self.assertEqual(self.value(self.two, "Guest"), b"2")

    def test_a_dead_host(self):
        guest = self.guest(self.one)
        self.assert_status(guest.set("Guest", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        self.one.kill()
        self.expect_refused(self.host_set(self.two, b"x"), "held by one")
        host = self.host(self.two)
        self.assertTrue(host.break_hold().ok)
        self.expect_holder(None)
        there = self.guest(self.two)
        self.assertEqual(there.get("Guest", p.TEST)[2], b"1")
        self.assert_status(there.set("Guest", p.TEST, p.NV_BS_RT, b"2"), p.SUCCESS)
        self.assertEqual(host.break_hold().errno, 16)
        # It comes back, and so does its guest.
        self.one.start()
        text = self.assert_error(p.E_OCCUPIED, self.raw_guest(self.one).hello, guest.session)
        self.assertRegex(text, "held by two")
        self.expect_refused(self.host_set(self.one, b"x"), "held by two")
        there.bye()
        self.assertEqual(self.value(self.one, "Guest"), b"2")

    def test_broken_into_while_it_lives(self):
        """It was not fenced. From its next change on it makes none."""
        guest = self.guest(self.one)
        self.assert_status(guest.set("Guest", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        self.settle()
        self.assertTrue(self.host(self.two).break_hold().ok)
        there = self.guest(self.two)
        self.assert_status(there.set("Guest", p.TEST, p.NV_BS_RT, b"2"), p.SUCCESS)
        self.assert_status(guest.set("Guest", p.TEST, p.NV_BS_RT, b"3"), p.WRITE_PROTECTED)
        self.expect_refused(self.host_set(self.one, b"x"), "by two")
        time.sleep(2.5)
        self.expect_holder("two")
        self.assertEqual(there.get("Guest", p.TEST)[2], b"2")
        there.bye()
        # What it knows is not what is there: not before its reset.
        self.assertNotEqual(guest.set("Guest", p.TEST, p.NV_BS_RT, b"3"), p.SUCCESS)
        guest.reset()
        self.assertEqual(guest.get("Guest", p.TEST)[2], b"2")
        self.assert_status(guest.set("Guest", p.TEST, p.NV_BS_RT, b"4"), p.SUCCESS)
        self.expect_holder("one")

    def test_stopped_while_it_is_broken_into(self):
        """The same with a change in its journal that was not in the file yet."""
        guest = self.guest(self.one)
        self.assert_status(guest.set("Guest", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        self.settle()
        os.kill(self.one.process.pid, signal.SIGSTOP)
        self.assertTrue(self.host(self.two).break_hold().ok)
        there = self.guest(self.two)
        self.assertEqual(there.get("Guest", p.TEST)[2], b"1")
        self.assert_status(there.set("Guest", p.TEST, p.NV_BS_RT, b"2"), p.SUCCESS)
        time.sleep(2.2)
        os.kill(self.one.process.pid, signal.SIGCONT)
        time.sleep(1)  # its compaction was due
        self.assert_status(there.set("Other", p.TEST, p.NV_BS_RT, b"3"), p.SUCCESS)
        there.bye()
        self.two.stop()
        self.one.kill()
        self.two.start()
        self.assertEqual((self.value(self.two, "Guest"), self.value(self.two, "Other")), (b"2", b"3"))

    def test_migration(self):
        source = self.guest(self.one)
        self.assert_status(source.set("Guest", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        target = self.guest(self.two, session=source.session, flags=p.HELLO_INCOMING)
        self.expect_holder("one")
        blob = source.save(release=True)
        self.expect_holder(None)
        target.load(blob)
        self.expect_holder("two")
        self.assertFalse(os.path.exists(os.path.join(self.folder, f".uefivarsfs/{self.store}.saved")))
        self.assert_status(target.set("Guest", p.TEST, p.NV_BS_RT, b"2"), p.SUCCESS)
        self.assert_error(p.E_CHANGED, source.acquire)
        source.bye()
        self.expect_holder("two")
        self.expect_refused(self.host_set(self.one, b"x"), "held by two")

    def test_migration_that_fails(self):
        source = self.guest(self.one)
        self.assert_status(source.set("Guest", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        target = self.guest(self.two, session=source.session, flags=p.HELLO_INCOMING)
        source.save(release=True)
        target.close()
        source.acquire()
        self.expect_holder("one")
        self.assert_status(source.set("Guest", p.TEST, p.NV_BS_RT, b"2"), p.SUCCESS)

    def test_what_is_no_claim(self):
        self.assertTrue(self.host_set(self.one, b"1").ok)
        self.let_go()
        with open(self.lock_path(), "w") as file:
            file.write("somebody\n")
        self.expect_refused(self.host_set(self.one, b"2"), "held by a host that can't be told")
        self.assertTrue(self.host(self.one).break_hold().ok)
        self.assertTrue(self.host_set(self.one, b"2").ok)

    def test_clean_end(self):
        self.assertTrue(self.host_set(self.one, b"1").ok)
        self.expect_holder("one")
        self.assertEqual(self.one.stop(), 0)
        self.expect_holder(None)
        self.assertFalse(os.path.exists(self.lock_path(".tmp")))


class Flash(Shared):
    """The same, where the lock is else held for a burst only."""
    store = "vars.fd"

    def make_store(self):
        shutil.copy(uvflash.OVMF_VARS, os.path.join(self.folder, self.store))

    def settle(self):
        time.sleep(0.5)


class Record(TwoHosts):
    def lines(self):
        lines = []
        for suffix in (".changes.1", ".changes"):
            path = os.path.join(self.folder, f".uefivarsfs/{self.store}{suffix}")
            if os.path.exists(path):
                with open(path) as file:
                    lines += [json.loads(line) for line in file]
        return [line for line in lines if p.TEST in line.get("variable", "")]

    def test_one_record(self):
        """Each change once, by the host that made it, in their order."""
        wanted = []
        for i in range(6):
            host = ("one", "two")[i % 2]
            engine = getattr(self, host)
            guest = self.guest(engine)
            self.expect_refused(self.host_set((self.two, self.one)[i % 2], b"x"), f"held by {host}")
            self.assert_status(guest.set("Guest", p.TEST, p.NV_BS_RT, b"%d" % i), p.SUCCESS)
            guest.bye()
            wanted.append((host, 1))
        self.assertEqual([(line["host"], line["size"]) for line in self.lines()], wanted)

    def test_turned_over_by_the_other(self):
        for engine in (self.one, self.two):
            engine.stop()
            engine.options += ["--record", "8192"]
            engine.start()
        for i in range(40):
            guest = self.guest((self.one, self.two)[i % 2])
            self.assert_status(guest.set("Guest", p.TEST, p.NV_BS_RT, b"%03d" % i), p.SUCCESS)
            guest.bye()
        found = [line["host"] for line in self.lines()]
        self.assertGreater(len(found), 8)
        self.assertTrue(all(a != b for a, b in zip(found, found[1:])), found)


class Names(unittest.TestCase):
    def test_a_host_without_a_name(self):
        for name in ("localhost", "localhost.localdomain", "a b"):
            with self.subTest(name=name):
                ended = subprocess.run(
                    ["unshare", "--uts", "sh", "-c", 'hostname "$1" 2>/dev/null || printf %s "$1" > '
                     '/proc/sys/kernel/hostname; exec "$2" --shared --store /nonexistent/x --socket '
                     '/nonexistent/y', "sh", name, uvengine.program()],
                    capture_output=True, text=True, timeout=20, check=False)
                self.assertEqual(ended.returncode, 1)
                self.assertIn("--shared: ", ended.stderr)
                self.assertIn("other hosts know", ended.stderr)


if __name__ == "__main__":
    uvhosts.needs()
    unittest.main()
