#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""All MM functions through the device and the real engine, in both transfer modes; and the same calls
on QEMU's own device give the same answers, except where a rule of uefivarsd(8) decides otherwise."""

import os
import struct
import tempfile
import unittest

from machines import Engine
from qemu import DeviceError, DeviceGuest, Qemu, need, uv

TEST = uv.TEST
POLICY_BODY = 0x4000 - 24 - 20  # edk2 sends four pages

# Name of the call: the rule that makes our answer another one.
DIFFERENCES = {
    "set, attributes 0 with data": "2.1.12",
    "set, RT without BS": "2.1.4",
    "set, NV only": "2.1.5",
    "set, unknown attribute": "2.1.3",
    "append": "2.2",
    "get appended": "2.2",
    "get after appending nothing": "2.2",
    "names": "2.2 (appending nothing is no delete)",
    "delete, missing": "2.2",
    "query, attributes 0": "2.3",
    "query, NV only": "2.3",
    "property get": "2.4 (wrong sizes)",
    "short message": "2.4 (wrong sizes)",
    "policy, min over max": "2.10",
    "policy, info": "2.10",
    "policy, dump": "2.10",
    "policy, lock again": "2.10",
    "policy, disable": "2.10",
    "lock after end of DXE": "2.4",
    "SetupMode, write": "2.9.1",
    "unknown global name": "2.9",
    "Timeout of 5": "2.9",
    "PK, unsigned": "2.6",
    "get BS at runtime": "2.3",
    "set BS at runtime": "2.1.11",
    "set at runtime": "2.4 (not locked after end of DXE)",
    "get at runtime": "2.4 (not locked after end of DXE)",
    "volatile at runtime": "2.2",
    "new BS at runtime": "2.2",
    "names at runtime": "2.2",
    "set, empty name": "2.1.1",
    "ready to boot at runtime": "2.4",
}

# Those of them that QEMU answers as we do since some release.
FIXED_LATER = {"PK, unsigned", "SetupMode, write"}


def attempt(call):
    """What a call gives, made comparable: names of statuses, bytes, or the device's error."""
    try:
        value = call()
    except DeviceError as error:
        return f"device status {error.status:#x}"
    if isinstance(value, tuple):
        return (uv.status_name(value[0]),) + value[1:]
    return uv.status_name(value)


def policy_info(name, guid):
    text = uv.ucs2(name)
    body = uv.guid_bytes(guid) + struct.pack("<II", len(text), 0) + bytes(44) + text
    return body + bytes(POLICY_BODY - len(body))


def names_of(guest):
    """Those of our GUID, sorted: the order is not the same."""
    found = []
    status, name, guid = guest.next()
    while status == uv.SUCCESS and len(found) < 100:
        found.append((name, guid))
        status, name, guid = guest.next(name, guid)
    return status, sorted(name for name, guid in found if guid == TEST)


