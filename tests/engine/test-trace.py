#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""TRACE: what the guest does, told to a host connection while it does it."""

import json
import os
import pathlib
import signal
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
from uvengine import EngineTest, sanitized  # noqa: E402

REQUESTS = 1_000_000 if os.environ.get("UV_LONG") else 20_000
RESET, REQUEST, REPLY = 1, 2, 3
RECORD = struct.Struct("<IIII")


def resident_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


class Trace(EngineTest):
    def start(self, wanted=p.TRACE_LINES, hello=True, options=(), **named):
        self.e = self.engine(*options, **named)
        self.t = self.host(self.e)
        self.t.trace(wanted)
        if hello:
            self.g = self.guest(self.e)

    def lines(self, until):
        """Lines up to the one that has these members, without it; none may be lost."""
        lines = []
        while True:
            kind, lost, count, data = self.t.next_traced()
            self.assertEqual((kind, lost), (p.TRACE_LINES, 0))
            self.assertTrue(data.endswith(b"\n"))
            text = data.decode()
            self.assertEqual(len(text.splitlines()), count)
            self.assertEqual(text.count("\n"), count)
            lines += [json.loads(line) for line in text.splitlines()]
            if until.items() <= lines[-1].items():
                return lines[:-1]

    def lines_now(self):
        """What the guest has done so far."""
        self.g.query(0x1234567)
        return self.lines({"attributes": 0x1234567})

    def test_reader_that_goes(self):
        """Of what was collected for it both kinds are to be sent when it is found gone."""
        self.start(wanted=p.TRACE_LINES | p.TRACE_PACKETS)
        for _ in range(20):
            reader = self.host(self.e)
            reader.trace(p.TRACE_LINES | p.TRACE_PACKETS)
            self.g.query(1)
            os.kill(self.e.process.pid, signal.SIGSTOP)
            reader.close()
            time.sleep(0.01)  # they are due
            os.kill(self.e.process.pid, signal.SIGCONT)
            self.g.query(2)
        self.assertIsNone(self.e.process.poll())

    def test_requests(self):
        self.start()
        self.g.set("Greeting", p.TEST, p.NV_BS_RT, b"hello")
        self.g.get("Greeting", p.TEST, room=100)
        self.g.get("Greeting", p.TEST, room=3)
        self.g.get("Absent", p.TEST, room=0)
        self.g.query(p.NV_BS_RT)
        self.g.lock("Locked", p.TEST)
        self.g.variable(p.F_PAYLOAD_SIZE, bytes(8))
        self.g.variable(99)
        name = f"Greeting-{p.TEST}"
        begun, put, got, small, absent, query, lock, policy, room, unknown = self.lines_now()
        self.assertRegex(put.pop("time"), r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertLess(put.pop("us"), 1_000_000)
        self.assertEqual(begun["event"], "session-begun")
        self.assertEqual((begun["client"], len(begun["session"])), ("test", 32))
        self.assertEqual(put, {"function": "SetVariable", "variable": name, "attributes": 7,
                               "size": 5, "status": 0})
        self.assertEqual((got["variable"], got["attributes"], got["size"], got["reply-size"],
                          got["status"]), (name, 7, 100, 5, 0))
        self.assertEqual((small["size"], small["reply-size"], small["status"]), (3, 5, 5))
        self.assertEqual((absent["variable"], absent["status"]), (f"Absent-{p.TEST}", 14))
        self.assertNotIn("attributes", absent)
        self.assertEqual((query["function"], query["attributes"]), ("QueryVariableInfo", 7))
        self.assertEqual(query["maximum-storage"], 262144)
        self.assertEqual((lock["function"], lock["variable"]), ("LockVariable", f"Locked-{p.TEST}"))
        self.assertEqual((policy["event"], policy["policy"]),
                         ("policy", f"Locked-{p.TEST}: locked"))
        self.assertEqual((room["function"], room["status"]), ("GetPayloadSize", 0))
        self.assertEqual((unknown["function"], unknown["number"], unknown["status"]),
                         ("Unknown", 99, 3))

    def test_enumeration(self):
        self.start()
        self.g.set("A", p.TEST, data=b"1")
        names = [f"{name}-{guid}" for name, guid in self.g.names()]
        lines = [line for line in self.lines_now() if line.get("function") == "GetNextVariableName"]
        self.assertEqual([line["next"] for line in lines[:-1]], names)
        self.assertEqual([line["variable"] for line in lines], [""] + names)
        self.assertEqual(lines[-1]["status"], 14)

    def test_what_lies_between(self):
        self.start()
        self.g.register_policy("Once", p.TEST, max_size=9, lock=2)
        self.g.lock_policy()
        self.g.end_of_dxe()
        self.g.ready_to_boot()
        self.g.exit_boot_services()
        self.g.reset()
        blob = self.g.save(release=True)
        self.g.mm(p.mm_query(7))
        self.g.acquire()
        self.g.load(blob)
        self.g.bye()
        lines = self.lines({"event": "session-ended"})
        self.assertEqual([line.get("event") or line["function"] for line in lines], [
            "session-begun", "PolicyRegister", "policy", "PolicyLock", "policy-lock",
            "EventEndOfDxe", "phase", "EventReadyToBoot", "phase", "EventExitBootServices", "phase",
            "reset", "released", "QueryVariableInfo", "acquired", "loaded"])
        self.assertEqual(lines[1]["variable"], f"Once-{p.TEST}")
        self.assertEqual(lines[2]["policy"], f"Once-{p.TEST}: locked once it exists, at most 9 bytes")
        self.assertEqual([line["phase"] for line in lines if "phase" in line],
                         ["end-of-dxe", "ready-to-boot", "runtime"])
        self.assertEqual(lines[13]["device"], p.DEVICE_BUSY)

    def test_sessions(self):
        self.start()
        self.g.close()
        self.lines({"event": "session-lost"})
        self.g = p.Guest(self.e.socket).hello(self.g.session, name="again\n\"\\")
        self.addCleanup(self.g.close)
        self.g.bye()
        resumed, = self.lines({"event": "session-ended"})
        self.assertEqual((resumed["event"], resumed["client"]), ("session-resumed", "again\n\"\\"))

    def test_hostile_names(self):
        self.start()
        names = ["a\n\"}\\\x7f\x1b[2J", "\x85\u2028\u2029", "%00/.."]
        for name in names:
            self.assertEqual(self.g.set(name, p.TEST, data=b"1"), p.SUCCESS)
        raw = [b"\x00\xd8\0\0", b"\x00\xdc\x00\xd8\0\0", b"\xff\xff\xfe\xff\0\0", b"x\0" * 30000 + b"\0\0"]
        for name in raw:
            self.g.set(name, p.TEST, data=b"1")
        self.g.mm(p.mm_variable(p.F_SET, p.mm_access("short", p.TEST, 7, b"", 1 << 63, 1 << 62)))
        self.g.mm(p.mm_variable(p.F_NEXT, p.guid_bytes(p.TEST) + struct.pack("<Q", 1 << 63)))
        self.g.register_policy("\n\"" * 6000, p.TEST)
        self.g.mm(p.mm_message("00000000-0000-0000-0000-000000000000", b"what"))
        self.g.mm(b"\n\"")
        lines = [line for line in self.lines_now() if "function" in line]
        self.assertEqual([line["variable"] for line in lines[:3]],
                         [f"{name.replace('/', '%2F').replace('%00', '%2500')}-{p.TEST}"
                          for name in names])
        self.assertEqual(lines[3]["variable"], f"%ED%A0%80-{p.TEST}")
        self.assertTrue(all(len(json.dumps(line)) < 8192 for line in lines))
        self.assertEqual([line["function"] for line in lines[7:]],
                         ["SetVariable", "GetNextVariableName", "PolicyRegister", "Unknown", "Malformed"])
        self.assertEqual(lines[7]["size"], (1 << 53) - 1)
        self.assertEqual(lines[-2]["device"], p.DEVICE_NOT_SUPPORTED)
        self.assertEqual(lines[-1]["device"], p.DEVICE_BAD_BUFFER_SIZE)

    def packets(self, count):
        """(seconds, kind, message) of each; none may be lost."""
        packets = []
        while len(packets) < count:
            kind, lost, here, data = self.t.next_traced()
            self.assertEqual((kind, lost), (p.TRACE_PACKETS, 0))
            before = len(packets)
            while data:
                seconds, micros, kept, whole = RECORD.unpack_from(data)
                self.assertEqual(kept, min(whole, 65536))
                packet, data = data[16:16 + kept], data[16 + kept:]
                packets.append((seconds + micros / 1e6, int.from_bytes(packet[:4], "little"),
                                packet[4:]))
            self.assertEqual(len(packets) - before, here)
        self.assertEqual(len(packets), count)
        return packets

    def test_packets(self):
        """What QEMU's own device would write with pcapfile=."""
        self.start(p.TRACE_PACKETS)
        began = time.time()
        messages = [p.mm_set("A", p.TEST, 7, b"data"), p.mm_get("A", p.TEST, 100) + b"behind it",
                    p.mm_message(p.EVENT_END_OF_DXE, b""), p.mm_policy(5),
                    p.mm_message("00000000-0000-0000-0000-000000000000", b"what"),
                    p.mm_set("B" * 32700, p.TEST, 7)]
        self.g.reset()
        replies = [self.g.mm(message)[1] for message in messages]
        self.g.mm(messages[0][:30])  # not a message: the device takes it for nothing
        packets = self.packets(1 + 2 * len(messages))
        self.assertEqual([kind for _, kind, _ in packets], [RESET] + [REQUEST, REPLY] * len(messages))
        self.assertEqual(packets[0][2], b"")
        for i, (message, reply) in enumerate(zip(messages, replies)):
            size = 24 + int.from_bytes(message[16:24], "little")
            self.assertEqual(packets[1 + 2 * i][2], message[:min(size, 65532)])
            self.assertEqual(packets[2 + 2 * i][2], reply[:min(size, 65532)])
        times = [at for at, _, _ in packets]
        self.assertEqual(times, sorted(times))
        self.assertLess(abs(times[0] - began), 60)

    def test_nobody_asks(self):
        """Neither before TRACE, nor after it is taken back."""
        self.start(0)
        self.g.set("Before", p.TEST, data=b"1")
        self.t.trace(p.TRACE_LINES)
        self.g.set("During", p.TEST, data=b"1")
        during, = self.lines_now()
        self.assertEqual(during["variable"], f"During-{p.TEST}")
        self.t.trace(0)
        self.g.set("After", p.TEST, data=b"1")
        self.t.trace(p.TRACE_LINES)
        self.assertEqual(self.lines_now(), [])

    def test_malformed(self):
        self.start(0, hello=False)
        for payload in (b"", b"\1\0\0", struct.pack("<I", 4), bytes(5)):
            with self.host(self.e) as host, self.assertRaises(p.ErrorFrame) as caught:
                host.request(p.HOST_TRACE, payload)
            self.assertEqual(caught.exception.code, p.E_MALFORMED)

    def test_slow_reader(self):
        """It loses lines and is told how many; the engine keeps no more for it than a limit."""
        self.start(p.TRACE_LINES | p.TRACE_PACKETS)
        message = p.mm_get("Absent", p.TEST, 0)
        for _ in range(2000):
            self.g.mm(message)
        before = resident_kib(self.e.process.pid)
        for _ in range(REQUESTS):
            self.g.mm(message)
        if not sanitized():  # its allocator keeps what was freed
            self.assertLess(resident_kib(self.e.process.pid) - before, 4096)
        seen, missing = {1: 0, 2: 0}, {1: 0, 2: 0}
        expected = {1: 2000 + REQUESTS + 2, 2: 2 * (2000 + REQUESTS + 1)}
        self.g.query(0x1234567)
        while any(seen[kind] + missing[kind] < expected[kind] for kind in (1, 2)):
            kind, lost, count, _ = self.t.next_traced()
            seen[kind] += count
            missing[kind] += lost
        self.assertEqual({kind: seen[kind] + missing[kind] for kind in (1, 2)}, expected)
        self.assertGreater(missing[1], REQUESTS // 2)

    def test_guest_waits_for_the_trace(self):
        """Started with a trace in view, the engine lets no request of the guest go by untold."""
        self.e = self.engine("--traced", spawned=True)
        self.g = p.Guest(self.e.socket)
        self.addCleanup(self.g.close)
        self.g.send(p.HELLO, p.hello_payload(bytes(16)))
        time.sleep(0.2)
        self.t = self.host(self.e)
        self.t.trace()
        self.assertEqual(self.lines({"event": "session-begun"}), [])

    def test_guest_waits_not_for_long(self):
        self.e = self.engine("--traced", spawned=True)
        began = time.monotonic()
        with p.Guest(self.e.socket) as guest:
            guest.hello()
        self.assertLess(time.monotonic() - began, 5)


if __name__ == "__main__":
    unittest.main()
