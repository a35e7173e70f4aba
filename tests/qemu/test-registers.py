#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every register and both transfer modes; and the same accesses on QEMU's own device give the same
values, except where DIFFERENCES says so."""

import os
import struct
import unittest

import fakeengine
from qemu import (ADDRESS_HIGH, ADDRESS_LOW, BUFFER_SIZE, COMMAND, CRC, FLAGS, MAGIC, MM_DMA, MM_PIO,
                  PIO_ZERO, RESET, STATUS, WINDOW, DeviceGuest, Qemu, X64_BASE, crc32c, need, uv)

IOAPIC = 0xFEC00000
ROM = 0xFFFC0000

# What our device answers otherwise than QEMU's, and why. (Name of the step: reason)
DIFFERENCES = {
    "window 8 bits": "moves one byte; QEMU's device two",
    "window 64 bits": "moves eight bytes; QEMU's device four, and drops the upper half",
    "crc beyond a smaller buffer": "is 0, as in later QEMU",
    "a new buffer is zero": "as in later QEMU",
    "dma from nowhere": "guest memory that can't be read is no request; QEMU takes it for zeroes",
    "dma from another device": "only memory is read; QEMU reads the device's registers",
}


def header_only(length):
    return bytes(16) + struct.pack("<Q", length)


class Steps:
    """Runs one access after the other, and keeps what was read under the step's name."""

    def __init__(self, qemu):
        self.qemu, self.seen = qemu, {}

    def read(self, name, offset, size):
        self.seen[name] = self.qemu.load(X64_BASE + offset, size)

    def write(self, offset, value, size):
        self.qemu.store(X64_BASE + offset, size, value)

    def command(self, name, command):
        self.write(COMMAND, command, 2)
        self.read(name, STATUS, 2)


def all_registers(steps):
    steps.read("magic", MAGIC, 2)
    steps.read("magic 32 bits", MAGIC, 4)
    steps.read("magic 8 bits", MAGIC, 1)
    steps.read("status at first", STATUS, 2)
    for offset in (BUFFER_SIZE, ADDRESS_LOW, ADDRESS_HIGH, CRC, FLAGS):
        steps.read(f"register {offset:#x} at first", offset, 4)
    for size in (0, 1, 23, 24, 4096, 65536, 65537, 0xFFFFFFFF):
        steps.write(BUFFER_SIZE, size, 4)
        steps.read(f"size {size}", BUFFER_SIZE, 4)
    steps.write(BUFFER_SIZE, 0x1234, 2)
    steps.read("size by 16 bits", BUFFER_SIZE, 4)
    for offset in (ADDRESS_LOW, ADDRESS_HIGH):
        steps.write(offset, 0x89ABCDEF, 4)
        steps.read(f"address {offset:#x}", offset, 4)
        steps.write(offset, 0x4567, 2)
        steps.read(f"address {offset:#x} by 16 bits", offset, 4)
    for offset in (MAGIC, CRC, FLAGS):
        steps.write(offset, 0xFFFF, 2)
        steps.read(f"read-only {offset:#x}", offset, 2)
    for offset in (0x14, 0x06, 0x0A, 0x1E):
        steps.read(f"nothing at {offset:#x}", offset, 2)
    steps.read("64 bits at 0", MAGIC, 8)
    steps.read("64 bits at 8", ADDRESS_LOW, 8)
    for command in (0, 5, 0x1234, 0xFFFF):
        steps.command(f"command {command:#x}", command)
    steps.command("reset", RESET)
    for offset in (BUFFER_SIZE, ADDRESS_LOW, ADDRESS_HIGH):
        steps.read(f"register {offset:#x} after reset", offset, 4)


