#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Engines and their front, as design.md's "Processes and their life" promises it: who may be
stopped or killed without the others noticing. UV_LONG=1 runs the full counts."""

import contextlib
import errno
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvmount  # noqa: E402
import uvpace  # noqa: E402
import uvproto  # noqa: E402
from uvmount import alive, variable, wait_until  # noqa: E402
from uvpace import within  # noqa: E402

LONG = bool(os.environ.get("UV_LONG"))


class MountTest(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()

    def store(self, name, *variables):
        path = self.source / f"{name}.json"
        path.write_text(uvmount.store_text(*(variables or [variable("A", b"a")])))
        return path

    def mount(self, *options, **kwargs):
        return self.scratch.mount(self.source, *options, **kwargs)

    def stopped(self, pid):
        def go_on():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(go_on)


class Writer(threading.Thread):
    """A guest that counts: writes N, N+1, ... into a variable until told to stop. An error of the
    connection is taken as a lost engine: it connects and resumes, as the device does."""

    def __init__(self, path, name="Counter"):
        super().__init__(daemon=True)
        self.path = path
        self.name_ = name
        self.session = os.urandom(16)
        self.acknowledged = 0
        self.slowest = 0.0
        self.reconnects = 0
        self.failure = None
        self.ending = False
        self.guest = uvproto.Guest(path, timeout=20).hello(self.session)

    def run(self):
        try:
            while not self.ending:
                self.write(self.acknowledged + 1)
        except Exception as error:  # noqa: BLE001: told by stop()
            self.failure = error

    def write(self, number):
        begun = time.monotonic()
        try:
            status = self.guest.set(self.name_, uvproto.TEST, data=number.to_bytes(8, "little"))
        except (uvproto.Closed, OSError):
            self.guest.close()
            self.guest = uvproto.Guest(self.path, timeout=20).hello(
                self.session, flags=uvproto.HELLO_RESUME)
            self.reconnects += 1
            return
        if status != uvproto.SUCCESS:
            raise AssertionError(uvproto.status_name(status))
        self.acknowledged = number
        self.slowest = max(self.slowest, time.monotonic() - begun)

    def stop(self):
        self.ending = True
        self.join(30)
        if self.failure:
            raise self.failure


class Stopped(MountTest):
    def test_engine(self):
        """A stopped engine: others do not notice, its reads come from the replica, a write fails in
        the end, and going on heals it."""
        for i in range(4):
            self.store(f"g{i}", variable("A", b"%d" % i))
        mount = self.mount("idle=60")
        self.assertEqual(mount.read("g0", "A")[1], b"0")
        mount.write("g0", "W", b"w")  # not one that is only looked at
        pid = mount.engine_pid("g0")
        self.stopped(pid)
        with within(5):
            self.assertEqual(mount.read("g0", "A")[1], b"0")
            for i in range(300):
                self.assertEqual(mount.read(f"g{1 + i % 3}", "A")[1], b"%d" % (1 + i % 3))
        begun = time.monotonic()
        # A process: whoever starts others meanwhile, as within() does, may have a thread's write
        # interrupted, and its next try is one that a silent engine has little time for.
        patient = os.fork()
        if patient == 0:
            time.sleep(8)
            with contextlib.suppress(OSError):
                mount.write("g0", "P", b"p")
                os._exit(0)
            os._exit(1)
        with within(15), self.assertRaises(OSError):
            mount.write("g0", "B", b"x")
        self.assertGreater(time.monotonic() - begun, 8)
        self.assertEqual(mount.read("g0", "A")[1], b"0")
        with within(6, "it has no credit left"):
            self.assertEqual(mount.status("g0")["engine"]["state"], "silent")
            with self.assertRaises(OSError):
                (mount.guest("g0") / "store.json").read_text()
        os.kill(pid, signal.SIGCONT)
        self.assertEqual(os.waitpid(patient, 0)[1], 0, "a write begun while another one failed")
        mount.write("g0", "C", b"y")
        names = {name[:-37] for name in os.listdir(mount.vars("g0"))}
        self.assertLessEqual({"A", "P", "C"}, names)
        self.assertNotIn("B", names, "a change that failed was made later")
        self.assertEqual(mount.engine_pid("g0"), pid)

    def test_killed_engine(self):
        self.store("g")
        mount = self.mount("idle=60")
        for i in range(2):  # told once
            mount.write("g", "B", b"%d" % i)
            mount.kill_engine("g")
            self.assertEqual(mount.read("g", "B")[1], b"%d" % i)
        wait_until(lambda: "guest g: its engine was killed by signal 9" in mount.log.read_text(),
                   "a line in the log")
        self.assertEqual(mount.log.read_text().count("killed by"), 1)

    def test_front(self):
        """A stopped front keeps no guest waiting, and reads what it missed afterwards."""
        self.store("g")
        mount = self.mount()
        guest = uvproto.Guest(mount.socket("g")).hello()
        self.assertEqual(guest.set("B", uvproto.TEST, data=b"0"), uvproto.SUCCESS)
        os.listdir(mount.vars("g"))
        # Within the time in which a front does not connect again at once.
        os.kill(mount.process.pid, signal.SIGSTOP)
        try:
            for i in range(40):
                with within(1):
                    self.assertEqual(guest.set("B", uvproto.TEST, data=b"%02d" % i * 15000),
                                     uvproto.SUCCESS)
        finally:
            os.kill(mount.process.pid, signal.SIGCONT)
        self.assertEqual(mount.read("g", "B")[1], b"39" * 15000)
        self.assertEqual(guest.set("B", uvproto.TEST, data=b"last"), uvproto.SUCCESS)
        self.assertEqual(mount.read("g", "B")[1], b"last")
        guest.close()

    def test_many_hung(self):
        """Of many guests, some have hung engines: listing and the others work."""
        count, hung = (10000, 500) if LONG else (400, 40)
        for i in range(count):
            self.store(f"g{i:05}")
        mount = self.mount(f"engines={2 * hung}", "idle=60")
        pids = []
        for i in reversed(range(hung)):  # in their order the next ones' would be started, too
            mount.read(f"g{i:05}", "A")
        pids = mount.engines()
        self.assertEqual(len(pids), hung)
        for pid in pids:
            self.stopped(pid)
        with within(8):
            with within(1):
                self.assertEqual(len(os.listdir(mount.path / "guests")), count)
            for i in list(range(hung, hung + 30)) + list(range(30)):
                self.assertEqual(mount.read(f"g{i:05}", "A")[1], b"a")
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


    def test_hung_at_the_cap(self):
        """Hung engines fill the cap: who comes then waits a moment, and not for each of them."""
        for i in range(12):
            self.store(f"g{i}")
        mount = self.mount("engines=4", "idle=60")
        for i in range(3):
            mount.write(f"g{i}", "B", b"b")
        pids = mount.engines()
        for pid in pids:
            self.stopped(pid)
        with within(8):
            for i in range(3, 12):
                self.assertEqual(mount.read(f"g{i}", "A")[1], b"a")
        for i in range(3):
            self.assertEqual(mount.read(f"g{i}", "B")[1], b"b")
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


class Killed(MountTest):
    def test_front_under_writers(self):
        """kill -9 of the front again and again under two writing guests."""
        for name in ("g0", "g1", "idle"):
            self.store(name)
        mount = self.mount("idle=60")
        writers = [Writer(mount.socket(f"g{i}")) for i in range(2)]
        for writer in writers:
            writer.start()
        for i in range(50 if LONG else 6):
            mount.kill()
            mount.start()
            for k, writer in enumerate(writers):
                before = writer.acknowledged
                seen = int.from_bytes(mount.read(f"g{k}", "Counter")[1], "little")
                self.assertGreaterEqual(seen, before)
                self.assertLessEqual(seen, writer.acknowledged + 1)
            self.assertEqual(mount.read("idle", "A")[1], b"a")
            mount.write("g0", "Host", b"%d" % i)
            self.assertEqual(mount.read("g0", "Host")[1], b"%d" % i)
        for k, writer in enumerate(writers):
            writer.stop()
            self.assertEqual(writer.reconnects, 0)
            self.assertEqual(int.from_bytes(mount.read(f"g{k}", "Counter")[1], "little"),
                             writer.acknowledged)
            writer.guest.bye()
            writer.guest.close()
        mount.stop()
        wait_until(lambda: not mount.engines(), "no engine is left", 12)

    def test_killed_under_a_writer_of_the_host(self):
        """The monitor and all engines at once: the front ends by itself, with what was asked of it (a
        sanitizer tells where it takes something that is gone)."""
        self.store("g")
        mount = self.mount()
        stop = threading.Event()

        def write_on():
            while not stop.is_set():
                try:
                    mount.write("g", "Here", b"1")
                except OSError:
                    time.sleep(0.01)

        writer = threading.Thread(target=write_on)
        writer.start()
        self.addCleanup(writer.join)
        self.addCleanup(stop.set)
        for i in range(5):
            wait_until(lambda: mount.engine_pid("g"), "an engine")
            time.sleep(0.1 * i)
            front, engines = mount.front_pid(), mount.engines()
            mount.process.kill()
            for pid in engines:
                os.kill(pid, signal.SIGKILL)
            mount.process.wait()
            wait_until(lambda front=front: not uvmount.alive(front), "the front ended")
            mount.clear()
            mount.start()

    def test_front_alone(self):
        """Engines without a guest end by themselves after a crash of the front."""
        self.store("g")
        mount = self.mount("idle=60")
        mount.write("g", "B", b"b")
        self.assertEqual(len(mount.engines()), 1)
        mount.kill()
        wait_until(lambda: not mount.engines(), "the engine ended", 13)
        self.assertIn('"B"', (self.source / "g.json").read_text())

    def test_front_is_told_of(self):
        """The log says what ended the mount."""
        self.store("g")
        mount = self.mount()
        os.kill(mount.front_pid(), signal.SIGKILL)
        self.assertEqual(mount.process.wait(30), 1)
        self.assertIn("the front was ended by a signal (Killed)", mount.log.read_text())

    def test_engine_under_writer(self):
        """An engine's death: the guest's connection finds the next one, no write is lost."""
        self.store("g")
        mount = self.mount("idle=60")
        writer = Writer(mount.socket("g"))
        writer.start()
        for _ in range(50 if LONG else 5):
            acknowledged, reconnects = writer.acknowledged, writer.reconnects
            wait_until(lambda: writer.acknowledged > acknowledged or writer.failure, "a write")
            # Two that die before the front has heard of them are two that can't start.
            wait_until(lambda: (mount.status("g")["engine"] or {}).get("pid") == mount.engine_pid("g"),
                       "the front knows it")
            mount.kill_engine("g")
            wait_until(lambda: writer.reconnects > reconnects or writer.failure, "it came back")
        writer.stop()
        writer.guest.close()
        # The last one may have died between the change and its answer.
        self.assertIn(int.from_bytes(mount.read("g", "Counter")[1], "little"),
                      (writer.acknowledged, writer.acknowledged + 1))

    def test_no_connection_is_lost(self):
        """Guests that connect at any moment of an engine's life are served."""
        self.store("g")
        mount = self.mount("idle=1")
        for i in range(12 if LONG else 6):
            mount.read("g", "A")
            if i % 3 == 0:
                mount.write("g", "B", b"b")
                mount.kill_engine("g")
            if i % 3 == 1:
                time.sleep(0.95 + i * 0.01)  # about when it is asked to end
            guest = uvproto.Guest(mount.socket("g"))
            guest.hello()
            self.assertEqual(guest.get("A", uvproto.TEST)[2], b"a")
            guest.bye()
            guest.close()


