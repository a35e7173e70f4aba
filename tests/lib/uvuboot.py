# SPDX-License-Identifier: GPL-2.0-or-later
"""U-Boot's ubootefi.var, as U-Boot writes it."""

import struct
import uuid
import zlib

MAGIC = 0x0161566966456255


def entry(name, guid, data, attributes=7, seconds=0):
    """One variable, with its padding."""
    whole = struct.pack("<IIQ", len(data), attributes, seconds) + uuid.UUID(guid).bytes_le
    whole += name.encode("utf-16-le") + b"\0\0" + data
    return whole + bytes(-len(whole) % 8)


def file(*entries):
    """The whole file."""
    body = b"".join(entries)
    return struct.pack("<QQII", 0, MAGIC, 24 + len(body), zlib.crc32(body)) + body
