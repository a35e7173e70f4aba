#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine and the front killed again and again under a guest that writes all the time: no
acknowledged write is lost, none is there twice, and the guest never waits 5 s."""

import random
import sys
import time
import unittest

from machines import Engine, Machine, check_written, folder_of, need_guest
from qemu import need, uv
import uvmount

ROUNDS = 50 if "--long" in sys.argv else 5
LIMIT = 5.0


class Kill(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(1)

    def machine(self, socket):
        machine = Machine(socket)
        self.addCleanup(machine.close)
        machine.ready()
        machine.write(0)
        machine.wait_for_writes(20)
        return machine

    def pause(self):
        time.sleep(self.random.uniform(0.01, 0.1))

    def finish(self, machine, variables):
        machine.wait_for_writes(20)
        machine.stop_writing()
        acknowledged, refused = check_written(self, variables(), machine)
        print(f"{self.id().split('.')[-1]}: {ROUNDS} rounds, {len(acknowledged)} writes, "
              f"{len(refused)} refused, longest wait {machine.longest_gap:.2f} s",
              file=sys.stderr)
        self.assertLess(machine.longest_gap, LIMIT)
        # One request is under way when its engine dies; those after it wait for the next engine.
        self.assertLessEqual(len(refused), 2 * ROUNDS)
        return refused

    def test_engine(self):
        engine = Engine(folder_of(self))
        self.addCleanup(engine.stop)
        machine = self.machine(engine.socket)
        for _ in range(ROUNDS):
            engine.kill()
            self.pause()
            engine.start()
            machine.wait_for_writes(self.random.randrange(1, 50))
        self.finish(machine, engine.variables)

    def mount(self):
        uvmount.need_mount()
        scratch = uvmount.Scratch()
        self.addCleanup(scratch.__exit__, None, None, None)
        source = scratch.path / "source"
        source.mkdir()
        (source / "g.json").write_text(uvmount.store_text())
        return scratch.mount(source)

    def variables(self, mount):
        """As the mount's files have them."""
        found = {}
        for path in mount.vars("g").iterdir():
            content = path.read_bytes()
            found[path.name] = (int.from_bytes(content[:4], "little"), content[4:])
        return found

    def test_front(self):
        """The guest does not even notice."""
        mount = self.mount()
        machine = self.machine(str(mount.guest("g") / "mm.sock"))
        for _ in range(ROUNDS):
            mount.kill()
            machine.wait_for_writes(self.random.randrange(1, 20))
            mount.start()
            machine.wait_for_writes(self.random.randrange(1, 20))
        self.assertEqual(self.finish(machine, lambda: self.variables(mount)), [])

    def test_engine_of_a_front(self):
        """The next request finds another one behind the same socket."""
        mount = self.mount()
        machine = self.machine(str(mount.guest("g") / "mm.sock"))
        for _ in range(ROUNDS):
            mount.kill_engine("g")
            machine.wait_for_writes(self.random.randrange(1, 50))
        self.finish(machine, lambda: self.variables(mount))

    def test_both(self):
        mount = self.mount()
        machine = self.machine(str(mount.guest("g") / "mm.sock"))
        for _ in range(max(3, ROUNDS // 5)):
            mount.kill()
            for pid in mount.engines():
                uvmount.os.kill(pid, uvmount.signal.SIGKILL)
            self.pause()
            mount.start()
            machine.wait_for_writes(20)
        self.finish(machine, lambda: self.variables(mount))

    def test_chain_with_the_mount(self):
        """What either side writes, the other reads, through the mount's files."""
        mount = self.mount()
        machine = self.machine(str(mount.guest("g") / "mm.sock"))
        machine.stop_writing()
        for number in range(20):
            data = bytes([number]) * (number + 1)
            self.assertEqual(machine.set("FromGuest", 7, data), "0")
            self.assertEqual(mount.read("g", "FromGuest"), (7, data))
            mount.write("g", "FromHost", data)
            self.assertEqual(machine.get("FromHost"), ("0", 7, data))
        (mount.vars("g") / f"FromHost-{uv.TEST}").unlink()
        self.assertNotEqual(machine.get("FromHost")[0], "0")
        self.assertEqual(machine.delete("FromGuest"), "0")
        self.assertFalse((mount.vars("g") / f"FromGuest-{uv.TEST}").exists())


if __name__ == "__main__":
    need(engine=True)
    need_guest("x86_64")
    unittest.main(argv=[word for word in sys.argv if word != "--long"])
