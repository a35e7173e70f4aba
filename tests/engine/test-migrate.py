#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""SAVE, LOAD, RELEASE and ACQUIRE: between two stores, and on a shared one."""

import glob
import json
import os
import pathlib
import random
import re
import shutil
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvproto as p  # noqa: E402
import uvsign  # noqa: E402
from uvengine import EngineTest  # noqa: E402

OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
LONG = bool(os.environ.get("UV_LONG"))


def names_in(path):
    with open(path) as file:
        return {v["name"]: bytes.fromhex(v["data"]) for v in json.load(file)["variables"]}


class TwoStores(EngineTest):
    def setUp(self):
        super().setUp()
        self.a = self.engine(store="a.json", name="a")
        self.b = self.engine(store="b.json", name="b")

    def saved(self):
        guest = self.guest(self.a)
        self.assert_status(guest.set("Nv", p.TEST, p.NV_BS_RT, b"nv"), p.SUCCESS)
        self.assert_status(guest.set("Vol", p.TEST, p.BS_RT, b"vol"), p.SUCCESS)
        self.assert_status(guest.register_policy("Nv", p.TEST, lock=1), p.SUCCESS)
        guest.end_of_dxe()
        guest.exit_boot_services()
        return guest, guest.save()

    def test_to_another_store(self):
        source, blob = self.saved()
        target = self.guest(self.b, flags=p.HELLO_INCOMING)
        target.load(blob)
        self.assertEqual(target.get("Nv", p.TEST)[2], b"nv")
        self.assertEqual(target.get("Vol", p.TEST)[2], b"vol")
        self.assert_status(target.set("Nv", p.TEST, p.NV_BS_RT, b"x"), p.WRITE_PROTECTED)
        self.assertNotEqual(target.register_policy("More", p.TEST), p.SUCCESS)
        self.assertEqual(names_in(self.b.store).get("Nv", None) if os.path.getsize(self.b.store)
                         else b"nv", b"nv")
        self.b.stop()
        self.assertEqual(names_in(self.b.store)["Nv"], b"nv")
        # SAVE alone lets nothing go.
        self.assert_status(source.set("Other", p.TEST, p.NV_BS_RT, b"x"), p.SUCCESS)

    def test_what_was_there_is_kept(self):
        _, blob = self.saved()
        old = self.guest(self.b)
        old.set("Precious", p.TEST, p.NV_BS_RT, b"old")
        old.bye()
        self.guest(self.b, flags=p.HELLO_INCOMING).load(blob)
        kept = names_in(os.path.join(self.folder, ".uefivarsfs/b.json.before-load"))
        self.assertEqual(kept["Precious"], b"old")

    def test_nothing_is_served_before_load(self):
        guest = self.guest(self.b)
        guest.set("Here", p.TEST, p.NV_BS_RT, b"x")
        guest.bye()
        before = os.stat(self.b.store)
        guest = self.guest(self.b, flags=p.HELLO_INCOMING)
        self.assert_error(p.E_STATE, guest.get, "Here", p.TEST)
        self.assert_error(p.E_STATE, guest.save)
        self.assert_error(p.E_STATE, guest.acquire)
        guest.reset()
        host = self.host(self.b)
        self.assertEqual(host.set_variable("Host", p.TEST, data=b"x").errno, 30)
        self.assertIn(f"Here-{p.TEST}", host.snapshot()["entries"])
        guest.bye()
        self.assertEqual(os.stat(self.b.store).st_ino, before.st_ino)
        self.assertTrue(host.set_variable("Host", p.TEST, data=b"x").ok)

    def test_bad_blobs(self):
        _, blob = self.saved()
        target = self.guest(self.b, flags=p.HELLO_INCOMING)
        for bad in (b"", b"x", blob[:-1], blob + b"x", blob[:60] + b"\xff" + blob[61:],
                    b"X" + blob[1:], bytes(len(blob))):
            self.assert_error(p.E_BLOB, target.load, bad)
        self.assert_error(p.E_STATE, target.get, "Nv", p.TEST)
        target.load(blob)
        self.assertEqual(target.get("Nv", p.TEST)[2], b"nv")

    def test_snapshot_and_back(self):
        guest = self.guest(self.a)
        guest.set("A", p.TEST, p.NV_BS_RT, b"1")
        blob = guest.save()
        guest.set("A", p.TEST, p.NV_BS_RT, b"2")
        guest.set("B", p.TEST, p.NV_BS_RT, b"3")
        host = self.host(self.a)
        host.snapshot()
        guest.load(blob)
        self.assertEqual(guest.get("A", p.TEST)[2], b"1")
        self.assert_status(guest.get("B", p.TEST)[0], p.NOT_FOUND)
        changes = host.next_event()["changes"]
        self.assertIsNone(changes[f"B-{p.TEST}"])
        self.assertEqual(changes[f"A-{p.TEST}"][4:], b"1")