def event_counters(pid):
    """What identifies the eventfds that a process has."""
    found = set()
    for entry in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            found |= {line for line in entry.read_text().splitlines()
                      if line.startswith("eventfd-id")}
    return found


class Life(MountTest):
    def test_loops_are_apart(self):
        """The monitor sleeps, whatever the front does: they share nothing that wakes both."""
        self.store("a")
        with self.mount() as mount:
            monitor, front = (event_counters(p) for p in (mount.process.pid, mount.front_pid()))
            self.assertTrue(monitor and front)
            self.assertFalse(monitor & front)

    def test_idle_and_unmount(self):
        self.store("g")
        self.store("h")
        mount = self.mount("idle=1")
        self.assertEqual(mount.engines(), [])
        os.listdir(mount.path / "guests")
        os.stat(mount.guest("g"))
        self.assertEqual(mount.engines(), [])
        mount.write("g", "B", b"b")
        self.assertEqual(len(mount.engines()), 1)
        wait_until(lambda: not mount.engines(), "the idle engine ended", 5)
        wait_until(lambda: mount.status("g")["engine"] is None, "the front saw its end")
        self.assertEqual(mount.read("g", "B")[1], b"b")
        self.assertEqual(mount.engines(), [])
        mount.write("h", "B", b"h")
        self.assertEqual(mount.stop(), 0)
        self.assertEqual(mount.engines(), [])
        self.assertIn('"B"', (self.source / "h.json").read_text())
        self.assertEqual(list(self.source.glob(".uefivarsfs/*.journal")), [])
        self.assertFalse(mount.sockdir.exists())

    def test_read_while_an_engine_ends(self):
        """What it leaves serves who came meanwhile: no other one is started."""
        path, mount = self.store("g"), self.mount("idle=1")
        mount.write("g", "B", b"b")
        wait_until(lambda: len(mount.engines()) == 1, "the one that was only looked at is gone")
        engine = mount.engine_pid("g")
        self.stopped(engine)
        time.sleep(1.4)  # it is asked to end
        os.utime(path)
        read = []
        reader = threading.Thread(target=lambda: read.append(mount.read("g", "B")), daemon=True)
        reader.start()
        time.sleep(0.2)
        os.kill(engine, signal.SIGCONT)
        reader.join(20)
        self.assertEqual(read, [(7, b"b")])
        self.assertIn(mount.engine_pid("g"), (0, engine))

    def test_asked_while_an_engine_ends(self):
        """What it tells of itself at its end serves status.json and views: no other one is started."""
        self.store("g")
        mount = self.mount("idle=1")
        asked = [mount.guest("g") / "status.json", mount.guest("g") / "secure-boot" / "summary"]
        for path in asked:
            path.read_bytes()
        mount.write("g", "B", b"b")
        wait_until(lambda: len(mount.engines()) == 1, "the one that was only looked at is gone")
        asked[1].read_bytes()
        engine = mount.engine_pid("g")
        self.stopped(engine)
        time.sleep(1.4)  # it is asked to end
        texts = []
        readers = [threading.Thread(target=lambda p=p: texts.append(p.read_bytes()), daemon=True)
                   for p in asked]
        for reader in readers:
            reader.start()
        time.sleep(0.2)
        os.kill(engine, signal.SIGCONT)
        for reader in readers:
            reader.join(20)
        self.assertEqual(len(texts), 2)
        wait_until(lambda: not alive(engine), "it ended")
        self.assertEqual(mount.engines(), [])

    def test_unmount_with_guest(self):
        """An engine with a guest stays, and the next front takes it over."""
        self.store("g")
        mount = self.mount()
        guest = uvproto.Guest(mount.socket("g")).hello()
        self.assertEqual(guest.set("V", uvproto.TEST, uvproto.BS_RT, b"volatile"), uvproto.SUCCESS)
        pid = mount.engine_pid("g")
        self.assertEqual(mount.stop(), 0)
        self.assertEqual(guest.set("B", uvproto.TEST, data=b"between"), uvproto.SUCCESS)
        mount.start()
        self.assertEqual(mount.read("g", "B")[1], b"between")
        self.assertEqual(mount.read("g", "V")[1], b"volatile")
        self.assertEqual(mount.engine_pid("g"), pid)
        mount.write("g", "C", b"host")
        self.assertEqual(guest.get("C", uvproto.TEST)[2], b"host")
        guest.bye()
        guest.close()
        self.assertEqual(mount.stop(), 0)
        wait_until(lambda: not alive(pid), "it ended", 12)

    def test_cap(self):
        """One that has let go of its socket is not counted any more, and exits in a moment."""
        def held():
            wait_until(lambda: len(mount.engines()) <= 4, "no more engines than the cap", 1)

        for i in range(30):
            self.store(f"g{i}", variable("A", b"%d" % i))
        mount = self.mount("engines=4", "idle=60")
        for i in range(30):
            self.assertEqual(mount.read(f"g{i}", "A")[1], b"%d" % i)
            held()
        # All at once: they take turns.
        for i in range(30):
            os.utime(self.source / f"g{i}.json")
        script = ("for i in $(seq 0 29); do cat $0/g$i/vars/A-* > /dev/null & done; "
                  "for p in $(jobs -p); do wait $p || exit 1; done")
        subprocess.run(["bash", "-c", script, str(mount.path / "guests")], check=True, timeout=30)
        held()

    def test_guests_come_and_go(self):
        self.store("g")
        (self.source / "sub").mkdir()
        mount = self.mount()
        guests = mount.path / "guests"
        self.assertEqual(sorted(os.listdir(guests)), ["g"])
        self.store("new", variable("A", b"n"))
        self.assertEqual(mount.read("new", "A")[1], b"n")
        (self.source / "sub" / "vars.json").write_text(uvmount.store_text(variable("A", b"s")))
        self.assertEqual(mount.read("sub", "A")[1], b"s")
        self.assertEqual(sorted(os.listdir(guests)), ["g", "new", "sub"])
        mount.write("g", "B", b"b")
        (self.source / "g.json").unlink()
        wait_until(lambda: not (guests / "g").exists(), "the guest is gone", 2)
        wait_until(lambda: not mount.engine_pid("g"), "and its engine", 2)
        self.assertFalse((self.source / "g.json").exists())
        os.rename(self.source / "new.json", self.source / "other_VARS.json")
        wait_until(lambda: sorted(os.listdir(guests)) == ["other", "sub"], "renamed", 2)
        self.assertEqual(mount.read("other", "A")[1], b"n")
        os.mkdir(guests / "made")
        self.assertTrue((self.source / "made" / "config.json").is_file())
        os.rmdir(guests / "made")
        self.assertFalse((self.source / "made").exists())
        with self.assertRaises(OSError):
            os.rmdir(guests / "other")

    def test_changed_outside(self):
        """Another program replaces a store: seen, with an engine and without one."""
        self.store("g")
        mount = self.mount("idle=1")
        for wait in (False, True):
            mount.write("g", "B", b"b")
            mount.read("g", "B")
            if wait:
                wait_until(lambda: not mount.engines(), "idle", 5)
            else:
                time.sleep(2.5)  # the JSON is complete
            self.store("g", variable("A", b"other"))
            self.assertEqual(mount.read("g", "A")[1], b"other")
            self.assertNotIn(f"B-{uvproto.TEST}", os.listdir(mount.vars("g")))


    def test_why_a_write_fails(self):
        """status.json names the file, what is wrong with it, and who has it open."""
        held, foreign = self.store("held"), self.store("foreign")
        foreign.chmod(0o400)
        os.chown(foreign, 4242, 4242)
        mount = self.mount()
        with open(held, "r+b"):
            for guest, reason in (("held", "held.json: opened by another program"),
                                  ("foreign", "foreign.json: the engine's user may not write it")):
                with self.assertRaises(OSError) as caught:
                    mount.write(guest, "B", b"b")
                self.assertEqual(caught.exception.errno, errno.EROFS)
                status = mount.status(guest)
                self.assertIn(reason, status["last-refusal"]["text"])
                self.assertIn(reason, status["store"]["read-only-reason"])
            self.assertIn(f"(pid {os.getpid()})", mount.status("held")["store"]["opened-by"])
        self.assertNotIn("opened-by", mount.status("foreign")["store"])

    def test_store_is_taken_away(self):
        """Its last changes are not in it yet: they are kept, and no other store gets them."""
        for i, take in enumerate((os.unlink, lambda path: path.rename(path.with_name("h.json")))):
            with self.subTest(i):
                path = self.store("g")
                text = path.read_text()
                mount = self.mount("idle=60", name=f"mnt{i}")
                mount.write("g", "B", b"b")
                take(path)
                guests = mount.path / "guests"
                self.assertEqual(os.listdir(guests), ["h"] if i else [])
                kept = self.source / ".uefivarsfs" / f"g.json.journal.conflict-{i + 1}"
                self.assertIn("B".encode("utf-16le"), kept.read_bytes())
                self.assertIn(f"removed or renamed before it had every change: the others are kept "
                              f"in {kept}", mount.log.read_text())
                path.write_text(text)
                for name in os.listdir(guests):
                    self.assertEqual(mount.read(name, "A")[1], b"a")
                    self.assertNotIn(f"B-{uvproto.TEST}", os.listdir(mount.vars(name)))
                mount.stop()

    def test_store_is_taken_away_from_a_guest(self):
        path = self.store("g")
        mount = self.mount("idle=1")
        with uvproto.Guest(mount.socket("g")).hello(os.urandom(16)) as guest:
            guest.set("B", uvproto.TEST, uvproto.NV_BS_RT, b"b")
            path.rename(path.with_name("h.json"))
            self.assertNotEqual(guest.set("C", uvproto.TEST, uvproto.NV_BS_RT, b"c"), 0)
            self.assertIn("the store was replaced or removed under the running guest: its changes "
                          "fail until it is reset", mount.status("g")["warnings"])
            guest.bye()
        wait_until(lambda: os.listdir(mount.path / "guests") == ["h"], "the guest is gone", 15)
        self.assertNotIn(f"B-{uvproto.TEST}", os.listdir(mount.vars("h")))
        self.assertEqual(len(list(self.source.glob(".uefivarsfs/g.json.journal.conflict-*"))), 1)


