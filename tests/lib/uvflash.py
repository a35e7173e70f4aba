# SPDX-License-Identifier: GPL-2.0-or-later
"""Flash images in tests: our reader and writer (flash-tool), and virt-fw-vars' as the other opinion."""

import glob
import os
import struct
import subprocess
import sys

DEBIAN_VARS = sorted(glob.glob("/usr/share/OVMF/OVMF_VARS*.fd") +
                     glob.glob("/usr/share/AAVMF/AAVMF*_VARS*.fd"))
GUID = "12345678-1234-5678-9abc-def012345678"


def have_virt_firmware():
    try:
        import virt.firmware.varstore.edk2  # noqa: F401
        return True
    except ImportError:
        return False


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


def skip(why):
    print("skipped:", why)
    sys.exit(77)
