#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest socket: HELLO, deadlines, errors, floods (uefivars-protocol(7))."""

import os
import pathlib
import random
import signal
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
from uvengine import EngineTest, sanitized  # noqa: E402


def resident_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty"))


class Hello(EngineTest):
    def setUp(self):
        super().setUp()
        self.e = self.engine()

    def test_reply(self):
        guest = self.guest(self.e, name="qemu vm-1", buffer_size=4096)
        self.assertEqual(guest.info["version"], 1)
        self.assertEqual(guest.info["buffer"], 4096)
        self.assertEqual(guest.info["storage"], 262144)
        self.assertEqual(guest.info["state"], 0)
        self.assertIn("uefivarsd", guest.info["build"])

    def test_options_show(self):
        self.e.stop()
        self.e.options = ["--force-secure-boot", "--disable-custom-mode", "--size", "100000"]
        self.e.start()
        guest = self.guest(self.e)
        self.assertEqual(guest.info["state"], p.STATE_FORCE_SECURE_BOOT |
                         p.STATE_DISABLE_CUSTOM_MODE)
        self.assertEqual(guest.info["storage"], 100000)

    def test_unknown_features_are_ignored(self):
        guest = self.guest(self.e, features=0xFFFFFFFF)
        self.assertEqual(guest.info["features"], 0)
        guest.get("x")

    def test_versions(self):
        self.guest(self.e, low=0, high=9).bye()
        for low, high in ((2, 3), (0, 0)):
            guest = self.raw_guest(self.e)
            self.assert_error(p.E_VERSION, lambda: guest.hello(low=low, high=high))
            self.assertTrue(guest.at_end())

    def test_buffer_size_is_capped(self):
        self.assertEqual(self.guest(self.e, buffer_size=1 << 20).info["buffer"], 65536)

    def test_malformed(self):
        good = p.hello_payload(bytes(16))
        for bad in (b"", good[:35], good + b"n" * 256, good[:-4] + b"\xff\xfe",
                    good[:32] + bytes(4), p.hello_payload(bytes(16), low=2, high=1)):
            guest = self.raw_guest(self.e)
            self.assert_error(p.E_MALFORMED, guest.request, p.HELLO, bad)
            self.assertTrue(guest.at_end())

    def test_comes_first(self):
        guest = self.raw_guest(self.e)
        self.assert_error(p.E_STATE, guest.request, p.MM, p.mm_query(7))
        self.assertTrue(guest.at_end())

    def test_within_two_seconds(self):
        guest = self.raw_guest(self.e)
        start = time.monotonic()
        self.assert_error(p.E_TIMEOUT, guest.wait, p.HELLO, 0)
        self.assertTrue(guest.at_end())
        self.assertAlmostEqual(time.monotonic() - start, 2, delta=0.7)

    def test_twice(self):
        guest = self.guest(self.e)
        self.assert_error(p.E_STATE, guest.hello)
        guest.get("x")

    def test_without_it_nobody_is_the_guest(self):
        silent = self.raw_guest(self.e)
        guest = self.guest(self.e)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS, b"1"), p.SUCCESS)
        silent.close()
        guest.get("A", p.TEST)

    def test_second_guest_is_told_the_first(self):
        first = self.guest(self.e, name="qemu-system-x86_64 (vm one)")
        second = self.raw_guest(self.e)
        text = self.assert_error(p.E_OCCUPIED, second.hello)
        self.assertIn("qemu-system-x86_64 (vm one)", text)
        self.assertTrue(second.at_end())
        first.get("x")

    def test_same_session_takes_over(self):
        first = self.guest(self.e)
        first.set("V", p.TEST, p.BS_RT, b"volatile")
        second = self.guest(self.e, session=first.session)
        self.assertTrue(first.at_end())
        self.assertEqual(second.get("V", p.TEST)[2], b"volatile")

    def test_new_session_after_a_death_is_a_cold_start(self):
        first = self.guest(self.e)
        first.set("V", p.TEST, p.BS_RT, b"volatile")
        first.close()
        second = self.guest(self.e)
        self.assert_status(second.get("V", p.TEST)[0], p.NOT_FOUND)


