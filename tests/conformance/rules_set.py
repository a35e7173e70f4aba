# SPDX-License-Identifier: GPL-2.0-or-later
"""SetVariable, UpdateVariable, reading, phases and messages: sections 2.1 to 2.4."""

import struct

import uvproto
from rules import call, write
from uvproto import *  # noqa: F401,F403
from world import uvsign

LIMIT = 65536 - 24 - 16 - 36
AUTH = NV_BS_RT_AT


def has(**values):
    """Variables of the test GUID with these data, None for absent."""
    def check(w):
        for name, data in values.items():
            assert w.data(name) == data, f"{name} is {w.data(name)}"
    return check


# 2.1 SetVariable's arguments
write("2.1.1", "an empty name", "", TEST, NV_BS_RT, b"x", INVALID_PARAMETER, doors="g")


@call("2.1.2", "data that is not in the message")
def _(w):
    status, _ = w.guest.variable(F_SET, uvproto.mm_access("n", TEST, NV_BS_RT, data_size=100))
    assert w.data("n") is None and status in (SUCCESS, ACCESS_DENIED)


write("2.1.3", "an attribute outside the mask", "n", TEST, 0x87, b"x", INVALID_PARAMETER)
write("2.1.3", "a high attribute", "n", TEST, 0x80000007, b"x", INVALID_PARAMETER)
write("2.1.4", "RT without BS", "n", TEST, NV | RT, b"x", INVALID_PARAMETER)
write("2.1.4", "RT without BS, with AW", "n", TEST, NV | RT | AW, b"x", UNSUPPORTED)
write("2.1.5", "NV alone", "n", TEST, NV, b"x", INVALID_PARAMETER)
write("2.1.6", "hardware error records are supported", "HwErrRec0001",
      "414e6bdd-e47b-47cc-b244-bb61020cf516", NV_BS_RT | HR, b"x")
write("2.1.7", "AW and AT", "n", TEST, AUTH | AW, bytes(50), UNSUPPORTED)
write("2.1.7", "AW alone", "n", TEST, NV_BS_RT | AW, bytes(50), UNSUPPORTED)
write("2.1.8", "AT without a header", "n", TEST, AUTH, bytes(39), SECURITY_VIOLATION)
write("2.1.8", "dwLength under 24", "n", TEST, AUTH,
      uvsign.header(uvsign.time_bytes(), b"", length=23) + b"x", SECURITY_VIOLATION)
write("2.1.8", "dwLength over the data", "n", TEST, AUTH,
      uvsign.header(uvsign.time_bytes(), b"", length=26) + b"x", SECURITY_VIOLATION)
write("2.1.9", "as large as may be", "n", TEST, NV_BS_RT, bytes(LIMIT - 4), doors="h")
write("2.1.9", "a byte more", "n", TEST, NV_BS_RT, bytes(LIMIT - 3), INVALID_PARAMETER, doors="h")
write("2.1.10", "variable checks come before the lookup", "Boot0001", GLOBAL, NV_BS_RT, b"x",
      INVALID_PARAMETER, before=lambda w: w.guest.end_of_dxe())
write("2.1.11", "a boot service variable at runtime", "n", TEST, NV_BS, b"y", WRITE_PROTECTED,
      before=lambda w: (w.set("n", attributes=NV_BS), w.runtime()))
write("2.1.12", "other attributes than the variable's", "n", TEST, NV_BS, b"y", INVALID_PARAMETER,
      before=lambda w: w.set("n"))
write("2.1.12", "attributes 0 with data delete", "n", TEST, 0, b"y", doors="g",
      before=lambda w: w.set("n"), after=has(n=None))
write("2.1.13", "then authentication", "db", IMAGE_SECURITY, AUTH,
      uvsign.write(None, "db", IMAGE_SECURITY, b""), SECURITY_VIOLATION, store="enrolled")

# 2.2 UpdateVariable
write("2.2.1", "a volatile variable at runtime", "v", TEST, BS_RT, b"y", WRITE_PROTECTED,
      before=lambda w: (w.set("v", attributes=BS_RT), w.runtime()))
write("2.2.1", "a new variable at runtime is NV and RT", "n", TEST, NV_BS, b"y", INVALID_PARAMETER,
      before=lambda w: w.runtime())
write("2.2.1", "and such a one is made", "n", TEST, NV_BS_RT, b"y", before=lambda w: w.runtime(),
      after=has(n=b"y"))
write("2.2.2", "deleting what is not there", "n", TEST, 0, b"", NOT_FOUND)
write("2.2.2", "deleted by size 0", "n", TEST, NV_BS_RT, b"", before=lambda w: w.set("n"),
      after=has(n=None))
