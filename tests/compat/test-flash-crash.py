# SPDX-License-Identifier: GPL-2.0-or-later
"""A crash at any moment: the writes of random edits are recorded, and the image is made as it would
be after every one of them, with the writes since the last barrier in any subset and the last of
them torn at every 512 bytes. Each acknowledged edit must be there and the unfinished one old or new.

virt-fw-vars reads no records in deleted transition: where the old value is in one (that is what
edk2 finds then), the one variable that is being changed may be missing for it, until the next write
has recovered the store."""

import itertools
import os
import random
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import uvflash  # noqa: E402
from uvflash import GUID, Tool, virt_fw_vars, virt_fw_vars_bytes  # noqa: E402

if not uvflash.have_virt_firmware():
    uvflash.skip("python3-virt-firmware is not installed")
if not uvflash.DEBIAN_VARS:
    uvflash.skip("ovmf is not installed")

EDITS = 300 if "--long" in sys.argv else 60
TEAR = 512
RECOVER_EVERY = 7


def tears(offset, data):
    """The write as far as whole sectors of it came: from the front, and from the back."""
    first = TEAR - offset % TEAR
    for cut in range(first, len(data), TEAR):
        yield offset, data[:cut]
        yield offset + cut, data[cut:]


def records(image):
    """(state, name, GUID) of each record, walked as edk2 does: in state 0xff none has a body."""
    at = 0x48
    end = at + struct.unpack_from("<I", image, at + 16)[0]
    at += 28
    while at + 60 <= end and image[at:at + 2] == b"\xaa\x55":
        state = image[at + 2]
        name, data = struct.unpack_from("<II", image, at + 36)
        if state == 0xff:
            name = data = 0
        yield state, bytes(image[at + 44:at + 60 + name])
        at += (60 + name + data + 3) & ~3


def confuses_edk2(image):
    """Two records of one variable that count: edk2's Reclaim would keep the older one, or both."""
    added, leaving = {}, {}
    for state, key in records(image):
        if state == 0x3f:
            added[key] = added.get(key, 0) + 1
        elif state == 0x3e:
            leaving[key] = leaving.get(key, 0) + 1
    return any(n > 1 for n in added.values()) or \
        any(n > 1 for key, n in leaving.items() if key not in added)


class Crash(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.addCleanup(folder.cleanup)
        self.log = os.path.join(folder.name, "log")
        self.path = os.path.join(folder.name, "image.fd")
        self.blank = os.path.join(folder.name, "blank.fd")
        uvflash.small_image(self.blank)
        self.states = 0
        self.hidden = 0
        self.reader = Tool()
        self.addCleanup(self.reader.close)

    def record(self, seed, in_place, edits):
        """Returns what is there after each edit; with the log, that is the test's input."""
        chance = random.Random(seed)
        tool = Tool("--record", self.log, self.blank)
        self.assertEqual(tool.opened, "ok")
        if in_place:
            tool.ask("in-place")
        now = tool.dump()
        history = [dict(now)]
        for i in range(edits):
            # The same one again and again now and then: its deletions are not durable by then.
            if not 1 <= i % 10 <= 4:
                name = f"Test{chance.randrange(8)}"
            size = chance.choice((1, 30, 30, 700, 2500, 6000))
            if (name, GUID) in now and chance.random() < 0.2:
                self.assertEqual(tool.delete(name), "ok")
                del now[name, GUID]
            elif chance.random() < 0.1:
                data = chance.randbytes(40)
                first, second = (f"Pair{i}", GUID), ("PairIndex", GUID)
                self.assertEqual(tool.ask(f"both PairIndex {GUID} 7 {data.hex()} "
                                          f"{first[0]} {GUID} 7 {data.hex()}"), "ok")
                now[second] = now[first] = (7, "00" * 16, data.hex())
            else:
                data = chance.randbytes(size)
                self.assertEqual(tool.set(name, data), "ok")
                now[name, GUID] = (7, "00" * 16, data.hex())
            history.append(dict(now))
        tool.close()
        return history

    def allowed(self, old, new):
        """Old, new, and for a change of two variables the first of them alone."""
        both = [old, new]
        changed = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
        if len(changed) == 2:
            both.append({**old, ("PairIndex", GUID): new["PairIndex", GUID]})
        return both

    def check(self, image, old, new, by_virt_fw_vars):
        with open(self.path, "wb") as file:
            file.write(image)
        self.assertEqual(self.reader.ask(f"open {self.path}"), "ok")
        ours = self.reader.dump()
        self.assertIn(ours, self.allowed(old, new))
        self.states += 1
        if by_virt_fw_vars:
            self.assertFalse(confuses_edk2(image))
            theirs = virt_fw_vars_bytes(bytes(image))
            if theirs != ours:
                missing = {key for key in ours if key not in theirs}
                self.hidden += 1
                self.assertEqual(theirs, {k: v for k, v in ours.items() if k not in missing})
                self.assertTrue(all(old.get(key) != new.get(key) for key in missing), missing)
        if self.states % RECOVER_EVERY == 0:
            self.assertEqual(self.reader.set("Recovered", b"yes"), "ok")
            ours["Recovered", GUID] = (7, "00" * 16, b"yes".hex())
            self.assertEqual(self.reader.dump(), ours)
            self.reader.ask("open -")
            self.assertEqual(virt_fw_vars(self.path), ours)

    def crash(self, durable, pending, old, new, by_virt_fw_vars):
        """All subsets of the pending writes, the last of them whole or torn."""
        for size in range(len(pending) + 1):
            for subset in itertools.combinations(pending, size):
                image = bytearray(durable)
                for offset, data in subset:
                    image[offset:offset + len(data)] = data
                self.check(image, old, new, by_virt_fw_vars)
        if not pending:
            return
        for offset, data in tears(*pending[-1]):
            for rest in ([], pending[:-1]):
                image = bytearray(durable)
                for at, bytes_ in [*rest, (offset, data)]:
                    image[at:at + len(bytes_)] = bytes_
                self.check(image, old, new, by_virt_fw_vars)

    def replay(self, history, by_virt_fw_vars):
        with open(self.blank, "rb") as file:
            durable = bytearray(file.read())
        pending = []
        done = 0
        for kind, offset, data in uvflash.read_log(self.log):
            old, new = history[done], history[min(done + 1, len(history) - 1)]
            if kind == "W":
                pending.append((offset, data))
                self.crash(durable, pending, old, new, by_virt_fw_vars)
            elif kind == "A":
                done += 1
                self.crash(durable, pending, history[done], history[done], True)
            else:
                for at, bytes_ in pending:
                    durable[at:at + len(bytes_)] = bytes_
                pending = []
                if kind == "R":
                    durable = bytearray(data)
        self.assertEqual(done, len(history) - 1)
        print(f"{done} edits, {self.states} images, virt-fw-vars without the one in transition in "
              f"{self.hidden}")

    def test_appends_and_new_files(self):
        self.replay(self.record("rename", False, EDITS), True)

    def test_in_place(self):
        # Only edk2 and we know of the spare area; virt-fw-vars is asked after each edit.
        self.replay(self.record("in place", True, max(EDITS // 3, 20)), False)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
