#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Live migration and snapshots under a guest that writes all the time: nothing lost, nothing doubled;
one that fails leaves the source working; what is no state of ours is refused."""

import os
import re
import struct
import subprocess
import time
import unittest

import fakeengine
from machines import Engine, Machine, check_written, folder_of, need_guest, written
from qemu import Qemu, need, uv


class Migration(unittest.TestCase):
    def setUp(self):
        self.folder = folder_of(self)
        self.stores = 0

    def engine(self, name, store=None):
        engine = Engine(self.folder, name=name, store=store or f"{name}.json")
        self.addCleanup(engine.stop)
        return engine

    def machine(self, engine, **kwargs):
        machine = Machine(engine.socket, **kwargs)
        self.addCleanup(machine.close)
        return machine

    def source(self, engine):
        machine = self.machine(engine)
        machine.ready()
        machine.write(0)
        machine.wait_for_writes(50)
        return machine

    def uri(self, name="stream"):
        return f"unix:{self.folder}/{name}"

    def wait_migrated(self, machine, *states):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            status = machine.qmp("query-migrate").get("status")
            # The end is told before it is finished, and until then QEMU refuses «cont».
            if status in ("completed", "failed", "cancelled") and \
                    machine.qmp("query-status")["status"] == "finish-migrate":
                continue
            if status in states:
                return status
            if status in ("completed", "failed", "cancelled"):
                self.fail(f"migration {status}: {machine.stderr()}")
            time.sleep(0.01)
        self.fail("the migration does not end")

    def migrate(self, source, engine):
        """To a machine at `engine`; returns it, running."""
        target = self.machine(engine, args=["-incoming", self.uri()])
        target.qmp("query-status")
        source.qmp("migrate", uri=self.uri())
        self.wait_migrated(source, "completed")
        target.wait_for_writes(50)
        return target

    def chain(self, engines):
        """From each engine's machine to the next one's."""
        machines = [self.source(engines[0])]
        for engine in engines[1:]:
            machines.append(self.migrate(machines[-1], engine))
            self.assertEqual(machines[-2].quit(), 0)
        machines[-1].stop_writing()
        _, refused = check_written(self, engines[-1].variables(), *machines)
        self.assertEqual(refused, [])
        return machines[-1]

    def test_one_store(self):
        engines = [self.engine(name, "shared.json") for name in ("one", "two", "three")]
        last = self.chain(engines)
        self.assertEqual(last.set("After", 7, b"move"), "0")

    def test_two_stores(self):
        engines = [self.engine(name) for name in ("one", "two")]
        self.chain(engines)
        self.assertFalse(os.path.exists(f"{self.folder}/.uefivarsfs/two.json.journal.conflict-1"))

    def test_there_and_back(self):
        """The engine that let go takes the store again, as the target of the way back."""
        one, two = self.engine("one", "shared.json"), self.engine("two", "shared.json")
        self.chain([one, two, one])

    def test_session_goes_along(self):
        """Phases and volatile variables."""
        one, two = self.engine("one"), self.engine("two")
        source = self.machine(one)
        source.ready()
        self.assertEqual(source.set("Volatile", 6, b"v"), "0")
        self.assertEqual(source.ask("event exit-boot-services")[1], "0")
        source.write(0)
        source.wait_for_writes(5)
        target = self.migrate(source, two)
        target.stop_writing()
        self.assertEqual(target.get("Volatile"), ("0", 6, b"v"))
        self.assertNotEqual(target.set("BootOnly", 3, b"b"), "0")

    def test_cancelled(self):
        one, two = self.engine("one", "shared.json"), self.engine("two", "shared.json")
        source = self.source(one)
        for _ in range(3):
            target = self.machine(two, args=["-incoming", self.uri()])
            target.qmp("query-status")
            source.qmp("migrate-set-parameters", max_bandwidth=100000)
            source.qmp("migrate", uri=self.uri())
            self.wait_migrated(source, "active")
            source.wait_for_writes(20)
            source.qmp("migrate_cancel")
            self.wait_migrated(source, "cancelled")
            source.wait_for_writes(50)
            target.close()
        source.stop_writing()
        check_written(self, one.variables(), source)

    def test_cancelled_at_the_last_moment(self):
        one, two = self.engine("one", "shared.json"), self.engine("two", "shared.json")
        source = self.source(one)
        source.qmp("migrate-set-capabilities", capabilities=[
            {"capability": "pause-before-switchover", "state": True}])
        target = self.machine(two, args=["-incoming", self.uri()])
        target.qmp("query-status")
        source.qmp("migrate", uri=self.uri())
        self.wait_migrated(source, "pre-switchover")
        source.qmp("migrate_cancel")
        self.wait_migrated(source, "cancelled")
        source.wait_for_writes(50)
        source.stop_writing()
        check_written(self, one.variables(), source)

    def test_target_that_can_not_load(self):
        """The source has let go by then: it goes on when it is told to."""
        for name, store in ("shared", "shared.json"), ("other", None):
            with self.subTest(name):
                one = self.engine(f"{name}-one", store)
                two = self.engine(f"{name}-two", store)
                source = self.source(one)
                target = self.machine(two, args=["-incoming", self.uri(name)])
                target.qmp("query-status")
                two.stop()
                source.qmp("migrate", uri=self.uri(name))
                self.assertEqual(target.wait(30), 1)
                self.assertIn("did not take the state", target.stderr())
                self.wait_migrated(source, "completed", "failed")
                source.qmp("cont")
                source.wait_for_writes(50)
                source.stop_writing()
                _, refused = check_written(self, one.variables(), source)
                self.assertEqual(refused, [])

    def test_engine_that_can_not_save(self):
        """The migration fails, the source does not."""
        one, two = self.engine("one"), self.engine("two")
        source = self.source(one)
        source.stop_writing()
        target = self.machine(two, args=["-incoming", self.uri()])
        target.qmp("query-status")
        one.stop()
        source.qmp("migrate", uri=self.uri())
        self.wait_migrated(source, "failed")
        told = source.stderr()
        if source.qmp("query-version")["qemu"]["major"] >= 11:
            told = source.qmp("query-migrate")["error-desc"]
        self.assertIn("can't be saved: can't connect", told)
        one.start()
        source.write(100000)
        source.wait_for_writes(20)
        source.stop_writing()
        check_written(self, one.variables(), source)


class Snapshots(Migration):
    """Only its own tests: the helpers are what is inherited."""

    def snapshot_machine(self, engine):
        disk = f"{self.folder}/disk.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "16M"], check=True)
        machine = self.machine(engine, args=["-drive", f"if=none,id=d,file={disk},format=qcow2"])
        machine.ready()
        machine.write(0)
        machine.wait_for_writes(50)
        return machine

    def test_savevm_loadvm(self):
        engine = self.engine("one")
        machine = self.snapshot_machine(engine)
        for number in range(3):
            self.assertEqual(machine.hmp(f"savevm s{number}"), "")
            machine.wait_for_writes(100)
        for number in (2, 0, 1):
            self.assertEqual(machine.hmp(f"loadvm s{number}"), "")
            machine.wait_for_writes(60)
        machine.stop_writing()
        # It went back, and wrote the same numbers again: each is there once all the same.
        found = written(engine.variables())
        self.assertEqual(found, list(range(len(found))))
        self.assertGreater(len(found), 150)
        self.assertTrue(os.path.exists(f"{self.folder}/.uefivarsfs/one.json.before-load"))

    def test_started_from_a_snapshot(self):
        """-loadvm: another process, and no migration that comes in."""
        engine = self.engine("one")
        machine = self.snapshot_machine(engine)
        self.assertEqual(machine.hmp("savevm s"), "")
        machine.wait_for_writes(50)
        self.assertEqual(machine.quit(), 0)
        again = self.machine(engine, args=[
            "-drive", f"if=none,id=d,file={self.folder}/disk.qcow2", "-loadvm", "s"])
        again.wait_for_writes(50)
        again.stop_writing()
        found = written(engine.variables())
        self.assertEqual(found, list(range(len(found))))

    def test_loadvm_with_the_engine_gone(self):
        engine = self.engine("one")
        machine = self.snapshot_machine(engine)
        machine.stop_writing()
        self.assertEqual(machine.hmp("savevm s"), "")
        engine.stop()
        self.assertIn("rror", machine.hmp("loadvm s"))
        engine.start()
        self.assertNotIn("rror", machine.hmp("loadvm s"))
        machine.qmp("cont")
        self.assertEqual(machine.set("After", 7, b"x"), "0")


class Refusals(Migration):
    """Only its own tests, too."""

    def test_stock_devices(self):
        engine = self.engine("one")
        for ours_is_source in True, False:
            with self.subTest(ours_is_source=ours_is_source):
                stream = self.uri(f"stock-{ours_is_source}")
                devices = [f"uefi-vars-x64,socket={engine.socket}",
                           f"uefi-vars-x64,jsonfile={self.folder}/stock.json"]
                with Qemu(devices[not ours_is_source], ours=ours_is_source, qtest=False) as source, \
                        Qemu(devices[ours_is_source], ours=not ours_is_source, qtest=False,
                             args=["-incoming", stream]) as target:
                    target.qmp("query-status")
                    source.qmp("migrate", uri=stream)
                    self.assertNotEqual(target.wait(30), 0)
                    self.assertRegex(target.stderr(), "uefivars-engine|uefi-vars-sysbus")
                    self.assertIsNone(source.process.poll())
                    source.quit()

    def saved(self):
        """A stream of a machine that is stopped, and where the blob is in it."""
        path = f"{self.folder}/saved"
        with Engine(self.folder, name="saving") as engine, \
                Qemu(f"uefi-vars-x64,socket={engine.socket}", qtest=False) as source:
            source.qmp("migrate", uri=f"exec:cat > {path}")
            self.wait_migrated(source, "completed")
        with open(path, "rb") as file:
            stream = file.read()
        with Engine(self.folder, name="asking") as engine, engine.guest() as guest:
            magic = guest.hello().save()[:4]
        at = stream.rindex(magic, stream.index(b"uefivars-engine"),
                           stream.index(b"uefivars-engine") + 5000)
        return path, stream, at

    def refused(self, path, stream, *expected):
        with open(path, "wb") as file:
            file.write(stream)
        with Engine(self.folder, name="loading", store="loading.json") as engine, \
                Qemu(f"uefi-vars-x64,socket={engine.socket}", qtest=False,
                     args=["-incoming", f"exec:cat {path}"]) as target:
            self.assertEqual(target.wait(30), 1)
            for text in expected:
                self.assertIn(text, target.stderr())
            self.assertEqual([name for name in engine.variables() if "Log" in name], [])

    def test_hostile_streams(self):
        path, stream, at = self.saved()
        size, = struct.unpack_from(">I", stream, at - 4)
        self.assertEqual(stream[at + size:at + size + 1], b"\x7e", "no footer after the blob")

        def patched(offset, data):
            return stream[:offset] + data + stream[offset + len(data):]

        for length in (16 * 1024 * 1024 + 1, 0x7FFFFFFF, 0xFFFFFFFF):
            self.refused(path, patched(at - 4, struct.pack(">I", length)),
                         "state of the engine of at most 16777216 bytes")
        for length in (65537, 0xFFFFFFFF):
            self.refused(path, patched(at - 8, struct.pack(">I", length)),
                         "transfer buffer of at most 65536 bytes")
        self.refused(path, patched(at + size // 2, b"\xff\xfe\xfd"), "did not take the state")
        self.refused(path, patched(at - 4, struct.pack(">I", 0)))

    def test_largest_state(self):
        """16 MiB, and not a byte more."""
        engine = fakeengine.FakeEngine()
        self.addCleanup(engine.close)
        device = f"uefi-vars-x64,socket={engine.path}"
        state = os.urandom(4096) * 4096
        path = f"{self.folder}/large"
        with Qemu(device, qtest=False) as source:
            engine.answers[uv.SAVE] = lambda _: state + b"x"
            source.qmp("migrate", uri=f"exec:cat > {path}")
            self.wait_migrated(source, "failed")
            engine.answers[uv.SAVE] = lambda _: state
            source.qmp("migrate", uri=f"exec:cat > {path}")
            self.wait_migrated(source, "completed")
        engine.frames.clear()
        with Qemu(device, qtest=False, args=["-incoming", f"exec:cat {path}"]) as target:
            self.wait_for(lambda: target.qmp("query-status")["status"] != "inmigrate")
        self.assertEqual([payload for _, type_, payload in engine.frames if type_ == uv.LOAD],
                         [state])

    def wait_for(self, there):
        end = time.monotonic() + 20
        while not there():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_version(self):
        path, stream, _ = self.saved()
        at = stream.index(b"uefivars-engine") + len("uefivars-engine")
        self.assertEqual(stream[at + 4:at + 8], struct.pack(">I", 1))
        self.refused(path, stream[:at + 4] + struct.pack(">I", 2) + stream[at + 8:], "version")


def load_tests(loader, tests, pattern):
    """Each class' own tests: those of Migration are not run again in what inherits its helpers."""
    suite = unittest.TestSuite()
    for case in (Migration, Snapshots, Refusals):
        for name in loader.getTestCaseNames(case):
            if name in vars(case):
                suite.addTest(case(name))
    return suite


if __name__ == "__main__":
    need(engine=True)
    need_guest("x86_64")
    unittest.main()
