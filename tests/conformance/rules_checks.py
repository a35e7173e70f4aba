# SPDX-License-Identifier: GPL-2.0-or-later
"""Variable checks, variable policy and the JSON store: sections 2.9 to 2.11."""

import json
import struct

import uvproto
from rules import call, write
from uvproto import *  # noqa: F401,F403
from world import KEK, uvsign

END = b"\x7f\xff\x04\0"
OPTION = b"\1\0\0\0\4\0o\0\0\0" + END


def after_dxe(w):
    w.guest.end_of_dxe()


def checked(rule, text, name, attributes, data, expect=SUCCESS, guid=GLOBAL, **more):
    write(rule, text, name, guid, attributes, data, expect, before=after_dxe, **more)


# 2.9 VarCheckUefiLib
for name in ("PKDefault", "KEKDefault", "dbDefault", "dbxDefault", "dbtDefault", "dbrDefault"):
    checked("2.9.1", f"{name} is read-only", name, BS_RT, b"x", WRITE_PROTECTED)
for name, attributes, right, wrong in (
        ("BootNext", NV_BS_RT, bytes(2), bytes(3)), ("Timeout", NV_BS_RT, bytes(2), bytes(5)),
        ("OsIndications", NV_BS_RT, bytes(8), bytes(4)),
        ("HwErrRecSupport", NV_BS_RT, bytes(2), bytes(1)),
        ("BootOrder", NV_BS_RT, bytes(4), bytes(3)), ("DriverOrder", NV_BS_RT, bytes(2), bytes(1)),
        ("SysPrepOrder", NV_BS_RT, bytes(2), bytes(5)),
        ("Boot0001", NV_BS_RT, OPTION, OPTION[:-1]), ("Driver00FF", NV_BS_RT, OPTION, b"x"),
        ("SysPrep0001", NV_BS_RT, OPTION + b"more", b"\1\0\0\0\4\0o\0o\0o\0"),
        ("Key0000", NV_BS_RT, bytes(14), bytes(12)), ("ConIn", NV_BS_RT, END, END[:3]),
        ("ConOut", NV_BS_RT, b"\1\1\6\0xx" + END, b"\1\1\6\0xx"),
        ("ErrOut", NV_BS_RT, END, b"\1\1\3\0" + END), ("Lang", NV_BS_RT, b"eng\0", b"eng"),
        ("PlatformLang", NV_BS_RT, b"en\0", b"en")):
    checked("2.9.2", f"{name} as it should be", name, attributes, right)
    checked("2.9.2", f"{name} of another shape", name, attributes, wrong, INVALID_PARAMETER)
    checked("2.9.2", f"{name} of other attributes", name, BS_RT, right, INVALID_PARAMETER)
for name, attributes, size in (("BootCurrent", BS_RT, 2), ("BootOptionSupport", BS_RT, 4),
                               ("OsIndicationsSupported", BS_RT, 8)):
    checked("2.9.2", f"{name} as it should be", name, attributes, bytes(size))
    checked("2.9.2", f"{name} of another size", name, attributes, bytes(size + 1),
            INVALID_PARAMETER)
checked("2.9.3", "lower-case digits", "Boot000a", NV_BS_RT, OPTION, INVALID_PARAMETER)
checked("2.9.3", "five digits", "Boot00001", NV_BS_RT, OPTION, INVALID_PARAMETER)
checked("2.9.3", "an unknown global name", "Nonsense", NV_BS_RT, b"x", INVALID_PARAMETER)
checked("2.9.3", "an unknown name among the databases", "dbq", NV_BS_RT, b"x", INVALID_PARAMETER,
        guid=IMAGE_SECURITY)
checked("2.9.3", "HR for another name", "n", NV_BS_RT | HR, b"x", INVALID_PARAMETER, guid=TEST)
checked("2.9.3", "names of one's own GUID are free", "Nonsense", NV_BS_RT, b"x", guid=TEST)
checked("2.9.4", "deletions are not held to shapes", "BootNext", NV_BS, b"", NOT_FOUND, doors="g")
write("2.9.4", "an old unknown name can be deleted", "Nonsense", GLOBAL, 0, b"",
      before=lambda w: (w.set("Nonsense", GLOBAL), after_dxe(w)))
checked("2.9.5", "BootOrder of odd size", "BootOrder", NV_BS_RT, b"abc", INVALID_PARAMETER)


