#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""by-store/: a guest is found by its store's path, by users who share nothing with anybody, and whoever
has the store open is that guest."""

import collections
import ctypes
import hashlib
import os
import pathlib
import signal
import socket
import statistics
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvpace  # noqa: E402
import uvproto as p  # noqa: E402
from uvattacker import attacker  # noqa: E402
from uvmount import alive, variable, wait_until  # noqa: E402

ROOT = os.geteuid() == 0
USER = 65534
START_S = 0.2
LIBC = ctypes.CDLL(None)
AT_FDCWD, RENAME_EXCHANGE = -100, 2
BY_STORE = pathlib.Path("/run/uefivarsfs/by-store" if ROOT else
                        f"{os.environ.get('XDG_RUNTIME_DIR')}/uefivarsfs/by-store")


def entry(path, suffix):
    digest = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
    return BY_STORE / f"{digest[:16]}{suffix}"


class ByStore(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        os.chmod(self.scratch.path, 0o755)
        self.store = self.source / "g.json"
        self.store.write_text(uvmount.store_text(variable("A", b"a")))

    def mount(self, *options):
        mount = self.scratch.mount(self.source, *options)
        wait_until(lambda: entry(self.store, ".sock").exists(), "the store's socket")
        return mount

    def guest(self, store=None, **hello):
        store = store or self.store
        guest = p.prove(str(entry(store, ".sock")), store, **hello)
        self.addCleanup(guest.close)
        return guest

    def test_guest(self):
        mount = self.mount()
        self.assertEqual(entry(self.store, ".sock").stat().st_mode & 0o777, 0o666)
        guest = self.guest()
        self.assertEqual(guest.get("A", p.TEST)[2], b"a")
        self.assertEqual(guest.set("B", p.TEST, p.NV_BS, b"b"), p.SUCCESS)
        self.assertEqual(mount.read("g", "B")[1], b"b")
        guest.bye()
        # Its own socket never asks.
        with p.Guest(str(mount.socket("g"))) as guest:
            guest.hello()
            guest.bye()

    def test_what_a_killed_monitor_left(self):
        self.mount().stop()
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        left = [BY_STORE / ".new" / str(pid) for pid in (child, os.getpid())]
        for path in left:
            path.touch()
            self.addCleanup(path.unlink, missing_ok=True)
        self.mount()
        self.assertEqual([path.exists() for path in left], [False, True])

    def test_no_proof(self):
        self.mount()
        other = self.source / "other.json"
        other.write_text(uvmount.store_text())
        fds = [os.open(other, os.O_RDWR), os.open(self.store, os.O_RDONLY)]
        for proofs in (), fds[:1], fds[1:]:
            guest = p.Prover(str(entry(self.store, ".sock")), *proofs)
            with self.assertRaises(p.ErrorFrame) as caught:
                guest.hello(flags=p.HELLO_STORE)
            self.assertEqual(caught.exception.code, p.E_PROOF)
            guest.close()
        for fd in fds:
            os.close(fd)
        self.assertEqual(self.guest().get("A", p.TEST)[2], b"a")

    @unittest.skipUnless(ROOT, "only root is two users")
    def test_another_user(self):
        """One who has the store is its guest, and is nobody's else."""
        self.mount()
        mine = self.source / "mine.json"
        mine.write_text(uvmount.store_text(variable("M", b"m")))
        os.chown(mine, USER, USER)
        wait_until(lambda: entry(mine, ".sock").exists(), "the store's socket")
        p.ucs2("its codec is loaded while we may")
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setgroups([])
                os.setresgid(USER, USER, USER)
                os.setresuid(USER, USER, USER)
                status = 2
                guest = self.guest(mine)
                status = 3 if guest.get("M", p.TEST)[2] != b"m" else 4
                fd = os.open(mine, os.O_RDWR)
                for _ in range(1000):
                    with p.Prover(str(entry(self.store, ".sock")), fd) as guest:
                        try:
                            guest.hello(flags=p.HELLO_STORE)
                            os._exit(5)
                        except p.ErrorFrame:
                            pass
                status = 0
            except Exception as error:  # pylint: disable=broad-except
                print(f"the other user: {error!r}", file=sys.stderr)
            finally:
                os._exit(status)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)

    def test_new_and_gone(self):
        """The folder is published; a new store has its socket at once, a removed one none."""
        mount = self.mount()
        self.assertEqual(os.readlink(entry(self.source, ".folder")), str(self.source.resolve()))
        new = self.source / "new.json"
        temporary = self.source / "new.json.tmp"
        temporary.write_text(uvmount.store_text(variable("N", b"n")))
        os.rename(temporary, new)
        wait_until(lambda: entry(new, ".sock").exists(), "the new store's socket", 3)
        self.assertEqual(self.guest(new).get("N", p.TEST)[2], b"n")
        mount.stop()
        self.assertFalse(entry(self.source, ".folder").is_symlink())
        self.assertFalse(entry(self.store, ".sock").exists())

    def test_reset_nvram(self):
        """A new file by the same name is the store; who has the old one open is nobody."""
        self.mount()
        old = os.open(self.store, os.O_RDWR)
        temporary = self.source / ".anew"
        temporary.write_text(uvmount.store_text(variable("A", b"new")))
        os.rename(temporary, self.store)
        with p.Prover(str(entry(self.store, ".sock")), old) as guest:
            with self.assertRaises(p.ErrorFrame):
                guest.hello(flags=p.HELLO_STORE)
        os.close(old)
        self.assertEqual(self.guest().get("A", p.TEST)[2], b"new")

    def test_names_that_are_exchanged(self):
        """While somebody with one of the two stores asks at both: he is never the other's guest."""
        self.store.write_text(uvmount.store_text(variable("Owner", b"other")))
        mine = self.source / "mine.json"
        mine.write_text(uvmount.store_text(variable("Owner", b"mine")))
        fd = os.open(mine, os.O_RDWR)
        self.addCleanup(os.close, fd)
        self.mount()
        names = [mine, self.store]
        wait_until(lambda: all(entry(name, ".sock").exists() for name in names), "their sockets")
        stopping = threading.Event()
        thread = threading.Thread(target=self.exchange, args=(names, stopping))
        thread.start()
        try:
            served = [self.owner(entry(names[number % 2], ".sock"), fd) for number in range(400)]
        finally:
            stopping.set()
            thread.join()
        self.assertEqual(set(served) - {None}, {b"mine"})

    @staticmethod
    def exchange(names, stopping):
        one, other = (os.fsencode(name) for name in names)
        while not stopping.wait(0.001):
            LIBC.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE)

    @staticmethod
    def owner(path, fd):
        """None: refused."""
        try:
            with p.Prover(str(path), fd) as guest:
                guest.hello(flags=p.HELLO_STORE)
                owner = guest.get("Owner", p.TEST)[2]
                guest.bye()
                return owner
        except (OSError, p.ErrorFrame, p.Closed):
            return None

    @unittest.skipUnless(ROOT, "only root is two users")
    def test_many_that_say_nothing(self):
        """Of users who can't have the store: its guest starts nearly as ever."""
        self.mount()
        path = str(entry(self.store, ".sock"))
        held = collections.deque()

        def connect():
            held.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
            try:
                held[-1].connect(path)
            except OSError:
                held.pop().close()
                time.sleep(0.001)
            if len(held) > 400:
                held.popleft().close()

        with attacker(connect), attacker(connect), attacker(connect):
            times = []
            for _ in range(20):
                begun = time.monotonic()
                wait_until(self.starts, "the guest's start")
                times.append(time.monotonic() - begun)
        self.assertLess(statistics.median(times), START_S * uvpace.factor())

    def starts(self):
        try:
            with p.prove(str(entry(self.store, ".sock")), self.store) as guest:
                self.assertEqual(guest.get("A", p.TEST)[2], b"a")
                guest.bye()
                return True
        except (OSError, p.ErrorFrame, p.Closed):
            return False

    def test_killed_front(self):
        """The engine keeps the socket; when it ends, the next front makes it anew."""
        mount = self.mount()
        guest = self.guest()
        pid = mount.engine_pid("g")
        mount.kill()
        self.assertEqual(guest.get("A", p.TEST)[2], b"a")
        guest.close()
        guest = self.guest(session=guest.session, flags=p.HELLO_STORE | p.HELLO_RESUME)
        mount.clear()
        mount.start()
        self.assertEqual(mount.engine_pid("g"), pid)
        guest.close()
        guest = self.guest(session=guest.session, flags=p.HELLO_STORE | p.HELLO_RESUME)
        guest.bye()
        guest.close()
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not alive(pid), "the engine's end")
        end = time.monotonic() + 5
        while True:
            try:
                guest = self.guest()
                break
            except (OSError, p.ProtocolError):
                self.assertLess(time.monotonic(), end)
                time.sleep(0.02)
        self.assertEqual(guest.get("A", p.TEST)[2], b"a")


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main(verbosity=2)