write("2.2.2", "deleted by attributes 0", "n", TEST, 0, b"", before=lambda w: w.set("n"),
      after=has(n=None))
write("2.2.3", "an append of nothing", "n", TEST, NV_BS_RT | APPEND, b"",
      before=lambda w: w.set("n"), after=has(n=b"x"))
write("2.2.3", "an append of nothing to nothing", "n", TEST, NV_BS_RT | APPEND, b"",
      after=has(n=None), doors="g")
write("2.2.4", "an append makes the variable, without the bit", "n", TEST, NV_BS_RT | APPEND, b"y",
      after=lambda w: has(n=b"y")(w) or w.guest.get("n", TEST)[1] == NV_BS_RT or 1 / 0)
write("2.2.5", "an append concatenates", "n", TEST, NV_BS_RT | APPEND, b"y",
      before=lambda w: w.set("n"), after=has(n=b"xy"))
write("2.2.5", "an append over the limit", "n", TEST, NV_BS_RT | APPEND, bytes(40000),
      INVALID_PARAMETER, before=lambda w: w.set("n", data=bytes(40000)))


@call("2.2.6", "the same again is no write", doors="gh")
def _(w):
    w.set("n")
    before = w.status()["store"]["generation"]
    w.set("n")
    assert w.write("n", TEST, NV_BS_RT, b"x") == 0
    assert w.status()["store"]["generation"] == before


@call("2.2.7", "the time stamp after an append is the newer one", store="enrolled")
def _(w):
    from world import KEK
    for second, attributes, expected in ((50, AUTH, SUCCESS), (40, AUTH | APPEND, SUCCESS),
                                         (45, AUTH, SECURITY_VIOLATION), (51, AUTH, SUCCESS)):
        got = w.set_signed(KEK, "dbx", IMAGE_SECURITY, uvsign.hashes(second), attributes,
                           second=second)
        assert got == expected, (second, status_name(got))


@call("2.2.3", "an append of nothing new moves the time stamp", store="enrolled")
def _(w):
    from world import KEK
    for second, data, attributes, expected in (
            (10, uvsign.hashes(1), AUTH, SUCCESS), (30, uvsign.hashes(1), AUTH | APPEND, SUCCESS),
            (20, uvsign.hashes(2), AUTH, SECURITY_VIOLATION),
            (40, b"", AUTH | APPEND, SUCCESS), (40, uvsign.hashes(2), AUTH, SECURITY_VIOLATION),
            (41, uvsign.hashes(2), AUTH, SUCCESS)):
        got = w.set_signed(KEK, "dbx", IMAGE_SECURITY, data, attributes, second=second)
        assert got == expected, (second, status_name(got))
    for second, data, attributes, expected in (
            (10, b"p", AUTH, SUCCESS), (30, b"", AUTH | APPEND, SUCCESS),
            (20, b"q", AUTH, SECURITY_VIOLATION), (31, b"q", AUTH, SUCCESS)):
        got = w.set_signed(KEK, "P", TEST, data, attributes, second=second)
        assert got == expected, (second, status_name(got))


def fill(w):
    for i in range(4):
        w.set(f"fill{i}", data=bytes(60000))
    w.set("n")


write("2.2.8", "no space", "big", TEST, NV_BS_RT, bytes(60000), OUT_OF_RESOURCES, before=fill)
write("2.2.8", "no space at runtime", "big", TEST, NV_BS_RT, bytes(60000), OUT_OF_RESOURCES,
      before=lambda w: (fill(w), w.runtime()))


@call("2.2.9", "a written variable moves to the end")
def _(w):
    for name in "abc":
        w.set(name)
    w.set("a", data=b"y")
    assert [n for n, g in w.guest.names() if g == TEST] == ["b", "c", "a"]


write("2.2.10", "a failed write leaves the old value", "n", TEST, NV_BS_RT, bytes(60000),
      OUT_OF_RESOURCES, before=fill, after=has(n=b"x"))


# 2.3 reading
@call("2.3.1", "GetVariable")
def _(w):
    w.set("n", attributes=NV_BS, data=b"data")
    assert w.guest.get("", TEST)[0] == NOT_FOUND
    assert w.guest.get("n", TEST) == (SUCCESS, NV_BS, b"data")
    status, body = w.guest.variable(F_GET, uvproto.mm_access("n", TEST, data_size=2) + bytes(2))
    size, _, attributes = struct.unpack_from("<QQI", body, 16)
    assert (status, size, attributes) == (BUFFER_TOO_SMALL, 4, NV_BS)
    w.runtime()
    assert w.guest.get("n", TEST)[0] == NOT_FOUND