class Size(EngineTest):
    """`size` binds what a state brings along, too."""

    def setUp(self):
        super().setUp()
        self.large = self.engine("--size", str(8 << 20), store="large.json", name="large")
        self.small = self.engine(store="small.json", name="small")

    def saved(self, variables, attributes=p.NV_BS_RT):
        """The state of a guest with so many variables of 32,000 bytes."""
        guest = self.guest(self.large)
        for i in range(variables):
            self.assert_status(guest.set(f"V{i}", p.TEST, attributes, bytes([i]) * 32000), p.SUCCESS)
        blob = guest.save()
        guest.bye()
        return blob

    def memory_kib(self):
        with open(f"/proc/{self.small.process.pid}/status") as file:
            return int(re.search(r"VmHWM:\s+(\d+)", file.read())[1])

    def test_larger_state(self):
        guest = self.guest(self.small)
        self.assert_status(guest.set("Here", p.TEST, p.NV_BS_RT, b"x"), p.SUCCESS)
        with self.assertRaises(p.ErrorFrame) as refused:
            guest.load(self.saved(9))
        self.assertEqual(refused.exception.code, p.E_STORE)
        self.assertIn("262144", refused.exception.text)
        self.assertEqual(guest.get("Here", p.TEST)[2], b"x")
        self.assert_status(guest.get("V0", p.TEST)[0], p.NOT_FOUND)
        self.assertFalse(glob.glob(os.path.join(self.folder, ".uefivarsfs/small.json.before-load")))

    def test_what_fits(self):
        guest = self.guest(self.small)
        guest.load(self.saved(8))
        self.assertEqual(guest.get("V7", p.TEST)[2], b"\7" * 32000)

    def test_volatile(self):
        guest = self.guest(self.small)
        self.assert_error(p.E_BLOB, guest.load, self.saved(9, p.BS_RT))
        guest.load(self.saved(1, p.BS_RT))

    def test_sixteen_mebibytes(self):
        """Refused by its header: nobody waits for the rest, nor keeps it."""
        before = self.memory_kib()
        guest = self.guest(self.small)
        guest.send_raw(struct.pack("<IHHQ", 16 << 20, p.LOAD, 0, 7))
        self.assert_error(p.E_MALFORMED, guest.wait, p.LOAD, 7)
        blob = self.saved(100)
        self.assertGreater(len(blob), 3_000_000)
        guest = self.guest(self.small)
        with self.assertRaises((p.ErrorFrame, p.Closed, OSError)):
            guest.load(blob)
        if not uvengine.sanitized():
            self.assertLess(self.memory_kib() - before, 8192)

    def test_larger_store(self):
        """One that was larger when it was read loads what it has, and less."""
        self.saved(20)
        self.large.stop()
        shutil.copy(self.large.store, os.path.join(self.folder, "third.json"))
        third = self.engine(store="third.json", name="third")
        guest = self.guest(third)
        blob = guest.save()
        self.assert_status(guest.set("V1", p.TEST, 0, b""), p.SUCCESS)
        with self.assertRaises(p.ErrorFrame):
            guest.load(blob)
        self.assert_status(guest.set("More", p.TEST, p.NV_BS_RT, b"x"), p.OUT_OF_RESOURCES)
        blob = guest.save()
        self.assert_status(guest.set("V2", p.TEST, p.NV_BS_RT, b"changed"), p.SUCCESS)
        self.assert_status(guest.set("V2", p.TEST, p.NV_BS_RT, b"\2" * 31000), p.OUT_OF_RESOURCES)
        guest.load(guest.save())