def window(steps):
    steps.command("reset of the window", RESET)
    steps.read("window without a buffer", WINDOW, 4)
    steps.command("zero without a buffer", PIO_ZERO)
    steps.read("crc without a buffer", CRC, 4)
    steps.write(BUFFER_SIZE, 18, 4)
    for number in range(6):
        steps.write(WINDOW, 0x11223344 + number, 4)
    steps.read("crc, 16 of 18 bytes", CRC, 4)
    steps.read("window 32 bits at the end", WINDOW, 4)
    steps.write(WINDOW, 0x5566, 2)
    steps.read("crc, 18 of 18 bytes", CRC, 4)
    steps.read("window at the end", WINDOW, 2)
    steps.command("zero", PIO_ZERO)
    steps.read("crc of nothing", CRC, 4)
    for number in range(4):
        steps.read(f"window read {number}", WINDOW, 4)
    steps.read("window 16 bits", WINDOW, 2)
    steps.read("crc of what was read", CRC, 4)
    steps.write(BUFFER_SIZE, 16, 4)
    steps.read("crc beyond a smaller buffer", CRC, 4)
    steps.read("window beyond a smaller buffer", WINDOW, 2)
    steps.command("zero again", PIO_ZERO)
    steps.read("a new buffer is zero", WINDOW, 4)


def transfers(steps):
    """Lengths that do not fit: nothing reaches an engine."""
    steps.write(BUFFER_SIZE, 64, 4)
    steps.write(ADDRESS_LOW, 0x100000, 4)
    steps.write(ADDRESS_HIGH, 0, 4)
    for length in (41, 65, 1 << 32, (1 << 64) - 24, (1 << 64) - 1):
        steps.qemu.write(0x100000, header_only(length))
        steps.command(f"dma, length {length:#x}", MM_DMA)
        steps.command("zero for pio", PIO_ZERO)
        for offset in range(0, 24, 4):
            steps.write(WINDOW, struct.unpack_from("<I", header_only(length), offset)[0], 4)
        steps.command(f"pio, length {length:#x}", MM_PIO)
    for size in (0, 16, 23):
        steps.write(BUFFER_SIZE, size, 4)
        steps.command(f"dma, buffer {size}", MM_DMA)
        steps.command(f"pio, buffer {size}", MM_PIO)
    steps.write(BUFFER_SIZE, 64, 4)
    steps.write(ADDRESS_HIGH, 0x80, 4)
    steps.command("dma from nowhere", MM_DMA)
    steps.write(ADDRESS_HIGH, 0, 4)
    steps.write(ADDRESS_LOW, IOAPIC, 4)
    steps.command("dma from another device", MM_DMA)


