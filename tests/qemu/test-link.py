#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The device and an engine that misbehaves: nothing hangs, nothing is sent twice, a reset is not
lost, and a start that can't work is refused with a reason."""

import json
import shutil
import signal
import struct
import time
import unittest

import fakeengine
from fakeengine import CLOSE, RAW, REFUSE, SILENT
from qemu import ADDRESS_LOW, BUFFER_MAX, BUFFER_SIZE, DeviceGuest, Qemu, X64_BASE, need, uv

DEVICE_ERROR = uv.DEVICE_UNKNOWN_ERROR
LIMIT = 5.0
MESSAGE = uv.mm_variable(uv.F_READY)


class Refusals(unittest.TestCase):
    """QEMU ends with status 1 and says why."""

    def refused(self, *expected, device="", hello=None):
        engine = fakeengine.FakeEngine()
        self.addCleanup(engine.close)
        if hello:
            engine.answers[uv.HELLO] = hello
        with Qemu(device or f"uefi-vars-x64,socket={engine.path}", qtest=False) as qemu:
            self.assertEqual(qemu.wait(), 1)
            for text in expected:
                self.assertIn(text, qemu.stderr())

    def test_no_engine(self):
        self.refused("can't connect to /nowhere/mm.sock: No such file", "uefivarsd",
                     device="uefi-vars-x64,socket=/nowhere/mm.sock")

    def test_no_socket(self):
        self.refused("socket=PATH is missing", device="uefi-vars-x64")

    def test_long_path(self):
        self.refused("a socket's path", device=f"uefi-vars-x64,socket=/{'a' * 120}")

    def test_jsonfile(self):
        self.refused("no engine serves this store", "uefivarsd --store /x/vars.json",
                     device="uefi-vars-x64,jsonfile=/x/vars.json")
        self.refused("give one", device="uefi-vars-x64,jsonfile=/x/vars.json,socket=/nowhere")

    def test_refused_by_the_engine(self):
        self.refused("another guest\\n has it",
                     hello=lambda _: REFUSE(uv.E_OCCUPIED, "another guest\n has it"))

    def test_long_refusal(self):
        """An engine does not fill the log, either."""
        engine = fakeengine.FakeEngine()
        self.addCleanup(engine.close)
        engine.answers[uv.HELLO] = lambda _: REFUSE(uv.E_OCCUPIED, "\n" * 60000)
        with Qemu(f"uefi-vars-x64,socket={engine.path}", qtest=False) as qemu:
            self.assertEqual(qemu.wait(), 1)
            self.assertIn("the engine refused", qemu.stderr())
            self.assertLess(len(qemu.stderr()), 4096)

    def test_version(self):
        self.refused("version 9", hello=lambda _: fakeengine.hello_reply(version=9))

    def test_short_hello(self):
        self.refused("only 8 bytes", hello=lambda _: bytes(8))

    def test_closed(self):
        self.refused("closed the connection", hello=lambda _: CLOSE)

    def test_garbage(self):
        self.refused("answered request 0x1", hello=lambda _: RAW(b"HTTP/1.1 400 Bad Request\r\n"))

    def test_options_that_differ(self):
        path = fakeengine.FakeEngine()
        self.addCleanup(path.close)
        for option, text in ("size=65536", "--size 262144"), \
                            ("force-secure-boot=on", "without --force-secure-boot"), \
                            ("disable-custom-mode=true", "without --disable-custom-mode"):
            self.refused(text, device=f"uefi-vars-x64,socket={path.path},{option}")
        path.answers[uv.HELLO] = lambda _: fakeengine.hello_reply(flags=3)
        self.refused("with --force-secure-boot",
                     device=f"uefi-vars-x64,socket={path.path},force-secure-boot=off")

    def test_two_devices(self):
        engine = fakeengine.FakeEngine()
        self.addCleanup(engine.close)
        device = f"uefi-vars-x64,socket={engine.path}"
        with Qemu(device, args=["-device", device], qtest=False) as qemu:
            self.assertEqual(qemu.wait(), 1)
            self.assertIn("a machine has one uefi-vars-x64", qemu.stderr())

    @unittest.skipUnless(shutil.which("qemu-system-aarch64"), "no qemu-system-aarch64")
    def test_two_devices_of_a_device_tree(self):
        """Each with an engine of its own; firmware takes either."""
        engines = [fakeengine.FakeEngine() for _ in range(2)]
        devices = []
        for engine in engines:
            self.addCleanup(engine.close)
            devices.append(f"uefi-vars-sysbus,socket={engine.path}")
        with Qemu(devices[0], arch="aarch64", args=["-device", devices[1]], qtest=False) as qemu:
            self.assertEqual(qemu.wait(), 1)
            self.assertIn("a machine has one uefi-vars-sysbus", qemu.stderr())