class SharedStore(EngineTest):
    """Two engines, as on two hosts, on one file."""

    def setUp(self):
        super().setUp()
        self.a = self.engine(name="a")
        self.b = self.engine(name="b")

    def test_released_is_busy(self):
        guest = self.guest(self.a)
        guest.set("A", p.TEST, p.NV_BS_RT, b"1")
        guest.save(release=True)
        self.assertEqual(guest.mm(p.mm_get("A", p.TEST, 10))[0], p.DEVICE_BUSY)
        self.assert_error(p.E_STATE, guest.reset)
        host = self.host(self.a)
        outcome = host.set_variable("Host", p.TEST, data=b"x")
        self.assertEqual(outcome.errno, 30)
        self.assertTrue(host.snapshot()["state"] & p.HOST_STATE_RELEASED)
        self.assertFalse(os.path.exists(os.path.join(self.folder, ".uefivarsfs/vars.json.journal")))
        self.assertEqual(names_in(self.a.store)["A"], b"1")
        guest.acquire()
        self.assertEqual(guest.get("A", p.TEST)[2], b"1")
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"2"), p.SUCCESS)

    def test_acquire_finds_a_change(self):
        guest = self.guest(self.a)
        guest.set("A", p.TEST, p.NV_BS_RT, b"1")
        blob = guest.save(release=True)
        other = self.guest(self.b, flags=p.HELLO_INCOMING)
        other.load(blob)
        self.assert_status(other.set("A", p.TEST, p.NV_BS_RT, b"2"), p.SUCCESS)
        other.bye()
        self.assert_error(p.E_CHANGED, guest.acquire)
        self.assertEqual(guest.mm(p.mm_get("A", p.TEST, 10))[0], p.DEVICE_BUSY)
        # Its state can still be loaded back: that is a decision, and the other is kept.
        guest.load(blob)
        self.assertEqual(guest.get("A", p.TEST)[2], b"1")
        kept = names_in(os.path.join(self.folder, ".uefivarsfs/vars.json.before-load"))
        self.assertEqual(kept["A"], b"2")

    def test_acquire_after_a_death(self):
        guest = self.guest(self.a)
        guest.set("A", p.TEST, p.NV_BS_RT, b"1")
        guest.save(release=True)
        self.a.kill()
        self.a.start()
        guest = self.guest(self.a, session=guest.session, flags=p.HELLO_RESUME)
        self.assertEqual(guest.mm(p.mm_get("A", p.TEST, 10))[0], p.DEVICE_BUSY)
        guest.acquire()
        self.assertEqual(guest.get("A", p.TEST)[2], b"1")

    def test_the_same_content_is_not_written(self):
        guest = self.guest(self.a)
        guest.set("A", p.TEST, p.NV_BS_RT, b"1")
        blob = guest.save(release=True)
        before = os.stat(self.a.store)
        other = self.guest(self.b, flags=p.HELLO_INCOMING)
        other.load(blob)
        after = os.stat(self.a.store)
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))
        self.assertFalse(os.path.exists(
            os.path.join(self.folder, ".uefivarsfs/vars.json.before-load")))

    def test_load_needs_the_lock(self):
        guest = self.guest(self.a)
        guest.set("A", p.TEST, p.NV_BS_RT, b"1")
        blob = guest.save()  # and not released
        other = self.guest(self.b, flags=p.HELLO_INCOMING, timeout=20)
        self.assert_error(p.E_STORE, other.load, blob)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"2"), p.SUCCESS)

    def test_incoming_lets_the_store_go(self):
        host = self.host(self.b)
        self.assertTrue(host.set_variable("Host", p.TEST, data=b"x").ok)
        self.guest(self.b, flags=p.HELLO_INCOMING)
        guest = self.guest(self.a)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        self.assertEqual(guest.get("Host", p.TEST)[2], b"x")

    def test_never_two_writers(self):
        guest = self.guest(self.a)
        guest.set("A", p.TEST, p.NV_BS_RT, b"1")
        host = self.host(self.b, timeout=20)
        outcome = host.set_variable("B", p.TEST, data=b"x")
        self.assertFalse(outcome.ok)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"2"), p.SUCCESS)

    def test_there_and_back_in_a_loop(self):
        """Writes, a migration that succeeds or fails, writes: what was acknowledged is there."""
        chance = random.Random(int(os.environ.get("UV_SEED", "5")))
        engines = [self.a, self.b]
        guest, at = self.guest(self.a), 0
        model, writes = {}, 0
        for _ in range(150 if LONG else 25):
            for _ in range(chance.randrange(6)):
                name, value = f"L{chance.randrange(10)}", chance.randbytes(50)
                self.assert_status(guest.set(name, p.TEST, p.NV_BS_RT, value), p.SUCCESS)
                model[name] = value
                writes += 1
            target = self.guest(engines[1 - at], flags=p.HELLO_INCOMING, timeout=20)
            blob = guest.save(release=True)
            outcome = chance.randrange(4)
            if outcome == 0:  # the target gives up before LOAD
                target.bye()
                guest.acquire()
            elif outcome == 1:  # the target dies after LOAD
                target.load(blob)
                target.close()
                guest.acquire()
            elif outcome == 2:  # the target's engine dies
                target.load(blob)
                engines[1 - at].kill()
                target.close()
                guest.acquire()
                engines[1 - at].start()
            else:
                target.load(blob)
                guest.bye()
                guest, at = target, 1 - at
            for name, value in model.items():
                self.assertEqual(guest.get(name, p.TEST)[2], value)
        got = [n for n, g in guest.names() if g == p.TEST]
        self.assertEqual(len(got), len(set(got)))
        guest.bye()
        for engine in engines:
            engine.stop()
        stored = names_in(self.a.store)
        self.assertEqual({n: stored[n] for n in model}, model)
        sidecars = glob.glob(os.path.join(self.folder, ".uefivarsfs/*"))
        self.assertFalse([n for n in sidecars if "conflict" in n or "before-load" in n], sidecars)