# 2.10 variable policy
@call("2.10.1", "what a policy entry must be")
def _(w):
    good = uvproto.policy_entry("n", TEST)

    def result(entry):
        return w.guest.policy(3, entry, room=64)[0]
    for text, entry in (
            ("version", struct.pack("<I", 0x20000) + good[4:]),
            ("size over the message", good[:4] + struct.pack("<H", 300) + good[6:]),
            ("size under the header", good[:4] + struct.pack("<H", 43) + good[6:]),
            ("offset", good[:6] + struct.pack("<H", 42) + good[8:]),
            ("name without NUL", good[:4] + struct.pack("<H", 46) + good[6:-2]),
            ("MaxSize 0", good[:28] + bytes(4) + good[32:]),
            ("lock type", good[:40] + b"\4" + good[41:]),
            ("MinSize over MaxSize", uvproto.policy_entry("n", TEST, 5, 4))):
        assert result(entry) == INVALID_PARAMETER, text
    assert result(good) == SUCCESS


@call("2.10.2", "duplicates")
def _(w):
    assert w.guest.register_policy("n", TEST) == SUCCESS
    assert w.guest.register_policy("n", TEST, lock=1) == ALREADY_STARTED
    assert w.guest.register_policy("n#", TEST) == SUCCESS
    assert w.guest.register_policy("n#", TEST) == SUCCESS


@call("2.10.3", "wildcards and priority", doors="gh")
def _(w):
    for name, most in ((None, 1), ("B##", 2), ("B0#", 3), ("B00", 4)):
        assert w.guest.register_policy(name, TEST, max_size=most) == SUCCESS
    after_dxe(w)
    for name, most in (("B00", 4), ("B0f", 3), ("Bcc", 2), ("B0g", 1), ("B000", 1)):
        assert w.guest.set(name, TEST, data=bytes(most + 1)) == INVALID_PARAMETER, name
        assert w.write(name, TEST, NV_BS_RT, bytes(most + 1)) == 22, name
        assert w.guest.set(name, TEST, data=bytes(most)) == SUCCESS, name


def policy(rule, text, entry, attributes, data, expect, name="n", more=(), **how):
    """`more`: (name, data) of variables that are there before."""
    def before(w):
        assert w.guest.register_policy(name, TEST, **entry) == SUCCESS
        for other, content in more:
            w.set(other, data=content)
        after_dxe(w)
    write(rule, text, name, TEST, attributes, data, expect, before=before, **how)


policy("2.10.4", "too small", {"min_size": 2}, NV_BS_RT, b"x", INVALID_PARAMETER)
policy("2.10.4", "too large", {"max_size": 2}, NV_BS_RT, b"xxx", INVALID_PARAMETER)
policy("2.10.4", "an attribute that must be", {"must_have": NV}, BS_RT, b"x", INVALID_PARAMETER)
policy("2.10.4", "an attribute that can't be", {"cant_have": RT}, NV_BS_RT, b"x",
       INVALID_PARAMETER)
policy("2.10.4", "sizes do not hold a deletion", {"min_size": 2}, 0, b"", SUCCESS,
       more=[("n", b"xx")])
policy("2.10.4", "attributes 0 with data are no deletion", {"must_have": NV}, 0, b"y",
       INVALID_PARAMETER, more=[("n", b"x")], doors="g")
policy("2.10.4", "locked now", {"lock": 1}, NV_BS_RT, b"x", WRITE_PROTECTED)
policy("2.10.4", "locked now, deleted", {"lock": 1}, 0, b"", WRITE_PROTECTED, more=[("n", b"x")])
policy("2.10.4", "locked on creation", {"lock": 2}, NV_BS_RT, b"y", WRITE_PROTECTED,
       more=[("n", b"x")])
policy("2.10.4", "not yet created", {"lock": 2}, NV_BS_RT, b"y", SUCCESS)
policy("2.10.4", "locked by a state", {"lock": 3, "state": (TEST, 7, "s")}, NV_BS_RT, b"y",
       WRITE_PROTECTED, more=[("s", b"\7")])
policy("2.10.4", "another state", {"lock": 3, "state": (TEST, 7, "s")}, NV_BS_RT, b"y", SUCCESS,
       more=[("s", b"\6")])
policy("2.10.4", "a state of two bytes", {"lock": 3, "state": (TEST, 7, "s")}, NV_BS_RT, b"y",
       SUCCESS, more=[("s", b"\7\7")])