class Frames(EngineTest):
    def setUp(self):
        super().setUp()
        self.e = self.engine()

    def test_unknown_types_leave_the_connection(self):
        guest = self.guest(self.e)
        for type_ in (0, 0x08, 0x3F, p.HOST_STATUS, p.HOST_SET, 0x70, 0x8002, 0xFFFF):
            self.assert_error(p.E_UNKNOWN_TYPE, guest.request, type_, b"")
            self.assert_error(p.E_UNKNOWN_TYPE, guest.request, type_, b"payload")
        guest.get("x")

    def test_malformed_headers_end_it(self):
        for header in (struct.pack("<IHHQ", 0, p.MM, 1, 1),
                       struct.pack("<IHHQ", p.MM_MAX + 1, p.MM, 0, 1),
                       struct.pack("<IHHQ", 1, p.RESET, 0, 1),
                       struct.pack("<IHHQ", 5, p.SAVE, 0, 1),
                       struct.pack("<IHHQ", p.BLOB_MAX + 1, p.LOAD, 0, 1),
                       b"\xff" * 16):
            guest = self.guest(self.e)
            guest.send_raw(header)
            self.assert_error(p.E_MALFORMED, guest.wait, p.MM, 1)
            self.assertTrue(guest.at_end())

    def test_frame_within_five_seconds(self):
        guest = self.guest(self.e)
        start = time.monotonic()
        guest.send_raw(struct.pack("<IHHQ", 100, p.MM, 0, 1) + b"half")
        self.assert_error(p.E_TIMEOUT, guest.wait, p.MM, 1)
        self.assertTrue(guest.at_end())
        self.assertAlmostEqual(time.monotonic() - start, 5, delta=0.8)

    def test_slow_but_steady_is_in_time(self):
        guest = self.guest(self.e)
        frame = struct.pack("<IHHQ", len(p.mm_query(7)), p.MM, 0, 9) + p.mm_query(7)
        for byte in frame[:-1]:
            guest.send_raw(bytes([byte]))
        time.sleep(0.2)
        guest.send_raw(frame[-1:])
        guest.wait(p.MM, 9)

    def test_replies_keep_the_order(self):
        guest = self.guest(self.e)
        for _ in range(20):
            cookies = []
            for i in range(1, 15):
                name = f"O{i % 7}"
                cookies.append(guest.send(p.MM, p.mm_set(name, p.TEST, p.BS_RT, bytes([i]))))
                cookies.append(guest.send(p.MM, p.mm_get(name, p.TEST, 100)))
            for i in range(1, 15):
                guest.wait(p.MM, cookies[2 * i - 2])
                reply = guest.wait(p.MM, cookies[2 * i - 1])
                self.assertEqual(reply[-100], i)

    def test_mm_that_is_none(self):
        guest = self.guest(self.e)
        for message in (b"", b"x", bytes(23), os.urandom(24), os.urandom(65536)):
            status, reply = guest.mm(message)
            self.assertEqual(len(reply), len(message))
        status, reply = guest.mm(bytes(65537))
        self.assertEqual(status, p.DEVICE_BAD_BUFFER_SIZE)
        self.assert_error(p.E_MALFORMED, guest.request, p.MM, bytes(p.MM_MAX + 1))

    def test_garbage_is_survived(self):
        seed = int(os.environ.get("UV_SEED", "7"))
        chance = random.Random(seed)
        for i in range(150):
            guest = self.raw_guest(self.e)
            try:
                if i % 3:
                    guest.hello()
                if i % 2:
                    guest.send_raw(chance.randbytes(chance.randrange(1, 5000)))
                else:
                    length = chance.randrange(0, 300)
                    guest.send_raw(struct.pack("<IHHQ", length, chance.randrange(0, 9), 0, 1) +
                                   chance.randbytes(chance.randrange(0, length + 1)))
            except (p.ProtocolError, p.ErrorFrame, OSError):
                pass
            guest.close()
        self.guest(self.e).get("x")
        self.assertIsNone(self.e.process.poll())


class Floods(EngineTest):
    def setUp(self):
        super().setUp()
        self.e = self.engine()

    def assert_grew_less(self, before_kib, limit_kib):
        """Soon: a reply is there before the request's memory is given back."""
        if sanitized():  # its allocator keeps what was freed
            return
        end = time.monotonic() + 2
        while resident_kib(self.e.process.pid) - before_kib >= limit_kib and time.monotonic() < end:
            time.sleep(0.01)
        self.assertLess(resident_kib(self.e.process.pid) - before_kib, limit_kib)

    def test_first_among_many(self):
        """Who said HELLO before others connected is heard, however many those are."""
        os.kill(self.e.process.pid, signal.SIGSTOP)
        guest = p.Guest(p.connect(self.e.socket, 10))
        cookie = guest.send(p.HELLO, p.hello_payload(os.urandom(16), 0, "first", p.VERSION,
                                                     p.VERSION, 0, 65536))
        others = [p.connect(self.e.socket, 10) for _ in range(60)]
        self.addCleanup(lambda: [other.close() for other in others])
        os.kill(self.e.process.pid, signal.SIGCONT)
        self.assertTrue(guest.wait(p.HELLO, cookie))
        guest.close()

    def test_a_thousand_connections(self):
        guest = self.guest(self.e)
        before = resident_kib(self.e.process.pid)
        socks = []
        self.addCleanup(lambda: [s.close() for s in socks])
        for _ in range(1000):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.connect(self.e.socket)
            socks.append(sock)
        guest.get("SetupMode")
        self.assertLess(len(os.listdir(f"/proc/{self.e.process.pid}/fd")), 64)
        self.assert_grew_less(before, 1024)
        # A client that says HELLO gets through all the same.
        guest.bye()
        self.guest(self.e).get("SetupMode")

    def test_maximal_frames_without_reading(self):
        guest = self.guest(self.e, timeout=2)
        before = resident_kib(self.e.process.pid)
        frame = struct.pack("<IHHQ", 65536, p.MM, 0, 1) + p.mm_message(p.SMM_VARIABLE, bytes(65512))
        sent = 0
        with self.assertRaises(socket.timeout):
            while sent < 64 << 20:
                guest.send_raw(frame)
                sent += len(frame)
        self.assertLess(sent, 8 << 20)
        self.assert_grew_less(before, 1024)
        # The host is served meanwhile.
        self.assertIn("store", self.host(self.e).status())
        guest.close()
        self.guest(self.e).get("SetupMode")

    def test_maximal_blobs(self):
        guest = self.guest(self.e)
        before = resident_kib(self.e.process.pid)
        for _ in range(4):
            self.assert_error(p.E_BLOB, guest.load, bytes(262144))
        # More than this storage could ever be a state of is not even read.
        with self.assertRaises((p.ErrorFrame, p.Closed, OSError)):
            guest.load(bytes(p.BLOB_MAX))
        self.assert_grew_less(before, 2048)

    def test_policies_are_bounded(self):
        guest = self.guest(self.e)
        before = resident_kib(self.e.process.pid)
        statuses = set()
        for i in range(6000):
            statuses.add(guest.register_policy(f"Policy{i:05}" * 4, p.TEST))
        self.assertIn(p.OUT_OF_RESOURCES, statuses)
        self.assert_grew_less(before, 4096)


if __name__ == "__main__":
    unittest.main()
