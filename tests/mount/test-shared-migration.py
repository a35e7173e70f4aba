#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""-o shared: a guest goes from host to host and back, while it and the administrators of both hosts write;
engines of either side are killed, and hosts. Nothing that was acknowledged is lost, and never do two write:
the record of changes tells of each variable one history, in which each change starts from what the one
before it, on whatever host, had left.
"""

import hashlib
import json
import os
import pathlib
import random
import signal
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvhosts  # noqa: E402
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402
from uvmount import store_text, wait_until  # noqa: E402

LONG = bool(os.environ.get("UV_LONG"))
MIGRATIONS = 100 if LONG else 6
KILLS = 50 if LONG else 8
VARIABLES = 8
GUEST = "web"


class Host:
    """A host with its mount, and its administrator, who writes what he may."""

    def __init__(self, scratch, source, name):
        self.name = name
        self.spaces = scratch.stack.enter_context(uvhosts.Host(scratch.path, name))
        self.mount = scratch.mount(source, "shared", "record=67108864", name=name, host=self.spaces)
        self.tried, self.acknowledged, self.refused = [], None, 0
        self.failed, self.killed = 0, False
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.write_on)
        self.thread.start()

    def write_on(self):
        path = self.mount.vars(GUEST) / f"Admin-{self.name}-{p.TEST}"
        for number in range(10 ** 9):
            if self.stopping.wait(0.01 + 0.02 * random.random()):
                return
            value = b"%s %d" % (self.name.encode(), number)
            self.tried.append(value)
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT)
                try:
                    os.write(fd, struct.pack("<I", p.NV_BS_RT) + value)
                finally:
                    os.close(fd)
                self.acknowledged = value
            except OSError as error:
                if error.errno == 30:
                    self.refused += 1
                    if not self.killed:
                        self.tried.pop()
                else:
                    self.failed += 1  # its engine, or all of it, was killed

    def stop(self):
        self.stopping.set()
        self.thread.join()

    def kill_engine(self):
        pid = self.mount.engine_pid(GUEST)
        if pid:
            os.kill(pid, signal.SIGKILL)

    def die(self):
        """As when its power goes."""
        pids = self.mount.engines()
        self.mount.process.kill()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.mount.process.wait()
        self.mount.clear()
        for pid in pids:
            wait_until(lambda pid=pid: not uvmount.alive(pid), "the engine is gone")

    def boot(self):
        self.mount.start()


class Machine:
    """The guest: what QEMU's device does for it, and what it wrote."""

    def __init__(self, test):
        self.test = test
        self.host = self.guest = None
        self.session = os.urandom(16)
        self.number = 0
        self.acknowledged, self.tried = {}, {}

    def connect(self, host, **hello):
        end = time.monotonic() + 30
        while True:
            guest = None
            try:
                guest = p.Guest(host.mount.socket(GUEST), timeout=20)
                return guest.hello(session=self.session, **hello)
            except (p.ErrorFrame, p.Closed, OSError) as error:
                if guest:
                    guest.close()
                if time.monotonic() > end:
                    raise AssertionError(f"no engine of {host.name}: {error}") from error
                time.sleep(0.05)

    def start(self, host):
        self.host, self.guest = host, self.connect(host)

    def resume(self):
        self.guest.close()
        self.guest = self.connect(self.host, flags=p.HELLO_RESUME)

    def ask(self, call, *arguments):
        """Again where the engine was killed under it."""
        while True:
            try:
                return call(*arguments)
            except (p.Closed, OSError):
                self.resume()

    def set(self, name, value):
        return self.guest.set(name, p.TEST, p.NV_BS_RT, value)

    def get(self, name):
        return self.guest.get(name, p.TEST)

    def write(self, count):
        for _ in range(count):
            self.number += 1
            name = f"V{self.number % VARIABLES}"
            value = b"%d on %s" % (self.number, self.host.name.encode())
            self.tried.setdefault(name, []).append(value)
            status = self.ask(self.set, name, value)
            self.test.assertEqual(p.status_name(status), "SUCCESS")
            self.acknowledged[name] = value

    def check(self):
        for name, value in self.acknowledged.items():
            status, _, data = self.ask(self.get, name)
            self.test.assertEqual((p.status_name(status), data), ("SUCCESS", value))

    def save(self):
        return self.ask(lambda: self.guest.save(release=True))

    def migrate(self, target, kill=lambda moment: None):
        """QEMU's order: the target waits, the source saves and lets go, the target loads."""
        incoming = self.connect(target, flags=p.HELLO_INCOMING)
        kill("before")
        blob = self.save()
        kill("released")
        for _ in range(20):
            try:
                incoming.load(blob)
                break
            except (p.Closed, OSError):
                incoming.close()
                incoming = self.connect(target, flags=p.HELLO_INCOMING)
        kill("loaded")
        try:
            self.guest.bye()
        except (p.Closed, OSError):
            pass
        self.guest.close()
        self.host, self.guest = target, incoming

    def give_up_migration(self, target):
        """The target fails before it loads: the source goes on."""
        incoming = self.connect(target, flags=p.HELLO_INCOMING)
        self.save()
        incoming.close()
        self.guest.acquire()