@call("2.10.5", "a locked interface, and no disabling")
def _(w):
    assert w.guest.policy(1)[0] == WRITE_PROTECTED
    assert w.guest.lock_policy() == SUCCESS
    assert w.guest.lock_policy() == WRITE_PROTECTED
    assert w.guest.register_policy("n", TEST) == WRITE_PROTECTED
    assert w.guest.policy(1)[0] == WRITE_PROTECTED


@call("2.10.6", "messages: signature, revision, commands")
def _(w):
    for how in ({"signature": 1}, {"revision": 2}):
        _, reply = w.guest.mm(uvproto.mm_policy(2, bytes(1), **how))
        assert struct.unpack_from("<Q", reply, 24 + 12)[0] == INVALID_PARAMETER
    assert w.guest.policy(2, b"\0") == (SUCCESS, b"\1")
    assert w.guest.policy(99)[0] == UNSUPPORTED


FULL = 0x4000 - 24 - 20


@call("2.10.6", "get-info and get lock-on-variable-state info")
def _(w):
    def info(command, name):
        body = guid_bytes(TEST) + struct.pack("<II", len(ucs2(name)), 64) + bytes(44) + ucs2(name)
        return w.guest.policy(command, body, room=FULL - len(body))
    entry = uvproto.policy_entry("n#", TEST, 3, 9, lock=3, state=(GLOBAL, 7, "state"))
    assert w.guest.policy(3, entry)[0] == SUCCESS
    status, body = info(6, "n1")
    assert status == SUCCESS and body[24:68] == entry[:44]
    assert body[68 + 6:68 + 12] == ucs2("n#")
    status, body = info(7, "n1")
    assert status == SUCCESS and body[24:42] == guid_bytes(GLOBAL) + b"\7\0"
    assert body[68 + 6:68 + 18] == ucs2("state")
    assert info(6, "other")[0] == NOT_FOUND
    assert w.guest.policy(6, bytes(100))[0] == INVALID_PARAMETER


@call("2.10.7", "dump in pages")
def _(w):
    def page(number):
        status, body = w.guest.policy(4, struct.pack("<I", number), room=FULL - 4)
        _, total, size, more = struct.unpack_from("<IIIB", body)
        return status, total, size, more, body[13:13 + size]
    assert page(0)[:4] == (SUCCESS, 0, 0, 0) and page(1)[0] == TIMEOUT
    entries = [uvproto.policy_entry(f"{i:0200}", TEST) for i in range(70)]
    for entry in entries:
        assert w.guest.policy(3, entry)[0] == SUCCESS
    whole = b"".join(entries)
    assert page(0)[:4] == (SUCCESS, len(whole), 0, 1)
    assert page(9)[0] == INVALID_PARAMETER
    first, second = page(1), page(2)
    assert (first[3], second[3]) == (1, 0) and first[4] + second[4] == whole
    assert page(1)[0] == TIMEOUT


@call("2.10.8", "the table starts empty, and is empty after a reset")
def _(w):
    assert w.status()["policy"]["count"] == 0
    assert w.guest.register_policy("n", TEST, lock=1) == SUCCESS
    assert w.status()["policy"]["count"] == 1
    w.runtime()
    w.guest.reset()
    assert w.status()["policy"] == {"count": 0, "locked": False, "enabled": True, "entries": []}


@call("2.10.9", "LOCK_VARIABLE")
def _(w):
    assert w.guest.lock("n", TEST) == SUCCESS and w.guest.lock("n", TEST) == SUCCESS
    assert w.guest.register_policy("m", TEST, max_size=9) == SUCCESS
    assert w.guest.lock("m", TEST) == ACCESS_DENIED
    assert w.guest.register_policy("c", TEST, lock=2) == SUCCESS
    assert w.guest.lock("c", TEST) == ACCESS_DENIED
    w.set("c")
    assert w.guest.lock("c", TEST) == SUCCESS
    w.guest.lock_policy()
    assert w.guest.lock("o", TEST) == ACCESS_DENIED
    after_dxe(w)
    assert w.guest.set("n", TEST) == WRITE_PROTECTED and w.write("n", TEST, NV_BS_RT, b"x") == 30


