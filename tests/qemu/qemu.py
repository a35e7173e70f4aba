# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs QEMU with a uefi-vars device, ours or its own, and drives it by qtest and QMP.

The module's folder comes from UEFIVARS_QEMU_MODULE_DIR; without it, or without QEMU, tests are
skipped (exit status 77, see need()).
"""

import base64
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import uvproto as uv  # noqa: E402
from uvskip import skip  # noqa: E402

MODULE_DIR = os.environ.get("UEFIVARS_QEMU_MODULE_DIR")
ENGINE = os.environ.get("UEFIVARSD")

X64_BASE = 0xFEF10000
VIRT_BASE = 0x0C000000  # the platform bus, where the first dynamic device lies
MAGIC, COMMAND, STATUS, BUFFER_SIZE, ADDRESS_LOW, ADDRESS_HIGH = 0, 2, 2, 4, 8, 0xC
WINDOW, CRC, FLAGS = 0x10, 0x18, 0x1C
RESET, MM_DMA, MM_PIO, PIO_ZERO = 1, 2, 3, 4
BUFFER_MAX = 65536


def need(arch="x86_64", engine=False):
    """Skips the test where something is missing."""
    if not shutil.which(f"qemu-system-{arch}"):
        skip(f"no qemu-system-{arch}")
    if not MODULE_DIR or not os.path.exists(f"{MODULE_DIR}/hw-uefi-vars.so"):
        skip("hw-uefi-vars.so was not built (-Dqemu_source)")
    if engine and not (ENGINE and os.path.exists(ENGINE)):
        skip("no uefivarsd")


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc_table()


def crc32c(data):
    """As QEMU's crc32c(0xffffffff, ...) gives it: CRC-32C, inverted at the end."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


class Gone(Exception):
    """QEMU ended; the text is what it wrote to stderr."""


class Qemu:
    def __init__(self, device, ours=True, arch="x86_64", args=(), stopped=True, qtest=True,
                 memory="64M", machine=None, module_dir=MODULE_DIR, popen=None):
        self.folder = tempfile.mkdtemp(prefix="uv-qemu-")
        self.qmp_path = f"{self.folder}/qmp"
        self.stderr_path = f"{self.folder}/stderr"
        if popen:
            os.chmod(self.folder, 0o777)
        self._qmp = None
        command = [f"qemu-system-{arch}", "-machine",
                   machine or {"x86_64": "q35", "aarch64": "virt,gic-version=3"}[arch],
                   "-accel", "tcg", "-m", memory, "-nodefaults", "-no-user-config", "-display",
                   "none", "-qmp", f"unix:{self.qmp_path},server=on,wait=off"]
        if arch == "aarch64":
            command += ["-cpu", "cortex-a57"]
        if device:
            command += ["-device", device]
        if stopped:
            command += ["-S"]
        if qtest:
            command += ["-qtest", "stdio", "-qtest-log", "none"]
        environment = dict(os.environ)
        environment.pop("QEMU_MODULE_DIR", None)
        if ours:
            environment["QEMU_MODULE_DIR"] = module_dir
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(command + list(args), env=environment, stderr=stderr,
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            **(popen or {}))

    # The process

    def stderr(self):
        return pathlib.Path(self.stderr_path).read_text(errors="replace")

    def wait(self, timeout=20):
        return self.process.wait(timeout)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self._qmp:
            self._qmp.close()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    # qtest

    def line(self, text):
        """Sends a qtest command, and returns the words of its answer after OK."""
        try:
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Gone(self.stderr()) from None
        while True:
            answer = self.process.stdout.readline().decode()
            if not answer:
                raise Gone(self.stderr())
            words = answer.split()
            if not words or words[0] == "IRQ":
                continue
            if words[0] != "OK":
                raise RuntimeError(f"{text[:80]}: {answer}")
            return words[1:]

    def lines(self, texts):
        """Many commands at once, as far as pipes hold them; the answers' words."""
        answers = []
        for start in range(0, len(texts), 400):
            part = texts[start:start + 400]
            try:
                self.process.stdin.write("".join(text + "\n" for text in part).encode())
                self.process.stdin.flush()
            except BrokenPipeError:
                raise Gone(self.stderr()) from None
            for _ in part:
                answer = self.process.stdout.readline().split()
                if not answer or answer[0] != b"OK":
                    raise Gone(f"{answer} {self.stderr()}")
                answers.append(answer[1:])
        return answers

    def load(self, address, size):
        return int(self.line(f"read{'_bw_l___q'[size]} {address:#x}")[0], 16)

    def store(self, address, size, value):
        self.line(f"write{'_bw_l___q'[size]} {address:#x} {value:#x}")

    def load_port(self, port, size):
        return int(self.line(f"in{'_bw_l'[size]} {port:#x}")[0], 16)

    def store_port(self, port, size, value):
        self.line(f"out{'_bw_l'[size]} {port:#x} {value:#x}")

    def read(self, address, size):
        return base64.b64decode(self.line(f"b64read {address:#x} {size:#x}")[0]) if size else b""

    def write(self, address, data):
        if data:
            text = base64.b64encode(data).decode()
            self.line(f"b64write {address:#x} {len(data):#x} {text}")

    # QMP

    def _qmp_file(self):
        if not self._qmp:
            end = time.monotonic() + 10
            while True:
                sock = socket.socket(socket.AF_UNIX)
                try:
                    sock.connect(self.qmp_path)
                    break
                except OSError:
                    sock.close()
                    if self.process.poll() is not None or time.monotonic() > end:
                        raise Gone(self.stderr()) from None
                    time.sleep(0.02)
            sock.settimeout(60)
            self._qmp = sock.makefile("rw")
            sock.close()
            self.events = []
            json.loads(self._qmp.readline())
            self.qmp("qmp_capabilities")
        return self._qmp

    def qmp(self, execute, **arguments):
        stream = self._qmp_file()
        stream.write(json.dumps({"execute": execute, "arguments": {
            key.replace("_", "-"): value for key, value in arguments.items()}}) + "\n")
        stream.flush()
        while True:
            try:
                line = stream.readline()
            except ConnectionResetError:  # it ended with our command unread
                line = ""
            if not line:
                raise Gone(self.stderr())
            answer = json.loads(line)
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{execute}: {answer['error']['desc']}")
            else:
                return answer["return"]

    def hmp(self, line):
        return self.qmp("human-monitor-command", command_line=line)

    def quit(self):
        try:
            self.qmp("quit")
        except Gone:
            pass
        return self.wait()


