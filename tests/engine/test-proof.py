#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The store's socket: whoever has the store open for reading and writing is its guest, and nobody
else, whoever he is."""

import array
import itertools
import os
import pathlib
import signal
import socket
import statistics
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
from deaffs import NoCloseFs  # noqa: E402
from uvengine import EngineTest  # noqa: E402

STORE = '{"version": 2, "variables": []}'
USER = 65534
LONG = os.environ.get("UV_LONG")


class Proof(EngineTest):
    def setUp(self):
        super().setUp()
        os.chmod(self.folder, 0o755)
        self.store = self.file("vars.json")
        self.path = os.path.join(self.folder, "store.sock")
        self.e = self.engine("--store-socket", self.path)

    def file(self, name, text=STORE):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def open(self, path, flags=os.O_RDWR):
        fd = os.open(path, flags)
        self.addCleanup(os.close, fd)
        return fd

    def proven(self, path=None, **named):
        """The guest, which has closed its descriptor as the device does."""
        fd = os.open(path or self.store, os.O_RDWR)
        try:
            return self.stranger(fd).hello(**{"flags": p.HELLO_STORE, **named})
        finally:
            os.close(fd)

    def stranger(self, *fds):
        guest = p.Prover(self.path, *fds)
        self.addCleanup(guest.close)
        return guest

    def refused(self, words, *fds):
        guest = self.stranger(*fds)
        text = self.assert_error(p.E_PROOF, lambda: guest.hello(flags=p.HELLO_STORE))
        self.assertIn(words, text)
        self.assertTrue(guest.at_end())

    def engine_fds(self):
        """When it has come to read what was closed."""
        counts = [0]
        while len(counts) < 100 and len(set(counts[-5:])) > 1 or len(counts) < 6:
            time.sleep(0.01)
            counts.append(len(os.listdir(f"/proc/{self.e.process.pid}/fd")))
        return counts[-1]

    def test_who_has_the_store_open_is_the_guest(self):
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o666)
        guest = self.proven()
        # As long as anybody else has the store open, the engine included, nothing is written.
        self.assert_status(guest.set("A", p.TEST, p.NV_BS, b"1"), p.SUCCESS)
        # The same session again, and the guest's own socket as ever.
        again = self.proven(session=guest.session, flags=p.HELLO_STORE | p.HELLO_RESUME)
        self.assertEqual(again.get("A", p.TEST)[2], b"1")
        again.bye()
        self.assertEqual(self.guest(self.e).get("A", p.TEST)[2], b"1")

    def test_also_the_owner_is_asked(self):
        self.refused("no descriptor of it came")

    def test_what_is_no_proof(self):
        other = self.file("other.json")
        os.link(self.store, os.path.join(self.folder, "hard"))
        sockets = socket.socketpair()
        for end in sockets:
            self.addCleanup(end.close)
        for words, fd in (
                ("not open for reading and writing", self.open(self.store, os.O_RDONLY)),
                ("not open for reading and writing", self.open(self.store, os.O_WRONLY)),
                ("not open for reading and writing", self.open(self.store, os.O_PATH)),
                ("of another file", self.open(other)),
                ("no regular file", self.open("/dev/null")),
                ("no regular file", sockets[0].fileno())):
            with self.subTest(words):
                self.refused(words, fd)
        # One file has one right, whatever it is called.
        self.proven(os.path.join(self.folder, "hard"))

    def test_the_store_is_what_its_name_means_now(self):
        old = self.open(self.store)
        os.rename(self.file("new.json"), self.store)
        self.refused("of another file", old)
        self.proven()

    def test_many_descriptors(self):
        """More than one is no HELLO; none of them stays."""
        self.proven().bye()
        before = self.engine_fds()
        for _ in range(50):
            guest = self.stranger(*[self.open(self.store)] * 3)
            with self.assertRaises((p.Closed, p.ErrorFrame, ConnectionResetError)):
                guest.hello(flags=p.HELLO_STORE)
            guest.close()
        self.proven().bye()
        self.assertEqual(self.engine_fds(), before)

    def test_garbage(self):
        self.proven().bye()
        fd = self.open(self.store)
        before = self.engine_fds()
        for length, type_, payload in ((0, p.HELLO, b""), (8, p.HELLO, b"x" * 8),
                                       (0, p.BYE, b""), (4096, p.MM, b"")):
            guest = self.stranger(fd)
            guest.sock.sendmsg([struct.pack("<IHHQ", length, type_, 0, 1) + payload],
                               [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
            guest.close()
        guest = self.stranger(fd)
        guest.sock.sendmsg([b"\xff" * 400],
                           [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        guest.close()
        self.proven().bye()
        self.assertEqual(self.engine_fds(), before)

    @unittest.skipUnless(os.geteuid() == 0, "only root is somebody else")
    def test_another_user_without_end(self):
        """As another virtual machine's user, which has a store of its own: refused each time, also where
        modes would let everybody open the store."""
        other = self.file("other.json")
        os.chown(other, USER, USER)
        for mode in 0o644, 0o666:
            os.chmod(self.store, mode)
            self.assertEqual(os.waitstatus_to_exitcode(
                os.waitpid(self.stranger_process(other, 50000 if LONG else 1500), 0)[1]), 0)
            guest = self.proven()
            self.assert_status(guest.set("A", p.TEST, p.NV_BS, b"1"), p.SUCCESS)
            guest.bye()
        self.assertLess(self.engine_fds(), 64)

    @unittest.skipUnless(os.geteuid() == 0, "only root is somebody else")
    def test_who_can_have_it(self):
        """By the owner, the group and the mode, as open(2) decides."""
        for uid, gid, mode, groups, can in ((USER, 0, 0o600, [], True), (0, USER, 0o660, [], True),
                                            (0, 7, 0o660, [5, 7], True), (0, 0, 0o606, [], True),
                                            (0, 7, 0o660, [5], False), (0, USER, 0o640, [], False),
                                            (0, 0, 0o604, [], False)):
            with self.subTest(uid=uid, gid=gid, mode=f"{mode:o}", groups=groups):
                os.chown(self.store, uid, gid)
                os.chmod(self.store, mode)
                fd = self.open(self.store)  # by root: whether it is taken is the question
                child = os.fork()
                if child == 0:
                    os._exit(self.show(fd, groups))
                self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0 if can else 3)

    def show(self, fd, groups):
        """Whether it is the guest then."""
        try:
            self.become_the_stranger(groups)
            with p.Prover(self.path, fd) as guest:
                guest.hello(flags=p.HELLO_STORE)
                guest.bye()
            return 0
        except p.ErrorFrame as error:
            return 3 if error.code == p.E_PROOF and "you can't" in str(error) else 2
        except Exception as error:  # pylint: disable=broad-except
            print(f"who has it: {error!r}", file=sys.stderr)
            return 1

    @unittest.skipUnless(os.geteuid() == 0, "only root is somebody else")
    def test_a_file_that_is_never_closed(self):
        """Of another user's own file system: closing it would take as long as he likes. The engine takes
        nothing from who can't have the store open."""
        guest = self.proven()
        path = self.file("stuck")
        os.chown(path, USER, USER)
        if not os.path.exists("/dev/fuse"):
            self.skipTest("no /dev/fuse")
        with NoCloseFs(path, USER):
            child = os.fork()
            if child == 0:
                self.hand_over(path)
            self.addCleanup(os.waitpid, child, 0)
            self.addCleanup(os.kill, child, signal.SIGKILL)
            for _ in range(100):
                self.assert_status(guest.set("A", p.TEST, p.NV_BS, b"1"), p.SUCCESS)
                time.sleep(0.01)

    @unittest.skipUnless(os.geteuid() == 0, "only root is somebody else")
    def test_the_guest_is_served_meanwhile(self):
        """Alone and under knocking in turns, so that whatever else the machine does hits both. The guest
        whose engine is knocked at, and one of another engine."""
        other = self.file("other.json")
        os.chown(other, USER, USER)
        quiet_engine = self.engine(store="quiet.json", name="quiet")
        for guest, wanted in ((self.proven(), 1.5), (self.guest(quiet_engine), 1.5)):
            guest.set("A", p.TEST, p.NV_BS, b"1")
            costs = ([], [])
            for _ in range(20 if LONG else 4):
                costs[0].append(self.cost(guest))
                child = self.stranger_process(other, None)
                time.sleep(0.05)
                costs[1].append(self.cost(guest))
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            ratio = statistics.median(b / a for a, b in zip(*costs))
            print(f"a request under knocking costs {ratio:.2f} times as much "
                  f"({statistics.median(costs[0]) * 1e6:.0f} us alone)")
            if LONG:
                self.assertLess(ratio, wanted)
            self.assertEqual(guest.get("A", p.TEST)[2], b"1")

    def cost(self, guest):
        """Seconds of one request: the median, for one in many meets a process that was woken up."""
        times = []
        for _ in range(500):
            start = time.monotonic()
            guest.get("A", p.TEST)
            times.append(time.monotonic() - start)
        return statistics.mean(sorted(times)[:475])

    def stranger_process(self, other, count):
        child = os.fork()
        if child == 0:
            os._exit(self.knock(other, count))
        return child

    @staticmethod
    def become_the_stranger(groups=()):
        os.setgroups(groups)
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)

    def hand_over(self, path):
        """And is there until it is killed: its own end closes the file, too."""
        try:
            self.become_the_stranger()
            stranger = p.Prover(self.path, os.open(path, os.O_RDWR))
            stranger.send(p.HELLO, p.hello_payload(os.urandom(16), p.HELLO_STORE, "stranger", p.VERSION,
                                                   p.VERSION, 0, 65536))
            signal.pause()
        finally:
            os._exit(1)

    def knock(self, other, count):
        try:
            self.become_the_stranger()
            proofs = [(os.open(other, os.O_RDWR),), (os.open(self.store, os.O_RDONLY),), (),
                      (os.open(os.devnull, os.O_RDWR),)]
            for i in itertools.count() if count is None else range(count):
                guest = p.Prover(self.path, *proofs[i % len(proofs)])
                try:
                    if i % 10 == 9:
                        guest.send_raw(b"\xff" * 400)
                        if guest.receive()[0] != p.REPLY | p.ERROR:
                            return 4
                        continue
                    guest.hello(flags=p.HELLO_STORE)
                    return 1
                except p.ErrorFrame as error:
                    if error.code != p.E_PROOF:
                        return 2
                finally:
                    guest.close()
            return 0
        except Exception as error:  # pylint: disable=broad-except
            print(f"the stranger: {error!r}", file=sys.stderr)
            return 3


class Spawned(EngineTest):
    """The store's socket as an inherited descriptor."""

    def test_inherited(self):
        with open(os.path.join(self.folder, "vars.json"), "w") as file:
            file.write(STORE)
        path = os.path.join(self.folder, "store.sock")
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.bind(path)
        sock.listen(4)
        engine = self.engine(spawned=True, store_listener=sock.fileno())
        guest = p.Prover(path)
        self.addCleanup(guest.close)
        self.assert_error(p.E_PROOF, lambda: guest.hello())
        engine.kill(signal.SIGTERM)


if __name__ == "__main__":
    unittest.main(verbosity=2)