@call("2.10.9", "properties, functions 9 and 10")
def _(w):
    def message(name, *fields):
        return guid_bytes(TEST) + struct.pack("<QHHIQQ", len(ucs2(name)), *fields) + ucs2(name)
    assert w.guest.variable(F_PROPERTY_GET, message("n", 0, 0, 0, 0, 0))[0] == NOT_FOUND
    assert w.guest.variable(F_PROPERTY_SET, message("n", 1, 0, NV_BS, 2, 3))[0] == SUCCESS
    status, body = w.guest.variable(F_PROPERTY_GET, message("n", 0, 0, 0, 0, 0))
    assert status == SUCCESS and struct.unpack_from("<HHIQQ", body, 24) == (1, 0, NV_BS, 2, 3)
    assert w.guest.variable(F_PROPERTY_SET, message("n", 2, 0, NV_BS, 2, 3))[0] == INVALID_PARAMETER
    after_dxe(w)
    assert w.guest.set("n", TEST, NV_BS, b"1234") == INVALID_PARAMETER
    assert w.guest.set("n", TEST, NV_BS_RT, b"123") == INVALID_PARAMETER
    assert w.guest.set("n", TEST, NV_BS, b"123") == SUCCESS


# 2.11 the JSON store and migration
@call("2.11.1", "fields of a private authenticated variable", doors="gh")
def _(w):
    assert w.set_signed(KEK, "P", TEST, b"one") == SUCCESS
    store = json.loads(w.store_text())
    entry, = [v for v in store["variables"] if v["name"] == "P"]
    assert set(entry) == {"name", "guid", "attr", "data", "time", "digest"}
    assert entry["time"] == uvsign.time_bytes(1).hex() and len(entry["digest"]) == 64


@call("2.11.1", "volatile variables are not stored")
def _(w):
    w.set("v", attributes=BS_RT)
    assert all(v["attr"] & NV for v in json.loads(w.store_text())["variables"])


@call("2.11.2", "names beyond ASCII", doors="gh")
def _(w):
    for name in ("N\u00e4me", "N\u00f6me", "\u540d"):
        w.set(name)
    names = [v["name"] for v in json.loads(w.store_text())["variables"]]
    assert {"N\u00e4me", "N\u00f6me", "\u540d"} <= set(names), names


@call("2.11.3", "what was acknowledged outlives a crash")
def _(w):
    w.set("n", data=b"kept")
    assert w.set_signed(KEK, "P", TEST, b"one") == SUCCESS
    w.set("v", attributes=BS_RT)
    assert w.guest.register_policy("n", TEST, lock=1) == SUCCESS
    w.guest.end_of_dxe()
    w.crash()
    assert (w.data("n"), w.data("P"), w.data("v")) == (b"kept", b"one", b"x")
    assert w.guest.set("n", TEST, NV_BS_RT, b"y") == WRITE_PROTECTED
    assert w.set_signed(KEK, "P", TEST, b"two", second=2) == SUCCESS


@call("2.11.4", "a SecureBootEnable without data is no trouble", store="no-enable", doors="gh")
def _(w):
    assert w.byte("SecureBoot") == 1 and w.byte("SetupMode") == 0


@call("2.11.5", "migration takes the signers along")
def _(w):
    assert w.set_signed(KEK, "P", TEST, b"one") == SUCCESS
    blob = w.guest.save()
    assert w.set_signed(KEK, "P", TEST, b"two", second=2) == SUCCESS
    session = w.guest.session
    w.guest.close()
    w.guest = w.engine.guest().hello(session, uvproto.HELLO_INCOMING)
    w.guest.load(blob)
    assert w.data("P") == b"one"
    assert w.set_signed(uvsign.Key("kek"), "P", TEST, b"x", second=3) == SECURITY_VIOLATION
    assert w.set_signed(KEK, "P", TEST, b"two", second=3) == SUCCESS


write("2.11.6", "`timestamp` is read as `time`: not newer", "dbx", IMAGE_SECURITY, NV_BS_RT_AT,
      uvsign.write(KEK, "dbx", IMAGE_SECURITY, uvsign.hashes(2), 30), SECURITY_VIOLATION,
      store="timestamp")
write("2.11.6", "`timestamp` is read as `time`: newer", "dbx", IMAGE_SECURITY, NV_BS_RT_AT,
      uvsign.write(KEK, "dbx", IMAGE_SECURITY, uvsign.hashes(2), 31), store="timestamp")