class Registers(unittest.TestCase):
    def setUp(self):
        self.engine = fakeengine.FakeEngine()
        self.addCleanup(self.engine.close)
        self.ours = Qemu(f"uefi-vars-x64,socket={self.engine.path}")
        self.addCleanup(self.ours.close)
        store = os.path.join(self.engine.folder, "vars.json")
        self.stock = Qemu(f"uefi-vars-x64,jsonfile={store}", ours=False)
        self.addCleanup(self.stock.close)

    def both(self, run):
        ours, stock = Steps(self.ours), Steps(self.stock)
        run(ours)
        run(stock)
        differing = {name for name in ours.seen if ours.seen[name] != stock.seen[name]}
        self.assertLessEqual(differing, set(DIFFERENCES))
        return ours.seen

    def test_registers_as_qemu(self):
        seen = self.both(all_registers)
        self.assertEqual(seen["magic"], 0xEF1)
        self.assertEqual(seen["size 65537"], 65536)
        self.assertEqual(seen["command 0x5"], uv.DEVICE_NOT_SUPPORTED)
        self.assertEqual(seen["register 0x4 after reset"], 0)

    def test_window_as_qemu(self):
        seen = self.both(window)
        written = b"".join(struct.pack("<I", 0x11223344 + number) for number in range(4))
        self.assertEqual(seen["crc, 16 of 18 bytes"], crc32c(written))
        self.assertEqual(seen["window 32 bits at the end"], 0)
        self.assertEqual(seen["window read 3"], 0x11223347)
        self.assertEqual(seen["crc beyond a smaller buffer"], 0)
        self.assertEqual(seen["a new buffer is zero"], 0)

    def test_transfers_as_qemu(self):
        self.engine.frames.clear()
        seen = self.both(transfers)
        for name, status in seen.items():
            if not name.startswith("zero"):
                self.assertEqual(status, uv.DEVICE_BAD_BUFFER_SIZE, name)
        self.assertNotIn(uv.MM, self.engine.types())

    def test_flags(self):
        self.assertEqual(self.ours.load(X64_BASE + FLAGS, 4), 0)
        for ours, device in ((True, f"socket={self.engine.path}"), (False, "size=256k")):
            with Qemu(f"uefi-vars-x64,{device},use-pio=on", ours=ours) as qemu:
                self.assertEqual(qemu.load(X64_BASE + FLAGS, 4), 1)

    def test_window_of_each_width(self):
        """DIFFERENCES: 8 and 64 bits move one and eight bytes."""
        data = bytes(range(64))
        for word in (1, 2, 4, 8):
            guest = DeviceGuest(self.ours, pio=True, word=word)
            guest.command(PIO_ZERO)
            guest.put_window(data)
            self.assertEqual(guest.register(CRC), crc32c(data), word)
            guest.command(PIO_ZERO)
            self.assertEqual(guest.take_window(64), data)

    def test_both_modes_carry_the_same(self):
        for size in (0, 1, 3, 100, 4096, 65536 - 24):
            message = uv.mm_message(uv.TEST, bytes(number & 0xFF for number in range(size)))
            padded = message + bytes(-len(message) % 8)
            for pio in False, True:
                guest = DeviceGuest(self.ours, pio=pio)
                if pio and len(padded) > 65536:
                    continue
                self.assertEqual(guest.mm(message), (0, message))
                self.assertEqual(self.engine.frames[-1][2], message)

    def test_dma_above_4_gib_and_across_memory(self):
        with Qemu(f"uefi-vars-x64,socket={self.engine.path}", memory="5G") as qemu:
            message = uv.mm_message(uv.TEST, b"high" * 500)
            for address in (0x100000000, 0x7FFFF000 - 100):
                self.assertEqual(DeviceGuest(qemu, address=address).mm(message), (0, message))

    def test_dma_onto_our_own_registers(self):
        """No request lies in the device itself."""
        guest = DeviceGuest(self.ours)
        self.engine.frames.clear()
        for address in (X64_BASE, X64_BASE + 2, X64_BASE - 8, X64_BASE + 0x10):
            guest.set_register(ADDRESS_LOW, address)
            self.assertEqual(guest.command(MM_DMA), uv.DEVICE_BAD_BUFFER_SIZE)
            self.assertEqual(guest.register(ADDRESS_LOW), address)
        self.assertEqual(self.engine.frames, [])

    def test_reply_that_can_not_be_written(self):
        """It is no success, whatever the engine says."""
        at = self.ours.read(ROM, 0x40000).index(bytes(24))
        guest = DeviceGuest(self.ours, address=ROM + at)
        self.engine.frames.clear()
        self.assertEqual(guest.command(MM_DMA), uv.DEVICE_UNKNOWN_ERROR)
        self.assertEqual(self.engine.frames, [(1, uv.MM, bytes(24))])

    def test_machine_reset(self):
        """Every register is as it was at first."""
        def registers():
            return [self.ours.load(X64_BASE + offset, 4) for offset in range(0, 0x20, 4)]

        at_first = registers()
        guest = DeviceGuest(self.ours)
        guest.put_window(bytes(range(64)))
        self.assertEqual(guest.command(0x77), uv.DEVICE_NOT_SUPPORTED)
        self.assertEqual(guest.register(STATUS, 2), uv.DEVICE_NOT_SUPPORTED)
        self.ours.qmp("system_reset")
        self.assertEqual(guest.register(STATUS, 2), 0)
        guest.set_register(BUFFER_SIZE, 64)
        self.assertEqual(guest.register(CRC), crc32c(b""))
        self.ours.qmp("system_reset")
        self.assertEqual(registers(), at_first)

    def test_hardware_info(self):
        """fw_cfg's etc/hardware-info, byte for byte QEMU's."""
        found = [read_fw_cfg(qemu, "etc/hardware-info") for qemu in (self.ours, self.stock)]
        self.assertEqual(found[0], struct.pack("<QQQ", 2, 8, X64_BASE))
        self.assertEqual(found[0], found[1])


def read_fw_cfg(qemu, name):
    def select(key, size):
        qemu.store_port(0x510, 2, key)
        return bytes(qemu.load_port(0x511, 1) for _ in range(size))

    count, = struct.unpack(">I", select(0x19, 4))
    directory = select(0x19, 4 + 64 * count)[4:]
    for at in range(0, len(directory), 64):
        size, key, _, entry = struct.unpack_from(">IHH56s", directory, at)
        if entry.rstrip(b"\0").decode() == name:
            return select(key, size)
    return None


if __name__ == "__main__":
    need()
    unittest.main()
