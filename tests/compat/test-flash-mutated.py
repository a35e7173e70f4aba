# SPDX-License-Identifier: GPL-2.0-or-later
"""A thousand damaged images: each is refused with an offset, or served; looking never writes one, and
one whose damage is seen is not written when asked to."""

import os
import random
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import uvflash  # noqa: E402
from uvflash import Tool  # noqa: E402

IMAGE = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
COUNT = 1000

if not os.path.exists(IMAGE):
    uvflash.skip("ovmf is not installed")


def interesting(data):
    """Where a change matters most: headers, the first records, the working block."""
    records = 0x48 + 28
    return [range(0x48), range(0x48, records), range(records, records + 0x4000),
            range(len(data) // 2 - 0x1000, len(data) // 2 - 0x1000 + 256), range(len(data))]


def mutate(chance, original):
    data = bytearray(original)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.choice(chance.choice(interesting(data)))
        kind = chance.randrange(5)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[at] = chance.choice((0, 0xff, 0x3f, 0x3e, 0x7f))
        elif kind == 2:
            data[at:at + 4] = chance.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f"))
        elif kind == 3:
            size = chance.randrange(1, 2000)
            data[at:at + size] = chance.randbytes(len(data[at:at + size]))
        else:
            size = chance.randrange(1, 2000)
            data[at:at + size] = b"\xff" * len(data[at:at + size])
    if chance.random() < 0.05:
        del data[chance.randrange(len(data)):]
    return bytes(data)


class Mutated(unittest.TestCase):
    def test_never_crashes_and_is_never_written(self):
        chance = random.Random(6)
        refused = damaged = served = 0
        tool = Tool()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "image.fd")
            uvflash.small_image(path)
            originals = []
            for one in (path, IMAGE):
                with open(one, "rb") as file:
                    originals.append(file.read())
            for i in range(COUNT):
                shutil.rmtree(os.path.join(folder, ".uefivarsfs"), ignore_errors=True)
                data = mutate(chance, originals[i % len(originals)])
                with open(path, "wb") as file:
                    file.write(data)
                answer = tool.ask(f"open {path}")
                if answer.startswith("error"):
                    self.assertRegex(answer, "^error 0 .*offset 0x|the file ends", i)
                    refused += 1
                else:
                    self.assertIsInstance(tool.dump(), dict)
                    if "damaged" in tool.ask("state"):
                        self.assertRegex(tool.set("New", b"new"), "^error 1 .*offset 0x")
                        damaged += 1
                    else:
                        served += 1
                with open(path, "rb") as file:
                    self.assertEqual(file.read(), data, i)
        tool.close()
        print(f"{refused} refused, {damaged} read-only, {served} with nothing to see")
        self.assertGreater(refused, 50)
        self.assertGreater(damaged, 50)


if __name__ == "__main__":
    unittest.main()