class Hostile(MountTest):
    def test_client(self):
        """A client that opens a thousand connections, stalls mid-frame and floods costs itself."""
        self.store("bad")
        self.store("good")
        mount = self.mount()
        good = uvproto.Guest(mount.socket("good")).hello()
        idle = []
        for i in range(1000):
            sock = uvproto.connect(mount.socket("bad"), 5)
            sock.setblocking(False)
            sock.send((b"", b"x" * 7, uvproto.HEADER.pack(60, uvproto.HELLO, 0, 1))[i % 3])
            idle.append(sock)
        bad = uvproto.Guest(mount.socket("bad")).hello()
        message = uvproto.mm_variable(uvproto.F_SET, os.urandom(65000))
        busy = uvpace.factor()
        end = time.monotonic() + 2
        frames = slowest = 0
        while time.monotonic() < end:
            for _ in range(20):
                bad.send(uvproto.MM, message)
                bad.receive()
                frames += 1
            begun = time.monotonic()
            self.assertEqual(good.get("A", uvproto.TEST)[2], b"a")
            slowest = max(slowest, time.monotonic() - begun)
        self.assertGreater(frames, 100)
        self.assertLess(slowest, 0.5 * max(busy, uvpace.factor()))
        if not uvengine.sanitized():
            self.assertLess(uvmount.memory_kib(mount.engine_pid("bad")), 64 * 1024)
        self.assertEqual(mount.read("bad", "A")[1], b"a")
        for sock in idle:
            sock.close()
        for guest in (bad, good):
            guest.bye()
            guest.close()