def calls(guest):
    """(name, function) in the order in which they are made."""
    g = guest
    null = "00000000-0000-0000-0000-000000000000"
    yield "set", lambda: g.set("Foo", TEST, 7, b"one")
    yield "get", lambda: g.get("Foo", TEST, room=64)
    yield "get, room exact", lambda: g.get("Foo", TEST, room=3)
    yield "get, too small", lambda: g.get("Foo", TEST, room=2)
    yield "get, missing", lambda: g.get("Missing", TEST, room=64)
    yield "get, another GUID", lambda: g.get("Foo", uv.GLOBAL, room=64)
    yield "get, empty name", lambda: g.get("", TEST, room=64)
    yield "set again, shorter", lambda: g.set("Foo", TEST, 7, b"2")
    yield "get shorter", lambda: g.get("Foo", TEST, room=64)
    yield "set, other attributes", lambda: g.set("Foo", TEST, 3, b"x")
    yield "set, attributes 0 with data", lambda: g.set("Nothing", TEST, 0, b"x")
    yield "set, RT without BS", lambda: g.set("Bar", TEST, 5, b"x")
    yield "set, NV only", lambda: g.set("Bar", TEST, 1, b"x")
    yield "set, AW", lambda: g.set("Bar", TEST, 0x17, b"x")
    yield "set, AT without a header", lambda: g.set("Bar", TEST, 0x27, b"x")
    yield "set, unknown attribute", lambda: g.set("Bar", TEST, 0x107, b"x")
    yield "set, volatile", lambda: g.set("Volatile", TEST, 6, b"v")
    yield "get, volatile", lambda: g.get("Volatile", TEST, room=64)
    yield "append", lambda: g.set("Foo", TEST, 0x47, b"34")
    yield "get appended", lambda: g.get("Foo", TEST, room=64)
    yield "append nothing", lambda: g.set("Foo", TEST, 0x47, b"")
    yield "get after appending nothing", lambda: g.get("Foo", TEST, room=64)
    yield "append, new", lambda: g.set("Appended", TEST, 0x47, b"12")
    yield "get, appended new", lambda: g.get("Appended", TEST, room=64)
    yield "set, large", lambda: g.set("Large", TEST, 7, bytes(range(256)) * 80)
    yield "get, large", lambda: g.get("Large", TEST, room=32768)
    yield "set, nearly the largest", lambda: g.set("Huge", TEST, 7, bytes(65400))
    yield "next, room too small", lambda: g.next(name_room=2)
    yield "next, unknown start", lambda: g.next("Missing", TEST)
    yield "names", lambda: names_of(g)
    yield "delete", lambda: g.delete("Large", TEST)
    yield "delete, missing", lambda: g.delete("Large", TEST)
    yield "delete by size 0", lambda: g.set("Appended", TEST, 7, b"")
    yield "payload size", lambda: (g.variable(uv.F_PAYLOAD_SIZE, bytes(8))[0],)
    yield "statistics", lambda: (g.variable(uv.F_STATISTICS, bytes(64))[0],)
    yield "query", lambda: (g.query(7)[0],)
    yield "query, attributes 0", lambda: (g.query(0)[0],)
    yield "query, NV only", lambda: (g.query(1)[0],)
    yield "property get", lambda: (g.variable(uv.F_PROPERTY_GET, bytes(64))[0],)
    yield "unknown function", lambda: (g.variable(99)[0],)
    yield "unknown GUID", lambda: (g.mm(uv.mm_message(null, b"x" * 8))[0],)
    yield "short message", lambda: (g.mm(uv.mm_message(uv.SMM_VARIABLE, b"x" * 8))[0],)
    yield "lock", lambda: g.lock("Volatile", TEST)
    yield "set, locked", lambda: g.set("Volatile", TEST, 6, b"w")
    yield "policy, enabled", lambda: g.policy(2, bytes(1))
    yield "policy, register", lambda: g.register_policy("Pol##", TEST, max_size=4)
    yield "policy, twice", lambda: g.register_policy("Exact", TEST, 1, 2, lock=0)
    yield "policy, twice again", lambda: g.register_policy("Exact", TEST, 1, 2, lock=0)
    yield "policy, min over max", lambda: g.register_policy("Bad", TEST, 5, 2)
    yield "set, policy size", lambda: g.set("Pol01", TEST, 7, b"12345")
    yield "set, policy fits", lambda: g.set("Pol01", TEST, 7, b"1234")
    yield "policy, info", lambda: (g.policy(6, policy_info("Exact", TEST))[0],)
    yield "policy, dump", lambda: g.policy(4, bytes(POLICY_BODY))
    yield "policy, unknown command", lambda: (g.policy(77, bytes(8))[0],)
    yield "policy, lock", lambda: g.lock_policy()
    yield "policy, register when locked", lambda: g.register_policy("Late", TEST)
    yield "policy, lock again", lambda: g.lock_policy()
    yield "policy, disable", lambda: (g.policy(1)[0],)
    yield "boot services only", lambda: g.set("BootOnly", TEST, 3, b"b")
    yield "end of DXE", lambda: (g.end_of_dxe()[0],)
    yield "lock after end of DXE", lambda: g.lock("Foo", TEST)
    yield "SetupMode, read", lambda: g.get("SetupMode", uv.GLOBAL, room=8)
    yield "SetupMode, write", lambda: g.set("SetupMode", uv.GLOBAL, 6, b"\0")
    yield "SecureBoot, read", lambda: g.get("SecureBoot", uv.GLOBAL, room=8)
    yield "unknown global name", lambda: g.set("NoSuchName", uv.GLOBAL, 7, b"x")
    yield "Timeout of 2", lambda: g.set("Timeout", uv.GLOBAL, 7, b"\5\0")
    yield "Timeout of 5", lambda: g.set("Timeout", uv.GLOBAL, 7, b"12345")
    yield "PK, unsigned", lambda: g.set("PK", uv.GLOBAL, 0x27, bytes(100))
    yield "ready to boot, event", lambda: (g.ready_to_boot()[0],)
    yield "ready to boot", lambda: (g.variable(uv.F_READY)[0],)
    yield "exit boot services, event", lambda: (g.exit_boot_services()[0],)
    yield "exit boot services", lambda: (g.variable(uv.F_EXIT)[0],)
    yield "get BS at runtime", lambda: g.get("BootOnly", TEST, room=8)
    yield "set BS at runtime", lambda: g.set("BootOnly", TEST, 3, b"c")
    yield "set at runtime", lambda: g.set("Foo", TEST, 7, b"runtime")
    yield "get at runtime", lambda: g.get("Foo", TEST, room=64)
    yield "volatile at runtime", lambda: g.set("Vol2", TEST, 6, b"v")
    yield "new BS at runtime", lambda: g.set("BootToo", TEST, 3, b"v")
    yield "names at runtime", lambda: names_of(g)
    yield "set, empty name", lambda: g.set("", TEST, 7, b"x")
    yield "ready to boot at runtime", lambda: (g.variable(uv.F_READY)[0],)


def answers(guest):
    return {name: attempt(call) for name, call in calls(guest)}


def ours(pio):
    with tempfile.TemporaryDirectory(prefix="uv-functions-") as folder, Engine(folder) as engine, \
            Qemu(f"uefi-vars-x64,socket={engine.socket}") as qemu:
        return answers(DeviceGuest(qemu, pio=pio, word=4))


def stock():
    with tempfile.TemporaryDirectory(prefix="uv-functions-") as folder, \
            Qemu(f"uefi-vars-x64,jsonfile={os.path.join(folder, 'vars.json')}", ours=False) as qemu:
        return answers(DeviceGuest(qemu, word=4))


class Functions(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.dma = ours(pio=False)

    def test_both_modes_agree(self):
        self.assertEqual(ours(pio=True), self.dma)

    def test_as_qemu(self):
        theirs = stock()
        for name, answer in self.dma.items():
            with self.subTest(name, rule=DIFFERENCES.get(name)):
                if name in FIXED_LATER and answer == theirs[name]:
                    continue
                if name in DIFFERENCES:
                    self.assertNotEqual(answer, theirs[name], "no difference any more")
                else:
                    self.assertEqual(answer, theirs[name])

    def test_names_of_differences(self):
        self.assertLessEqual(set(DIFFERENCES), set(self.dma))
        self.assertLessEqual(FIXED_LATER, set(DIFFERENCES))


if __name__ == "__main__":
    need(engine=True)
    unittest.main()