@call("2.3.2", "GetNextVariableName")
def _(w):
    w.set("n", attributes=NV_BS)
    assert w.guest.next("none", TEST)[0] == INVALID_PARAMETER
    status, body = w.guest.variable(F_NEXT, guid_bytes(TEST) + struct.pack("<Q", 2) + b"\0\0")
    assert status == BUFFER_TOO_SMALL and struct.unpack_from("<Q", body, 16)[0] > 2
    w.runtime()
    assert w.guest.next("n", TEST)[0] == INVALID_PARAMETER


@call("2.3.3", "volatile variables come first")
def _(w):
    w.set("n")
    w.set("v", attributes=BS_RT)
    names = [n for n, g in w.guest.names() if g == TEST]
    assert names == ["v", "n"], names


@call("2.3.4", "the position is a name")
def _(w):
    for name in "abc":
        w.set(name)
    w.guest.delete("b", TEST)
    assert w.guest.next("b", TEST)[0] == INVALID_PARAMETER
    assert w.guest.next("a", TEST)[1] == "c"


@call("2.3.5", "QueryVariableInfo's attributes")
def _(w):
    for attributes, expected in ((0, INVALID_PARAMETER), (NV_BS_RT | AW, UNSUPPORTED),
                                 (NV, INVALID_PARAMETER), (NV | RT, INVALID_PARAMETER),
                                 (BS | HR, INVALID_PARAMETER), (NV_BS_RT, SUCCESS),
                                 (BS_RT, SUCCESS)):
        got = w.guest.query(attributes)[0]
        assert got == expected, (hex(attributes), status_name(got))
    w.runtime()
    assert w.guest.query(NV_BS)[0] == INVALID_PARAMETER


@call("2.3.6", "true figures")
def _(w):
    _, total, remaining, largest = w.guest.query()
    w.set("n", data=bytes(1000))
    assert total == 262144 and w.guest.query()[2] == remaining - 60 - 4 - 1000
    assert largest <= LIMIT


# 2.4 phases and messages
@call("2.4.1", "a name without NUL at its end")
def _(w):
    body = uvproto.mm_access(b"n\0m\0", TEST, NV_BS_RT, b"x")
    assert w.guest.variable(F_SET, body)[0] == ACCESS_DENIED
    assert w.data("n") is None and w.data("nm") is None


@call("2.4.2", "functions")
def _(w):
    assert w.guest.variable(F_PAYLOAD_SIZE, bytes(8))[0] == SUCCESS
    assert w.guest.variable(12, bytes(64))[0] == UNSUPPORTED
    assert w.guest.variable(99, bytes(64))[0] == UNSUPPORTED


@call("2.4.3", "locks and properties only before EndOfDxe")
def _(w):
    assert w.guest.lock("n", TEST) == SUCCESS
    w.guest.end_of_dxe()
    assert w.guest.lock("m", TEST) == ACCESS_DENIED
    name = ucs2("m")
    body = guid_bytes(TEST) + struct.pack("<QHHIQQ", len(name), 1, 0, 0, 0, 9) + name
    assert w.guest.variable(F_PROPERTY_SET, body)[0] == ACCESS_DENIED


@call("2.4.4", "ReadyToBoot at runtime")
def _(w):
    w.runtime()
    assert w.guest.variable(F_READY)[0] == UNSUPPORTED


@call("2.4.4", "ReadyToBoot locks the policy")
def _(w):
    assert w.guest.variable(F_READY)[0] == SUCCESS
    assert w.guest.register_policy("n", TEST) == WRITE_PROTECTED


write("2.4.5", "no variable checks before EndOfDxe", "Nonsense", GLOBAL, NV_BS_RT, b"x", doors="g")


@call("2.4.6", "events by their own messages")
def _(w):
    w.set("n", attributes=NV_BS)
    w.guest.end_of_dxe()
    assert w.guest.register_policy("n", TEST) == WRITE_PROTECTED
    w.guest.exit_boot_services()
    assert w.guest.get("n", TEST)[0] == NOT_FOUND


@call("2.4.7", "a reset clears what is volatile")
def _(w):
    w.set("v", attributes=BS_RT)
    assert w.guest.register_policy("n", TEST, lock=1) == SUCCESS
    w.set("CustomMode", CUSTOM_MODE, NV_BS, b"\1")
    w.runtime()
    w.guest.reset()
    assert w.data("v") is None and w.byte("CustomMode", CUSTOM_MODE) == 0
    w.set("n")
    assert w.guest.register_policy("m", TEST) == SUCCESS