class Link(unittest.TestCase):
    def setUp(self):
        self.engine = fakeengine.FakeEngine()
        self.addCleanup(self.engine.close)
        self.qemu = Qemu(f"uefi-vars-x64,socket={self.engine.path}")
        self.addCleanup(self.qemu.close)
        self.guest = DeviceGuest(self.qemu)
        self.engine.frames.clear()

    def timed(self, message=MESSAGE):
        """The device status; fails if it took longer than a guest may wait."""
        start = time.monotonic()
        status, self.reply = self.guest.mm(message)
        self.took = time.monotonic() - start
        self.assertLess(self.took, LIMIT)
        return status

    def hellos(self):
        """(flags, session id) of each HELLO."""
        return [struct.unpack_from("<I16s", payload, 12) for _, type_, payload in self.engine.frames
                if type_ == uv.HELLO]

    def test_accepted_options(self):
        self.engine.answers[uv.HELLO] = lambda _: fakeengine.hello_reply(flags=1, size=65536)
        as_json = json.dumps({"driver": "uefi-vars-x64", "socket": self.engine.path, "size": 65536,
                              "force-secure-boot": True, "disable-custom-mode": False,
                              "use-pio": True})
        for device in (f"uefi-vars-x64,socket={self.engine.path},size=64k,force-secure-boot=on,"
                       "disable-custom-mode=off,use-pio=on", as_json):
            with Qemu(device) as qemu:
                guest = DeviceGuest(qemu, pio=True)
                self.assertEqual(guest.register(0x1C), 1)
                self.assertEqual(guest.mm(MESSAGE), (0, MESSAGE))

    def test_request_is_what_the_guest_wrote(self):
        message = uv.mm_set("Name", uv.TEST, 7, b"data" * 1000)
        self.assertEqual(self.timed(message), 0)
        self.assertEqual(self.engine.frames, [(1, uv.MM, message)])
        self.assertEqual(self.reply, message)

    def test_status_of_the_engine(self):
        self.engine.answers[uv.MM] = lambda payload: struct.pack("<II", 0x11, 0) + payload
        self.assertEqual(self.timed(), 0x11)

    def test_silent(self):
        self.engine.answers[uv.MM] = lambda _: SILENT
        self.assertEqual(self.timed(), DEVICE_ERROR)
        self.assertGreater(self.took, 1)
        self.assertEqual(self.engine.count(uv.MM), 1)
        self.assertEqual(self.timed(), DEVICE_ERROR)
        self.assertLess(self.took, 3)
        self.engine.answers[uv.MM] = fakeengine.echo
        self.assertEqual(self.timed(), 0)
        self.assertLess(self.took, 1)
        self.assertEqual(self.engine.count(uv.MM), 3)
        self.assertIn("no answer from the engine", self.qemu.stderr())
        self.assertIn("answers again", self.qemu.stderr())

    def test_flapping(self):
        """An engine that comes and goes at each request does not fill the log."""
        for _ in range(30):
            self.engine.answers[uv.MM] = lambda _: CLOSE
            self.assertEqual(self.timed(), DEVICE_ERROR)
            self.engine.answers[uv.MM] = fakeengine.echo
            self.assertEqual(self.timed(), 0)
        lines = self.qemu.stderr().splitlines()
        self.assertGreaterEqual(len(lines), 2)
        self.assertLessEqual(len(lines), 10)

    def test_silent_hello(self):
        self.engine.drop()
        self.engine.answers[uv.HELLO] = lambda _: SILENT
        self.assertEqual(self.timed(), DEVICE_ERROR)
        self.assertEqual(self.engine.count(uv.MM), 0)

    def test_slow_drip(self):
        """Each byte restarts no clock."""
        frame = uv.HEADER.pack(8 + len(MESSAGE), uv.REPLY | uv.MM, 0, 4)
        self.engine.answers[uv.MM] = lambda payload: RAW(frame + bytes(100), 0.5)
        self.assertEqual(self.timed(), DEVICE_ERROR)

    def test_lost_after_sending(self):
        self.engine.answers[uv.MM] = lambda _: CLOSE
        self.assertEqual(self.timed(), DEVICE_ERROR)
        self.assertLess(self.took, 1)
        self.assertEqual(self.engine.count(uv.MM), 1, "was sent again")

    def test_lost_between_requests(self):
        self.engine.drop()
        self.assertEqual(self.timed(), 0)
        self.assertEqual(self.engine.types(), [uv.HELLO, uv.MM])

    def test_resume(self):
        session = None
        for _ in range(3):
            self.engine.drop()
            self.assertEqual(self.timed(), 0)
        for flags, id_ in self.hellos():
            self.assertEqual(flags, uv.HELLO_RESUME)
            self.assertEqual(id_, session or id_)
            session = id_

    def test_nobody_listens_for_a_while(self):
        self.engine.stop_listening()
        self.engine.drop()
        self.assertEqual(self.timed(), DEVICE_ERROR)
        self.assertEqual(self.timed(), DEVICE_ERROR)
        self.assertLess(self.took, 0.5)
        self.engine.listen()
        self.assertEqual(self.timed(), 0)

    def test_refused_for_a_while(self):
        """As by a front whose engines died at their start: the guest waits, and sees no error."""
        end = time.monotonic() + 1
        self.engine.answers[uv.HELLO] = lambda _: fakeengine.hello_reply() \
            if time.monotonic() > end else REFUSE(uv.E_STORE, "not now")
        self.engine.drop()
        self.assertEqual(self.timed(), 0)
        self.assertEqual(self.engine.count(uv.MM), 1)
        self.assertLess(self.engine.count(uv.HELLO), 200)
        self.engine.answers[uv.HELLO] = lambda _: REFUSE(uv.E_STORE, "not any more")
        self.engine.drop()
        self.assertEqual(self.timed(), DEVICE_ERROR)
        self.assertEqual(self.timed(), DEVICE_ERROR)
        self.assertLess(self.took, 0.5)

    def test_reset_goes_first(self):
        self.qemu.qmp("system_reset")
        self.guest.setup()
        self.assertEqual(self.engine.types(), [uv.RESET])
        self.engine.stop_listening()
        self.engine.drop()
        self.qemu.qmp("system_reset")
        self.guest.setup()
        self.engine.listen()
        self.engine.frames.clear()
        self.assertEqual(self.timed(), 0)
        self.assertEqual(self.engine.types(), [uv.HELLO, uv.RESET, uv.MM])

    def test_reset_unanswered(self):
        """One whose reply was lost is sent again: twice does no harm, none would."""
        self.engine.answers[uv.RESET] = lambda _: CLOSE
        self.qemu.qmp("system_reset")
        self.guest.setup()
        self.assertEqual(self.timed(), DEVICE_ERROR)
        self.assertEqual(self.engine.count(uv.MM), 0)
        del self.engine.answers[uv.RESET]
        self.engine.frames.clear()
        self.assertEqual(self.timed(), 0)
        self.assertEqual(self.engine.types(), [uv.HELLO, uv.RESET, uv.MM])

    def test_wakeup_is_no_reset(self):
        """The firmware's drivers go on where they were, and so must the device and the session."""
        with Qemu(f"uefi-vars-x64,socket={self.engine.path}") as qemu:
            guest = DeviceGuest(qemu, address=0x2000000)
            # Q35's power management, at the port where SeaBIOS puts it.
            qemu.store_port(0xCF8, 4, 0x8000F840)
            qemu.store_port(0xCFC, 4, 0x601)
            qemu.store_port(0xCF8, 4, 0x8000F844)
            qemu.store_port(0xCFC, 1, 0x80)
            self.engine.frames.clear()
            qemu.qmp("cont")
            qemu.store_port(0x604, 2, 1 << 13 | 1 << 10)  # PM1 control: sleep, S3
            self.wait_for_event(qemu, "SUSPEND")
            qemu.qmp("system_wakeup")
            self.wait_for_event(qemu, "WAKEUP")
            self.assertEqual(guest.register(BUFFER_SIZE), BUFFER_MAX)
            self.assertEqual(guest.register(ADDRESS_LOW), guest.address)
            self.assertEqual(guest.mm(MESSAGE), (0, MESSAGE))
            self.assertEqual(self.engine.types(), [uv.MM])

    def wait_for_event(self, qemu, name):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            qemu.qmp("query-status")
            if name in [event["event"] for event in qemu.events]:
                return
            time.sleep(0.01)
        self.fail(f"no {name}: {qemu.events}")

    def test_refused_request(self):
        self.engine.answers[uv.MM] = lambda _: REFUSE(uv.E_STATE, "not now")
        self.assertEqual(self.timed(), DEVICE_ERROR)
        self.engine.answers[uv.MM] = fakeengine.echo
        self.assertEqual(self.timed(), 0)
        self.assertEqual(self.engine.count(uv.HELLO), 0)

    def test_reply_larger_than_the_buffer(self):
        self.guest.setup(4096)
        self.qemu.write(self.guest.address, b"\xa5" * 8192)
        self.engine.answers[uv.MM] = lambda payload: bytes(8) + b"\x5a" * 4097
        self.assertEqual(self.timed(), DEVICE_ERROR)
        self.assertEqual(self.qemu.read(self.guest.address + 4096, 4096), b"\xa5" * 4096)
        self.engine.answers[uv.MM] = lambda payload: bytes(8) + b"\x5a" * 4096
        self.assertEqual(self.timed(), 0)
        self.assertEqual(self.qemu.read(self.guest.address, 8192),
                         b"\x5a" * 4096 + b"\xa5" * 4096)

    def test_frames_that_are_none(self):
        good = uv.REPLY | uv.MM
        for name, raw in {
                "too long": uv.HEADER.pack(0xFFFFFFFF, good, 0, 1),
                "another type": uv.HEADER.pack(0, uv.REPLY | uv.RESET, 0, 1),
                "another cookie": uv.HEADER.pack(8, good, 0, 0xDEAD) + bytes(8),
                "flags": uv.HEADER.pack(8, good, 1, 1) + bytes(8),
                "no reply": uv.HEADER.pack(8, uv.MM, 0, 1) + bytes(8),
                "long error": uv.HEADER.pack(1 << 24, uv.REPLY | uv.ERROR, 0, 1),
                "errors": 200 * (uv.HEADER.pack(4, uv.REPLY | uv.ERROR, 0, 0) + bytes(4)),
                }.items():
            with self.subTest(name):
                self.engine.answers[uv.MM] = lambda _, raw=raw: RAW(raw)
                self.assertEqual(self.timed(), DEVICE_ERROR)
                self.engine.answers[uv.MM] = fakeengine.echo
                self.assertEqual(self.timed(), 0)
        self.engine.answers[uv.MM] = lambda _: b"1234"
        self.assertEqual(self.timed(), DEVICE_ERROR)

    def test_another_engine_comes_back(self):
        """One that was started with other options is not taken."""
        self.engine.drop()
        self.engine.answers[uv.HELLO] = lambda _: fakeengine.hello_reply(version=2)
        self.assertEqual(self.timed(), DEVICE_ERROR)
        self.assertEqual(self.engine.count(uv.MM), 0)

    def test_options_stay_what_they_were(self):
        """Changed while it runs, the next HELLO would be refused."""
        with Qemu(f"uefi-vars-x64,socket={self.engine.path},id=uv") as qemu:
            for name, value in ("force-secure-boot", True), ("disable-custom-mode", True), \
                               ("size", 65536), ("socket", "/nowhere"), ("jsonfile", "/nowhere"):
                with self.assertRaises(RuntimeError):
                    qemu.qmp("qom-set", path="/machine/peripheral/uv", property=name, value=value)
            self.engine.drop()
            self.assertEqual(DeviceGuest(qemu).mm(MESSAGE), (0, MESSAGE))

    def test_not_plugged_while_running(self):
        with Qemu(f"uefi-vars-x64,socket={self.engine.path},id=uv") as qemu:
            with self.assertRaisesRegex(RuntimeError, "not support hotplugging"):
                qemu.qmp("device_add", driver="uefi-vars-x64", socket=self.engine.path)
            with self.assertRaisesRegex(RuntimeError, "not support hotplugging"):
                qemu.qmp("device_del", id="uv")

    def test_bye(self):
        self.assertEqual(self.qemu.quit(), 0)
        self.assertEqual(self.engine.types(), [uv.BYE])

    def test_ends_on_sigterm_while_the_engine_is_silent(self):
        self.engine.answers[uv.MM] = self.engine.answers[uv.BYE] = lambda _: SILENT
        self.qemu.write(self.guest.address, MESSAGE)
        self.qemu.process.stdin.write(f"writew {X64_BASE + 2:#x} 0x2\n".encode())
        self.qemu.process.stdin.flush()
        time.sleep(0.3)
        start = time.monotonic()
        self.qemu.process.send_signal(signal.SIGTERM)
        self.qemu.wait(2 * LIMIT)
        self.assertLess(time.monotonic() - start, LIMIT + 2.5)


if __name__ == "__main__":
    need()
    unittest.main()
