#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The host socket: what uefivarsfs asks an engine for, beside a guest and without one."""

import errno
import json
import os
import pathlib
import socket
import struct
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
from uvengine import EngineTest  # noqa: E402


class Host(EngineTest):
    def setUp(self):
        super().setUp()
        self.e = self.engine()
        self.h = self.host(self.e)

    def test_hello(self):
        info = p.Host(self.e.host_socket)
        self.addCleanup(info.close)
        hello = info.hello()
        self.assertEqual(hello["version"], 1)
        self.assertEqual(hello["pid"], self.e.process.pid)
        bad = p.Host(self.e.host_socket)
        self.addCleanup(bad.close)
        self.assert_error(p.E_VERSION, lambda: bad.hello(version=2))
        silent = p.Host(self.e.host_socket)
        self.addCleanup(silent.close)
        self.assert_error(p.E_STATE, silent.snapshot)

    def test_a_request_that_is_too_large(self):
        """It is refused, and neither the connection nor what others asked on it is lost."""
        name = f"T-{p.TEST}"
        for size in (65541, 70000, 131072, 131076, 1 << 20):
            outcome = self.h.set(name, b"\7\0\0\0" + bytes(size - 4))
            self.assertEqual(outcome.status, p.INVALID_PARAMETER, size)
            self.assertIn("large", outcome.reason)
        self.assert_error(p.E_MALFORMED, self.h.request, p.HOST_STATUS, bytes(9000))
        self.assertEqual(self.h.touch(name + "x" * 9000, 1).errno, errno.EINVAL)
        self.assertEqual(self.h.import_(b" " * (17 << 20)).errno, errno.EINVAL)
        self.assertEqual(self.h.set(name, b"\7\0\0\0x").status, p.SUCCESS)

    def test_asking(self):
        """What a SET would come to, and nothing is changed."""
        ask = 4
        name = f"T-{p.TEST}"
        self.assertTrue(self.h.set(name, b"\7\0\0\0x", ask).ok)
        self.assertEqual(self.h.set(name, b"\7\0\0\0", ask).status, p.NOT_FOUND)
        self.assertTrue(self.h.set(name, b"\7\0\0\0x").ok)
        self.assertTrue(self.h.set(name, b"\7\0\0\0", ask).ok)
        refused = self.h.set(name, b"\3\0\0\0y", ask)
        self.assertEqual(refused.status, p.INVALID_PARAMETER)
        self.assertIn("attributes", refused.reason)
        self.assertEqual(self.h.snapshot()["entries"][name][0], b"\7\0\0\0x")

    def test_guest_types_are_refused(self):
        for type_ in (p.HELLO, p.MM, p.BYE, 0x5F):
            self.assert_error(p.E_UNKNOWN_TYPE, self.h.request, type_, b"x")
        self.h.status()

    def test_other_users_are_refused(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to become another user")
        os.chmod(self.folder, 0o755)
        os.chmod(self.e.host_socket, 0o666)
        pid = os.fork()
        if pid == 0:
            os.setuid(65534)
            try:
                p.Host(self.e.host_socket).hello()
            except (p.Closed, OSError):
                os._exit(0)
            os._exit(1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_socket_modes(self):
        self.assertEqual(os.stat(self.e.host_socket).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(self.e.session).st_mode & 0o777, 0o600)

    def test_set_and_see(self):
        name = f"A-{p.TEST}"
        self.assertTrue(self.h.set_variable("A", p.TEST, data=b"one", flags=p.HOST_SET_EXCLUSIVE).ok)
        self.assertEqual(self.h.set_variable("A", p.TEST, data=b"two",
                                             flags=p.HOST_SET_EXCLUSIVE).errno, errno.EEXIST)
        snapshot = self.h.snapshot()
        self.assertEqual(snapshot["entries"][name][0], struct.pack("<I", 7) + b"one")
        self.assertTrue(self.h.set(name, struct.pack("<I", 7) + b"two", mtime=10 ** 18).ok)
        event = self.h.next_event()
        self.assertEqual(event["changes"], {name: struct.pack("<I", 7) + b"two"})
        self.assertEqual(self.h.snapshot()["entries"][name][1], 10 ** 18)
        self.assertTrue(self.h.touch(name, 10 ** 17).ok)
        self.assertEqual(self.h.snapshot()["entries"][name][1], 10 ** 17)
        self.assertTrue(self.h.delete(name).ok)
        self.assertNotIn(name, self.h.snapshot()["entries"])

    def test_refusals(self):
        self.assertEqual(self.h.set("no variable", b"\7\0\0\0x").errno, errno.EINVAL)
        self.assertEqual(self.h.set(f"A-{p.TEST}", b"\7\0").errno, errno.EINVAL)
        volatile = self.h.set_variable("V", p.TEST, p.BS_RT, b"x")
        self.assertEqual(volatile.errno, errno.EPERM)
        self.assertIn("guest", volatile.reason)
        self.assert_status(self.h.set_variable("A", p.TEST, 0x107, b"x").status,
                           p.INVALID_PARAMETER)
        self.assert_status(self.h.delete(f"None-{p.TEST}").status, p.NOT_FOUND)
        self.assertEqual(self.h.touch(f"None-{p.TEST}", 1).errno, errno.ENOENT)
        outcome = self.h.set_variable("SecureBoot", p.GLOBAL, p.BS_RT, b"\1")
        self.assertFalse(outcome.ok)
        self.assertTrue(outcome.reason)

    def test_both_doors(self):
        guest = self.guest(self.e)
        self.h.snapshot()
        for i in range(100):
            self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, bytes([i])), p.SUCCESS)
            # It is in the host's socket already when the guest has its reply.
            self.h.sock.setblocking(False)
            event = self.h.next_event()
            self.h.sock.settimeout(10)
            self.assertEqual(event["changes"][f"A-{p.TEST}"][4:], bytes([i]))
            self.assertTrue(self.h.set_variable("B", p.TEST, data=bytes([i])).ok)
            self.h.events.clear()
            self.assertEqual(guest.get("B", p.TEST)[2], bytes([i]))
        self.assertTrue(self.h.set_variable("V", p.TEST, p.BS_RT, b"x").ok)

    def test_whose_process_the_guest_is(self):
        def told(host, connected):
            event = host.next_event()
            while bool(event["state"] & p.HOST_STATE_CONNECTED) != connected:
                event = host.next_event()
            return event["process"]

        self.h.snapshot()
        guest = self.guest(self.e)
        self.assertEqual(told(self.h, True), os.getpid())
        self.assertEqual(self.h.check()["process"], os.getpid())
        guest.bye()
        self.assertEqual(told(self.h, False), 0)
        self.assertEqual(self.h.check()["process"], 0)

    def test_states(self):
        self.h.snapshot()
        guest = self.guest(self.e)
        states = []
        guest.exit_boot_services()
        guest.close()
        for _ in range(8):
            states.append(self.h.next_event()["state"])
            if not states[-1] & p.HOST_STATE_CONNECTED and len(states) > 1:
                break
        self.assertIn(p.HOST_STATE_GUEST | p.HOST_STATE_CONNECTED, states)
        self.assertIn(p.HOST_STATE_GUEST | p.HOST_STATE_CONNECTED | p.HOST_STATE_RUNTIME, states)
        self.assertEqual(states[-1], p.HOST_STATE_GUEST | p.HOST_STATE_RUNTIME)

    def test_a_front_that_does_not_read_is_cut_off(self):
        guest = self.guest(self.e)
        self.h.snapshot()
        worst = 0
        for i in range(60):
            start = time.monotonic()
            self.assert_status(guest.set("A", p.TEST, p.BS_RT, os.urandom(30000)), p.SUCCESS)
            worst = max(worst, time.monotonic() - start)
        self.assertLess(worst, 1)
        with self.assertRaises(p.Closed):
            while True:
                self.h.receive()
        again = self.host(self.e)
        self.assertIn(f"A-{p.TEST}", again.snapshot()["entries"])

    def test_import_and_export(self):
        self.h.set_variable("Old", p.TEST, data=b"x")
        text = {"version": 2, "variables": [
            {"name": "New", "guid": p.TEST, "attr": 7, "data": "0102"}]}
        for bad in (b"", b"{", b"[]", b'{"version": 9, "variables": []}',
                    json.dumps(text)[:-1].encode()):
            outcome = self.h.import_(bad)
            if bad:
                self.assertEqual(outcome.errno, errno.EINVAL, bad)
                self.assertIn("store.json:", outcome.reason)
        self.h.set_variable("Old", p.TEST, data=b"x")
        self.assertTrue(self.h.import_(json.dumps(text).encode()).ok)
        entries = self.h.snapshot()["entries"]
        self.assertIn(f"New-{p.TEST}", entries)
        self.assertNotIn(f"Old-{p.TEST}", entries)
        exported = self.h.export()
        with open(self.e.store, "rb") as file:
            self.assertEqual(exported, file.read())
        self.assertEqual(json.loads(exported)["variables"], text["variables"])
        guest = self.guest(self.e)
        self.assertEqual(self.h.import_(exported).errno, errno.EBUSY)
        guest.bye()
        self.assertTrue(self.h.import_(exported).ok)

    def test_another_program_writes_the_store(self):
        self.h.set_variable("Old", p.TEST, data=b"x")
        self.h.export()
        self.h.snapshot()
        time.sleep(0.01)
        text = {"version": 2, "variables": [
            {"name": "Edited", "guid": p.TEST, "attr": 7, "data": "0102"}]}
        with open(self.e.store + ".new", "w") as file:
            json.dump(text, file)
        os.rename(self.e.store + ".new", self.e.store)
        checked = self.h.check()
        self.assertEqual(checked["identity"][1], os.stat(self.e.store).st_ino)
        changes = self.h.next_event()["changes"]
        self.assertIsNone(changes[f"Old-{p.TEST}"])
        self.assertEqual(changes[f"Edited-{p.TEST}"][4:], b"\1\2")
        self.assertTrue(self.h.set_variable("More", p.TEST, data=b"x").ok)

    def test_another_program_spoils_the_store(self):
        self.assertTrue(self.h.set_variable("Old", p.TEST, data=b"x").ok)
        self.h.export()
        time.sleep(0.01)
        with open(self.e.store) as file:
            good = file.read()
        for text in ("garbage", good):
            with open(self.e.store + ".new", "w") as file:
                file.write(text)
            os.rename(self.e.store + ".new", self.e.store)
            self.h.check()
            warnings = self.h.status()["warnings"]
            self.assertEqual(bool([w for w in warnings if "can't be read" in w]), text != good)
            # What is there by now is never written over.
            self.assertEqual(self.h.set_variable("New", p.TEST, data=b"x").ok, text == good)
            with open(self.e.store) as file:
                self.assertIn("garbage" if text != good else "New", file.read())

    def test_status(self):
        guest = self.guest(self.e, name="qemu \"x\" \u00fc")
        guest.register_policy("P", p.TEST, lock=1)
        status = self.h.status()
        self.assertEqual(status["store"]["format"], "json")
        self.assertFalse(status["store"]["read-only"])
        self.assertEqual(status["session"]["client"], "qemu \"x\" \u00fc")
        self.assertEqual(status["session"]["id"], guest.session.hex())
        self.assertEqual(status["policy"]["count"], 1)
        self.assertTrue(status["secure-boot"]["setup-mode"])
        self.assertFalse(status["secure-boot"]["secure-boot"])
        self.assertEqual(status["engine"]["pid"], self.e.process.pid)
        storage = status["storage"]
        self.assertEqual(storage["used-bytes"] + storage["remaining-bytes"],
                         storage["total-bytes"])

    def test_listener(self):
        listener = self.h.listener()
        self.addCleanup(listener.close)
        self.e.stop()
        sock = p.connect(self.e.socket)
        self.addCleanup(sock.close)
        accepted, _ = listener.accept()
        accepted.close()

    def test_end(self):
        guest = self.guest(self.e)
        guest.set("A", p.TEST, p.NV_BS_RT, b"1")
        self.assertFalse(self.h.end())
        guest.bye()
        self.assertTrue(self.h.end())
        self.assertEqual(self.e.process.wait(5), 0)
        with open(self.e.store) as file:
            self.assertIn("A", [v["name"] for v in json.load(file)["variables"]])

    def test_many_large_variables(self):
        for i in range(6):
            self.assertTrue(self.h.set_variable(f"Big{i}", p.TEST, data=bytes(40000)).ok)
        snapshot = self.h.snapshot()
        self.assertEqual(len([n for n in snapshot["entries"] if n.startswith("Big")]), 6)

    def test_a_guest_writes_while_the_front_takes_a_snapshot(self):
        guest = self.guest(self.e)
        for i in range(6):
            self.assertTrue(self.h.set_variable(f"Big{i}", p.TEST, data=bytes(40000)).ok)
        stop = threading.Event()
        written = []

        def write():
            while not stop.is_set():
                value = os.urandom(8)
                guest.set("A", p.TEST, p.BS_RT, value)
                written.append(value)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for _ in range(20):
                host = self.host(self.e)
                self.assertEqual(len([n for n in host.snapshot()["entries"]
                                      if n.startswith("Big")]), 6)
                before = len(written)
                content = host.next_event()["changes"][f"A-{p.TEST}"]
                self.assertIn(content[4:], written[max(0, before - 200):] + [content[4:]])
                host.close()
        finally:
            stop.set()
            thread.join()


if __name__ == "__main__":
    unittest.main()
