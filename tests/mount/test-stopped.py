#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An engine that a signal stopped keeps its guest's next start waiting for two seconds at most, and is never
ended while a guest has it, whatever others do."""

import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402
from uvmount import alive, process_state, variable, wait_until  # noqa: E402
from uvpace import within  # noqa: E402

SERVED_S = 2
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


class OtherGuest:
    """A guest's machine, which is a process of its own: it writes, and then is there until it is ended."""

    def __init__(self, path, name, data):
        done, told = os.pipe()
        p.ucs2("its codec is loaded before the fork")
        self.pid = os.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                guest = p.Guest(str(path), timeout=30).hello()
                if guest.set(name, p.TEST, data=data) == p.SUCCESS:
                    os.write(told, b"y")
                while True:
                    signal.pause()
            os._exit(1)
        os.close(told)
        if os.read(done, 1) != b"y":
            raise AssertionError("the other guest's write failed")
        os.close(done)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Stopped(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        (self.source / "g.json").write_text(uvmount.store_text(variable("A", b"a")))
        self.mount = self.scratch.mount(self.source, "idle=60")

    def stop(self, pid):
        def go_on():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(go_on)
        wait_until(lambda: process_state(pid) == "T", "it stands still")

    def other_guest(self, data=b"1"):
        other = OtherGuest(self.mount.socket("g"), "Kept", data)
        self.addCleanup(lambda: alive(other.pid) and other.kill())
        # What is answered behind it: who its guest is, the engine tells before it can be stopped.
        self.mount.write("g", "Told", data)
        return other, self.mount.engine_pid("g")

    def next_guest(self):
        """As a machine that starts: it waits for its HELLO."""
        guest = p.Guest(str(self.mount.socket("g")), timeout=30)
        self.addCleanup(guest.close)
        with within(SERVED_S, "the next guest is served"):
            guest.hello()
        return guest

    def test_guest_that_went(self):
        """Its machine was killed while the engine stood still: the next one finds what was acknowledged."""
        for round_ in range(3):
            data = b"%d" % round_
            other, pid = self.other_guest(data)
            self.stop(pid)
            other.kill()
            guest = self.next_guest()
            self.assertEqual(guest.get("Kept", p.TEST)[2], data)
            self.assertEqual(guest.set("More", p.TEST, data=data), p.SUCCESS)
            self.assertEqual(self.mount.read("g", "More")[1], data)
            self.assertFalse(alive(pid))
            guest.bye()
            guest.close()
        self.assertIn("was stopped by a signal", self.mount.log.read_text())

    def test_idle_engine(self):
        """The guest went as it should, and the engine stopped after that."""
        other, pid = self.other_guest()
        other.kill()
        wait_until(lambda: not self.mount.status("g")["session"]["connected"], "its end is heard of", 10)
        self.stop(pid)
        self.assertEqual(self.next_guest().get("Kept", p.TEST)[2], b"1")

    def connect_often(self, seconds):
        """Strangers, with and without HELLO, who want the engine of a guest that lives ended."""
        end = time.monotonic() + seconds
        held = []
        while time.monotonic() < end:
            with contextlib.suppress(OSError):
                other = socket.socket(socket.AF_UNIX)
                other.setblocking(False)
                held.append(other)
                other.connect(str(self.mount.socket("g")))
                other.send(p.HEADER.pack(len(p.hello_payload(os.urandom(16))), p.HELLO, 0, 1) +
                           p.hello_payload(os.urandom(16)))
            time.sleep(0.02)
            while len(held) > 20:
                held.pop(0).close()
        for other in held:
            other.close()

    def test_guest_that_lives(self):
        """Whatever others do: the guest goes on with its engine."""
        with p.Guest(str(self.mount.socket("g")), timeout=30).hello() as guest:
            self.assertEqual(guest.set("Kept", p.TEST, data=b"1"), p.SUCCESS)
            self.assertTrue(self.mount.status("g")["session"]["connected"])
            pid = self.mount.engine_pid("g")
            self.stop(pid)
            writer = threading.Thread(target=self.write_in_vain)
            writer.start()
            self.connect_often(5)
            self.assertEqual(process_state(pid), "T")
            os.kill(pid, signal.SIGCONT)
            writer.join()
            self.assertEqual(guest.get("Kept", p.TEST)[2], b"1")
            self.assertEqual(guest.set("Kept", p.TEST, data=b"2"), p.SUCCESS)
            self.assertEqual(self.mount.engine_pid("g"), pid)
        self.assertNotIn("was stopped by a signal", self.mount.log.read_text())

    def write_in_vain(self):
        with contextlib.suppress(OSError):
            self.mount.write("g", "ByHost", b"h")

    def test_engine_at_work(self):
        """One that runs is not ended for who connects, nor one that does not answer and was not stopped: it
        is busy, its disk is slow, or somebody has a debugger at it."""
        self.mount.write("g", "B", b"b")
        pid = self.mount.engine_pid("g")
        self.connect_often(3)
        self.assertEqual(self.mount.engine_pid("g"), pid)
        if os.geteuid() != 0 or libc.ptrace(PTRACE_SEIZE, pid, None, None) < 0:
            self.skipTest("it can't be traced here")
        libc.ptrace(PTRACE_INTERRUPT, pid, None, None)
        os.waitpid(pid, 0)
        writer = threading.Thread(target=self.write_in_vain)
        writer.start()
        self.connect_often(3)
        self.assertTrue(alive(pid))
        libc.ptrace(PTRACE_DETACH, pid, None, None)
        writer.join()
        self.assertEqual(self.mount.read("g", "ByHost")[1], b"h")
        self.assertEqual(self.mount.engine_pid("g"), pid)


if __name__ == "__main__":
    unittest.main(verbosity=2)