class DeviceError(Exception):
    def __init__(self, status):
        super().__init__(f"device status {status:#x}")
        self.status = status


class DeviceGuest(uv.Guest):
    """uvproto's Guest, but every message goes through the registers of a device in QEMU."""

    def __init__(self, qemu, base=X64_BASE, pio=False, address=0x100000, word=8):
        # No socket: super().__init__ is not for us.
        self.qemu, self.base, self.pio, self.address, self.word = qemu, base, pio, address, word
        self.setup()

    def register(self, offset, size=4):
        return self.qemu.load(self.base + offset, size)

    def set_register(self, offset, value, size=4):
        self.qemu.store(self.base + offset, size, value)

    def command(self, command):
        self.set_register(COMMAND, command, 2)
        return self.register(STATUS, 2)

    def setup(self, size=BUFFER_MAX):
        """What edk2's driver does at its start."""
        if self.register(MAGIC, 2) != 0xEF1:
            raise RuntimeError("no device there")
        if self.command(RESET) != 0:
            raise RuntimeError("RESET failed")
        self.set_register(BUFFER_SIZE, size)
        self.set_register(ADDRESS_LOW, self.address & 0xFFFFFFFF)
        self.set_register(ADDRESS_HIGH, self.address >> 32)

    def put_window(self, data):
        data += bytes(-len(data) % self.word)
        for offset in range(0, len(data), self.word):
            value = int.from_bytes(data[offset:offset + self.word], "little")
            self.set_register(WINDOW, value, self.word)

    def take_window(self, size):
        out = b""
        while len(out) < size:
            out += self.register(WINDOW, self.word).to_bytes(self.word, "little")
        return out[:size]

    def mm(self, message):
        """(device status, the buffer's first bytes, as many as were sent)."""
        if not self.pio:
            self.qemu.write(self.address, message)
            status = self.command(MM_DMA)
            return status, self.qemu.read(self.address, len(message))
        self.command(PIO_ZERO)
        self.put_window(message)
        if self.register(CRC) != crc32c(message + bytes(-len(message) % self.word)):
            raise RuntimeError("CRC of what was sent is wrong")
        status = self.command(MM_PIO)
        self.command(PIO_ZERO)
        data = self.take_window(len(message))
        return status, data

    def variable(self, function, body=b"", room=0):
        # The room for the reply is part of the message, as edk2's driver has it.
        status, reply = self.mm(uv.mm_variable(function, body + bytes(room)))
        if status != uv.DEVICE_SUCCESS:
            raise DeviceError(status)
        return struct.unpack_from("<Q", reply, 32)[0], reply[40:]

    def policy(self, command, body=b"", room=0):
        status, reply = self.mm(uv.mm_policy(command, body + bytes(room)))
        if status != uv.DEVICE_SUCCESS:
            raise DeviceError(status)
        return struct.unpack_from("<Q", reply, 24 + 12)[0], reply[24 + 20:]