class CopiedStore(EngineTest):
    """A snapshot of the store's file and of the state, taken together, fit each other."""

    def test_copy(self):
        a = self.engine(name="a", store="a.json")
        guest = self.guest(a)
        guest.set("A", p.TEST, p.NV_BS_RT, b"1")
        blob = guest.save(release=True)
        shutil.copy(a.store, os.path.join(self.folder, "c.json"))
        guest.acquire()
        guest.set("A", p.TEST, p.NV_BS_RT, b"2")
        c = self.engine(name="c", store="c.json")
        copy = self.guest(c, flags=p.HELLO_INCOMING)
        copy.load(blob)
        self.assertEqual(copy.get("A", p.TEST)[2], b"1")
        self.assertEqual(guest.get("A", p.TEST)[2], b"2")


@unittest.skipUnless(os.path.exists(OVMF_VARS) and shutil.which("openssl"), "no image or openssl")
class TwoFormats(EngineTest):
    """Who signed a private authenticated variable goes along, from JSON's digests to certdb and
    back: the same key changes it afterwards, and nobody else's."""

    def setUp(self):
        super().setUp()
        shutil.copyfile(OVMF_VARS, os.path.join(self.folder, "flash.fd"))
        self.json = self.engine(name="json", store="plain.json")
        self.flash = self.engine(name="flash", store="flash.fd")
        self.mine, self.others = uvsign.Key("mine"), uvsign.Key("others")
        self.second = 0

    def write(self, guest, key, name, data, attributes=p.NV_BS_RT_AT):
        self.second += 1
        whole = uvsign.write(key, name, p.TEST, data, self.second, attributes)
        return guest.set(name, p.TEST, attributes, whole)

    def both(self, guest, key, data):
        return [self.write(guest, key, "Kept", data),
                self.write(guest, key, "Passing", data, p.NV_BS_RT_AT & ~1)]

    def hand_over(self, source, target):
        """From engine to engine, with an update on the way."""
        guest = self.guest(source)
        for status in self.both(guest, self.mine, b"first"):
            self.assert_status(status, p.SUCCESS)
        self.assert_status(self.write(guest, self.others, "Theirs", b"theirs"), p.SUCCESS)
        blob = guest.save()
        guest = self.guest(target, flags=p.HELLO_INCOMING)
        guest.load(blob)
        self.assertEqual(guest.get("Kept", p.TEST)[2], b"first")
        for status in self.both(guest, self.others, b"not mine"):
            self.assert_status(status, p.SECURITY_VIOLATION)
        for status in self.both(guest, self.mine, b"first"):
            self.assert_status(status, p.SUCCESS)
        self.assert_status(self.write(guest, self.mine, "Theirs", b"x"), p.SECURITY_VIOLATION)
        return guest

    def there_and_back(self, source, target, third):
        guest = self.hand_over(source, target)
        # Another owner, as far as the second store knows.
        self.assert_status(self.write(guest, self.others, "Theirs", b""), p.SUCCESS)
        self.assert_status(self.write(guest, self.mine, "Theirs", b"mine now"), p.SUCCESS)
        blob = guest.save()
        guest = self.guest(third, flags=p.HELLO_INCOMING)
        guest.load(blob)
        self.assert_status(self.write(guest, self.others, "Theirs", b"x"), p.SECURITY_VIOLATION)
        self.assert_status(self.write(guest, self.mine, "Theirs", b"still mine"), p.SUCCESS)
        for status in self.both(guest, self.mine, b"second"):
            self.assert_status(status, p.SUCCESS)
        return guest

    def test_from_json_to_flash_and_back(self):
        back = self.engine(name="back", store="back.json")
        guest = self.there_and_back(self.json, self.flash, back)
        guest.bye()
        back.stop()
        with open(back.store) as file:
            stored = {v["name"]: v for v in json.load(file)["variables"]}
        self.assertEqual(len(stored["Kept"]["digest"]), 64)

    def test_from_flash_to_json_and_back(self):
        shutil.copyfile(OVMF_VARS, os.path.join(self.folder, "back.fd"))
        back = self.engine(name="back", store="back.fd")
        guest = self.there_and_back(self.flash, self.json, back)
        # Restarted: certdb in the image says the same.
        guest.bye()
        back.stop()
        back.start()
        guest = self.guest(back)
        self.assert_status(self.write(guest, self.others, "Kept", b"x"), p.SECURITY_VIOLATION)
        self.assert_status(self.write(guest, self.mine, "Kept", b"third"), p.SUCCESS)
        self.assert_status(self.write(guest, self.mine, "Theirs", b""), p.SUCCESS)

    def test_store_json_of_the_other_kind(self):
        """The same by store.json: a copy of a flash guest made of its text."""
        guest = self.hand_over(self.json, self.flash)
        with self.flash.host() as host:
            text = host.export()
        guest.bye()
        copy = self.engine(name="copy", store="copy.json")
        with copy.host() as host:
            self.assertEqual(host.import_(text)[0], p.SUCCESS)
        guest = self.guest(copy)
        self.assert_status(self.write(guest, self.others, "Kept", b"x"), p.SECURITY_VIOLATION)
        self.assert_status(self.write(guest, self.mine, "Kept", b"x"), p.SUCCESS)


if __name__ == "__main__":
    unittest.main()
