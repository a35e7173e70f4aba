#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Random register accesses, with messages in guest memory that are nearly right: QEMU and the engine
stay up, and both still work at the end.

usage: test-fuzz.py [ACCESSES [SEED]]"""

import base64
import os
import random
import struct
import sys
import tempfile
import time

from machines import Engine
from qemu import (ADDRESS_HIGH, ADDRESS_LOW, BUFFER_SIZE, COMMAND, WINDOW, DeviceGuest, Qemu,
                  X64_BASE, need, uv)

ROUND = 100
MEMORY = 0x100000
EDGES = (0, 1, 2, 3, 4, 16, 23, 24, 40, 0x7F, 0x80, 0xFF, 0x1000, 0xFFFF, 0x10000, 0x10001,
         0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 64) - 24, (1 << 64) - 1)
LETTER = {1: "b", 2: "w", 4: "l", 8: "q"}
EVENTS = (uv.EVENT_END_OF_DXE, uv.EVENT_READY_TO_BOOT, uv.EVENT_EXIT_BOOT_SERVICES)


def message(rng):
    name = rng.choice(("Foo", "Bar", "", "PK", "db", "SetupMode", "Boot0000", "x" * 300))
    guid = rng.choice((uv.TEST, uv.GLOBAL, uv.IMAGE_SECURITY))
    data = rng.randbytes(rng.choice((0, 1, 4, 40, 300, 3000)))
    return rng.choice((
        lambda: uv.mm_set(name, guid, rng.choice((0, 2, 3, 6, 7, 0x27, 0x47, 0x67)), data),
        lambda: uv.mm_get(name, guid, rng.choice((0, 10, 4096, 60000))),
        lambda: uv.mm_next(name, guid, rng.choice((0, 2, 100, 2048))),
        lambda: uv.mm_query(rng.randrange(256)),
        lambda: uv.mm_lock(name, guid),
        lambda: uv.mm_policy(rng.randrange(9), data, room=rng.choice((0, 100, 16340))),
        lambda: uv.mm_policy(3, uv.policy_entry(name or "N", guid, lock=rng.randrange(5))),
        lambda: uv.mm_variable(rng.randrange(16), data),
        lambda: uv.mm_message(rng.choice(EVENTS), b""),
    ))()


def mutated(rng):
    data = bytearray(message(rng)[:65536])
    for _ in range(rng.choice((0, 0, 1, 1, 3, 10))):
        at = rng.randrange(len(data))
        if rng.random() < 0.5:
            data[at] ^= 1 << rng.randrange(8)
        else:
            value = struct.pack("<Q", rng.choice(EDGES))[:rng.choice((1, 2, 4, 8))]
            data[at:at + len(value)] = value[:len(data) - at]
    return bytes(data)


def access(rng):
    size = rng.choice((1, 2, 4, 8))
    offset = rng.choice((rng.randrange(0, 0x20, size), COMMAND, BUFFER_SIZE, WINDOW))
    offset -= offset % size
    address = X64_BASE + offset
    if rng.random() < 0.4:
        return f"read{LETTER[size]} {address:#x}"
    if offset == COMMAND:
        value = rng.choice((1, 2, 2, 2, 3, 3, 4, rng.randrange(65536)))
        size = 2
    elif offset in (ADDRESS_LOW, ADDRESS_HIGH):
        value = rng.choice((MEMORY, 0, 0xFFFFFFFF, X64_BASE, 0xFEC00000, rng.randrange(1 << 32)))
    elif offset == BUFFER_SIZE:
        value = rng.choice((65536, 65536, rng.choice(EDGES) & 0xFFFFFFFF))
    else:
        value = rng.choice((rng.choice(EDGES), rng.randrange(1 << 64)))
    return f"write{LETTER[size]} {address:#x} {value & (1 << 8 * size) - 1:#x}"


def round_of(rng):
    """A message where DMA will find it, one in the transfer buffer, a command, and random accesses."""
    there = mutated(rng)
    lines = [f"b64write {MEMORY:#x} {len(there):#x} {base64.b64encode(there).decode()}",
             f"writew {X64_BASE + COMMAND:#x} 0x1", f"writel {X64_BASE + BUFFER_SIZE:#x} 0x10000",
             f"writel {X64_BASE + ADDRESS_LOW:#x} {MEMORY:#x}",
             f"writel {X64_BASE + ADDRESS_HIGH:#x} 0x0", f"writew {X64_BASE + COMMAND:#x} 0x4"]
    data = mutated(rng)[:200]
    for at in range(0, len(data) - 7, 8):
        value, = struct.unpack_from("<Q", data, at)
        lines.append(f"writeq {X64_BASE + WINDOW:#x} {value:#x}")
    lines.append(f"writew {X64_BASE + COMMAND:#x} {rng.choice((2, 3)):#x}")
    return lines + [access(rng) for _ in range(ROUND - len(lines))]


def main():
    need(engine=True)
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "little")
    rng = random.Random(seed)
    print(f"{total} accesses, seed {seed}", file=sys.stderr, flush=True)
    with open(os.devnull, "wb") as nowhere, \
            tempfile.TemporaryDirectory(prefix="uv-fuzz-") as folder, \
            Engine(folder, stderr=nowhere) as engine, \
            Qemu(f"uefi-vars-x64,socket={engine.socket}") as qemu:
        pid, done, start = engine.process.pid, 0, time.monotonic()
        while done < total:
            done += len(qemu.lines(round_of(rng)))
            if rng.random() < 0.001:
                qemu.qmp("system_reset")
            if engine.process.poll() is not None:
                sys.exit(f"the engine ended with {engine.process.returncode} after {done}, "
                         f"seed {seed}")
        took = time.monotonic() - start
        qemu.qmp("system_reset")
        guest = DeviceGuest(qemu)
        assert guest.set("After", uv.TEST, 7, b"all") == uv.SUCCESS
        assert guest.get("After", uv.TEST, room=64) == (uv.SUCCESS, 7, b"all")
        assert "no answer" not in qemu.stderr(), qemu.stderr()
        assert engine.process.pid == pid
        assert qemu.quit() == 0
    print(f"{done} accesses in {took:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
