# SPDX-License-Identifier: GPL-2.0-or-later
"""Flash images in tests: our reader and writer (flash-tool), and virt-fw-vars' as the other opinion."""

import glob
import os
import struct
import subprocess

from uvskip import skip  # noqa: F401: for who imports this

DEBIAN_VARS = sorted(glob.glob("/usr/share/OVMF/OVMF_VARS*.fd") +
                     glob.glob("/usr/share/AAVMF/AAVMF*_VARS*.fd"))
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
GUID = "12345678-1234-5678-9abc-def012345678"


def have_virt_firmware():
    try:
        import virt.firmware.varstore.edk2  # noqa: F401
        return True
    except ImportError:
        return False


def checksum16(data):
    return -sum(struct.unpack(f"<{len(data) // 2}H", data)) & 0xffff


def small_image(path):
    """Makes the 128 KiB of variables that edk2's 2 MiB builds have, blank: Debian 13 brings none. The
    headers are those of the 4 MiB build's, with the other sizes."""
    with open(OVMF_VARS, "rb") as file:
        large = file.read()
    volume = bytearray(large[:0x48])
    struct.pack_into("<Q", volume, 32, 0x20000)
    struct.pack_into("<II", volume, 56, 0x20, 0x1000)
    struct.pack_into("<H", volume, 50, 0)
    struct.pack_into("<H", volume, 50, checksum16(volume))
    store = bytearray(large[0x48:0x64])
    struct.pack_into("<I", store, 16, 0xe000 - 0x48)
    working = large[0x41000:0x42000]
    with open(path, "wb") as file:
        file.write((volume + store).ljust(0xf000, b"\xff") + working + b"\xff" * 0x10000)


class Tool:
    """flash-tool, a command and its answer at a time."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([os.environ["FLASH_TOOL"], *arguments], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.opened = self.process.stdout.readline().strip()

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n")
        assert answer, f"flash-tool ended ({self.process.poll()}) at: {command[:80]}"
        return answer

    def dump(self):
        """{(name, guid): (attributes, time, data)}, or the error's text."""
        self.process.stdin.write("dump\n")
        self.process.stdin.flush()
        variables = {}
        while (line := self.process.stdout.readline().rstrip("\n")) != ".":
            assert line, "flash-tool ended"
            if line.startswith("error "):
                return line
            name, guid, attributes, time, data = line.split("\t")
            variables[name, guid] = (int(attributes, 16), time, data)
        return variables

    def set(self, name, data, guid=GUID, attributes=7):
        return self.ask(f"set {name} {guid} {attributes:x} {data.hex()}")

    def delete(self, name, guid=GUID):
        return self.ask(f"delete {name} {guid}")

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
        assert self.process.returncode == 0, self.process.returncode


def _as_dict(varlist):
    variables = {}
    for var in varlist.values():
        time = bytes(var.bytes_time()).hex()
        variables[str(var.name), str(var.guid)] = (var.attr, time, bytes(var.data).hex())
    return variables


def virt_fw_vars(path):
    """What virt-fw-vars reads in an image."""
    from virt.firmware.varstore import edk2
    return _as_dict(edk2.Edk2VarStore(path).get_varlist())


def virt_fw_vars_bytes(data):
    from virt.firmware.varstore import edk2

    class InMemory(edk2.Edk2VarStore):
        def readfile(self):
            self.filedata = data

    return _as_dict(InMemory("memory").get_varlist())


def read_log(path):
    """The writes that flash-tool recorded: (kind, offset, bytes)."""
    with open(path, "rb") as file:
        while kind := file.read(1):
            if kind == b"W":
                offset, size = struct.unpack("<QI", file.read(12))
                yield "W", offset, file.read(size)
            elif kind == b"R":
                size, = struct.unpack("<I", file.read(4))
                yield "R", 0, file.read(size)
            else:
                yield kind.decode(), 0, b""