class Migration(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "store"
        self.source.mkdir()
        (self.source / f"{GUEST}.json").write_text(store_text())
        self.hosts = []
        for name in ("one", "two"):
            self.hosts.append(Host(self.scratch, self.source, name))
            self.addCleanup(self.hosts[-1].stop)
        self.machine = Machine(self)
        self.machine.start(self.hosts[0])
        self.machine.write(10)
        self.kills = 0

    def other(self):
        return self.hosts[1 - self.hosts.index(self.machine.host)]

    def record(self):
        path = self.source / f".uefivarsfs/{GUEST}.json.changes"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def finish(self):
        self.machine.check()
        for host in self.hosts:
            host.stop()
        for host in self.hosts:
            if host.acknowledged:
                self.assertIn(self.machine.guest.get(f"Admin-{host.name}", p.TEST)[2],
                              host.tried[host.tried.index(host.acknowledged):])
        self.machine.guest.bye()
        for host in self.hosts:
            self.assertEqual(host.mount.stop(), 0)
        kept = {v["name"]: bytes.fromhex(v["data"])
                for v in json.loads((self.source / f"{GUEST}.json").read_text())["variables"]}
        for name, value in self.machine.acknowledged.items():
            self.assertEqual(kept[name], value)
        self.check_record()
        left = set(os.listdir(self.source / ".uefivarsfs"))
        self.assertFalse([name for name in left if "conflict" in name or "before-load" in name], left)

    def values(self):
        """SHA-256 of all that anybody may have written -> by which host it can be on record."""
        values = {}
        for name, tried in self.machine.tried.items():
            for value in tried:
                values[name, hashlib.sha256(value).hexdigest()] = value.rpartition(b" ")[2].decode()
        for host in self.hosts:
            for value in host.tried:
                values[f"Admin-{host.name}", hashlib.sha256(value).hexdigest()] = host.name
        return values

    def check_record(self):
        values, last, gaps = self.values(), {}, 0
        recorded = set()
        for line in self.record():
            if not line.get("variable", "").endswith(p.TEST) or line["status"]:
                continue
            name = line["variable"][:-len(p.TEST) - 1]
            self.assertEqual(values.get((name, line["sha256"])), line["host"], line)
            before = line.get("sha256-before")
            if before != last.get(name):
                # The last line of an engine that was killed is missing: a change that was made.
                gaps += 1
                self.assertTrue((name, before) in values, line)
            self.assertNotIn((name, line["sha256"]), recorded, "a change is there twice")
            recorded |= {(name, line["sha256"]), (name, before)}
            last[name] = line["sha256"]
        self.assertLessEqual(gaps, self.kills)
        for name, value in self.machine.acknowledged.items():
            if self.kills == 0:
                self.assertEqual(last[name], hashlib.sha256(value).hexdigest())
        self.assertGreater(len(recorded), 20)

    def test_migrations(self):
        for i in range(MIGRATIONS):
            wait_until(lambda: self.machine.host.acknowledged and self.other().refused,
                       "an administrator's write each: here and there")
            self.machine.write(random.randrange(1, 20))
            if i % 5 == 4:
                self.machine.give_up_migration(self.other())
                self.machine.write(5)
            self.machine.migrate(self.other())
            self.machine.check()
            self.machine.write(3)
        self.finish()
        for host in self.hosts:
            self.assertEqual(host.failed, 0)
            self.assertGreater(host.refused, 0)
            self.assertIsNotNone(host.acknowledged)

    def kill_once(self):
        """An engine of either side at some moment of a migration or while all write, or a host."""
        what = self.kills % 8
        source, target = self.machine.host, self.other()
        if what == 6:
            self.machine.write(random.randrange(1, 10))
            source.die()
            self.machine.guest.close()
            holder = target.mount.guest(GUEST) / "holder"
            self.assertTrue(holder.read_text().startswith(f"{source.name} since"))
            holder.write_text("break\n")
            self.machine.session = os.urandom(16)
            self.machine.start(target)
            self.machine.check()
            source.boot()
            return
        if what == 7:
            killer = threading.Timer(0.03 * random.random(), source.kill_engine)
            killer.start()
            self.machine.write(40)
            killer.join()
            return
        moment = ("before", "released", "loaded")[what // 2]
        victim = (source, target)[what % 2]
        self.machine.migrate(target, lambda now: victim.kill_engine() if now == moment else None)
        if moment == "loaded" and victim is target:
            self.machine.resume()

    def test_kills(self):
        for host in self.hosts:
            host.killed = True  # then a change may be made, and refused when its mount asks again
        while self.kills < KILLS:
            self.machine.write(random.randrange(1, 10))
            self.kill_once()
            self.kills += 1
            self.machine.check()
        self.finish()


if __name__ == "__main__":
    uvmount.need_mount()
    uvhosts.needs()
    unittest.main()