class Refused(MountTest):
    def run_front(self, source, mountpoint, *options):
        arguments = [str(uvmount.UEFIVARSFS), str(source), str(mountpoint)]
        if options:
            arguments += ["-o", ",".join(options)]
        return subprocess.run(arguments, capture_output=True, text=True, timeout=20, check=False)

    def refused(self, result, *words):
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_second_mount(self):
        self.store("g")
        self.mount()
        other = self.scratch.path / "other"
        other.mkdir()
        link = self.scratch.path / "link"
        link.symlink_to(self.source)
        sockdir = f"sockdir={self.scratch.path / 'other.sock'}"
        self.refused(self.run_front(link, other, sockdir), str(self.source), "mounted")
        self.refused(self.run_front(self.source, other, sockdir, "ro"), str(self.source))

    def test_read_only_shares(self):
        self.store("g")
        first = self.mount("ro")
        second = self.scratch.mount(self.source, "ro", name="second")
        self.assertEqual(first.read("g", "A"), second.read("g", "A"))
        with self.assertRaises(OSError):
            first.write("g", "B", b"b")

    def test_mountpoint(self):
        self.store("g")
        inside = self.source / "mnt"
        inside.mkdir()
        sockdir = f"sockdir={self.scratch.path / 'x.sock'}"
        for mountpoint in (inside, self.source):
            self.refused(self.run_front(self.source, mountpoint, sockdir), str(mountpoint))
        self.refused(self.run_front(self.scratch.path / "absent", self.scratch.path, sockdir),
                     "absent", "No such file")

    def test_broken_store(self):
        """A store that can't be read: its guest fails with a reason, the others are served."""
        (self.source / "bad.json").write_text('{"version": 2, "variables": [}')
        self.store("g")
        mount = self.mount()
        with self.assertRaises(OSError):
            os.listdir(mount.vars("bad"))
        self.assertEqual(mount.read("g", "A")[1], b"a")
        text = (mount.guest("bad") / "status.json").read_text()
        self.assertIn("bad.json", text)
        self.assertEqual((self.source / "bad.json").read_text(), '{"version": 2, "variables": [}')


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main(verbosity=2)
