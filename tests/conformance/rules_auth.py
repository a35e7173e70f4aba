# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys, time stamps, private variables and modes: sections 2.5 to 2.8."""

import errno

from rules import call, write
from uvproto import *  # noqa: F401,F403
import uvodd
from world import DB, KEK, PK, STRANGER, uvsign

AUTH = NV_BS_RT_AT
VENDOR_KEYS_NV = "9073e4e0-60ec-4b6e-9903-4c223c260f3c"
CERT_DB = "d9bee56e-75dc-49d9-b4d7-b534210f637a"
HASHES = uvsign.hashes(1, 2)
NEW_PK = uvsign.Key("newpk")


def key_write(rule, text, key, name, data, expect=SUCCESS, attributes=AUTH, signed_for=None,
              second=10, how=None, **more):
    """A write of a key, signed by `key` (None: not at all)."""
    guid = GLOBAL if name in ("PK", "KEK") else IMAGE_SECURITY if len(name) > 1 else TEST
    payload = uvsign.write(key, name, guid, data, second, signed_for or attributes, **(how or {}))
    write(rule, text, name, guid, attributes, payload, expect,
          **{"store": "enrolled", **more})


def custom(w):
    w.set("CustomMode", CUSTOM_MODE, NV_BS, b"\1")


def modes(setup, secure_boot, enable):
    def check(w):
        got = (w.byte("SetupMode"), w.byte("SecureBoot"),
               w.byte("SecureBootEnable", SECURE_BOOT_ENABLE))
        assert got == (setup, secure_boot, enable), got
    return check


def is_now(name, data, guid=IMAGE_SECURITY):
    def check(w):
        assert w.data(name, guid) == data
    return check


# 2.5 Secure Boot variables
for name in ("PK", "KEK", "db", "dbx", "dbt", "dbr"):
    key_write("2.5.1", f"{name} without NV", PK, name, HASHES, INVALID_PARAMETER, BS_RT | AT)
    key_write("2.5.1", f"{name} without AT", PK, name, HASHES, INVALID_PARAMETER, NV_BS_RT)
for name in ("KEK", "db", "dbx", "dbt", "dbr"):
    key_write("2.5.2", f"{name} unsigned in setup mode", None, name, HASHES, store="empty")
    key_write("2.5.2", f"{name} unsigned in user mode", None, name, HASHES, SECURITY_VIOLATION)
    key_write("2.5.2", f"{name} unsigned in custom mode", None, name, HASHES, before=custom)
    key_write("2.5.2", f"{name} unsigned in custom mode, at runtime", None, name, HASHES,
              SECURITY_VIOLATION, before=lambda w: (custom(w), w.runtime()))
key_write("2.5.2", "PK unsigned in custom mode", None, "PK", uvsign.x509(NEW_PK), before=custom,
          after=modes(0, 1, 1))
key_write("2.5.2", "PK deleted unsigned in custom mode", None, "PK", b"", before=custom,
          after=modes(1, 0, None))
key_write("2.5.2", "custom mode does not waive the form", None, "db", HASHES[:-1],
          INVALID_PARAMETER, before=custom)
write("2.5.2", "custom mode does not waive the header", "db", IMAGE_SECURITY, AUTH, b"",
      SECURITY_VIOLATION, store="enrolled", before=custom)
key_write("2.5.2", "custom mode compares no time stamps", None, "db", HASHES, before=custom,
          second=0)
key_write("2.5.3", "PK is self-signed in setup mode", NEW_PK, "PK", uvsign.x509(NEW_PK),
          store="empty", after=modes(0, 1, 1))
key_write("2.5.3", "PK unsigned in setup mode", None, "PK", uvsign.x509(NEW_PK),
          SECURITY_VIOLATION, store="empty", after=modes(1, 0, None))
key_write("2.5.3", "PK signed by another in setup mode", STRANGER, "PK", uvsign.x509(NEW_PK),
          SECURITY_VIOLATION, store="empty")
for name in ("PK", "KEK", "db", "dbx", "dbt", "dbr"):
    data = uvsign.x509(NEW_PK) if name == "PK" else HASHES
    key_write("2.5.4", f"{name} by PK", PK, name, data)
    key_write("2.5.4", f"{name} by a stranger", STRANGER, name, data, SECURITY_VIOLATION)
    key_write("2.5.4", f"{name} by db", DB, name, data, SECURITY_VIOLATION)
    key_write("2.5.5", f"{name} by KEK", KEK, name, data,
              SECURITY_VIOLATION if name in ("PK", "KEK") else SUCCESS)


key_write("2.5.5", "db by a stranger, and there is no KEK", STRANGER, "db", HASHES,
          SECURITY_VIOLATION, store="no-kek")


@call("2.5.5", "any certificate of KEK, and whom it issued", store="enrolled")
def _(w):
    authority = uvsign.Key("authority")
    leaf = uvsign.Key("leaf", issuer=authority, ca=False)
    both = uvsign.x509(KEK, authority)
    assert w.set_signed(PK, "KEK", GLOBAL, both) == SECURITY_VIOLATION  # the stored time stamp
    assert w.set_signed(PK, "KEK", GLOBAL, both, second=2) == SUCCESS
    assert w.set_signed(authority, "dbx", IMAGE_SECURITY, HASHES, second=3) == SUCCESS
    assert w.set_signed(leaf, "dbx", IMAGE_SECURITY, HASHES, second=4,
                        others=[authority]) == SUCCESS
    assert w.set_signed(leaf, "dbx", IMAGE_SECURITY, HASHES, second=5) == SUCCESS
    assert w.set_signed(leaf, "KEK", GLOBAL, both, second=6) == SECURITY_VIOLATION


key_write("2.5.6", "a hash of another size", KEK, "db", uvsign.siglist(uvsign.SHA256, [bytes(31)]),
          INVALID_PARAMETER)
key_write("2.5.6", "a list with a header it has not", KEK, "db",
          uvsign.siglist(uvsign.SHA256, [bytes(32)], header=b"head"), INVALID_PARAMETER)
key_write("2.5.6", "lists that do not sum up", KEK, "db", HASHES + b"x", INVALID_PARAMETER)
key_write("2.5.6", "a certificate that is none", KEK, "db", uvsign.siglist(uvsign.X509, [b"x" * 99]),
          INVALID_PARAMETER)
key_write("2.5.6", "an EC certificate", KEK, "dbx", uvsign.x509(NEW_PK),
          after=is_now("dbx", uvsign.x509(NEW_PK)))
key_write("2.5.6", "an unknown type is kept", KEK, "dbx",
          uvsign.siglist("01020304-0506-0708-090a-0b0c0d0e0f10", [b"anything"]))
key_write("2.5.6", "PK has one signature", PK, "PK", uvsign.x509(PK, NEW_PK), INVALID_PARAMETER)
key_write("2.5.6", "PK gets no second one by an append", PK, "PK", uvsign.x509(NEW_PK),
          INVALID_PARAMETER, attributes=AUTH | APPEND)
key_write("2.5.6", "PK appended to itself is nothing new", PK, "PK", uvsign.x509(PK),
          attributes=AUTH | APPEND, after=is_now("PK", uvsign.x509(PK), GLOBAL))
for text, at, value in (("a list of size 0", 16, 0), ("a list under its header", 16, 27),
                        ("signatures of size 0", 24, 0), ("signatures under 16 bytes", 24, 15),
                        ("a header larger than the list", 20, 10000),
                        ("a list larger than the data", 16, 10000)):
    key_write("2.5.7", text, KEK, "dbx", HASHES[:at] + value.to_bytes(4, "little") +
              HASHES[at + 4:], INVALID_PARAMETER)
key_write("2.5.7", "a list shorter than its header", KEK, "dbx", HASHES[:27], INVALID_PARAMETER)


def with_dbx(w):
    assert w.set_signed(KEK, "dbx", IMAGE_SECURITY, uvsign.hashes(1, 2)) == SUCCESS


key_write("2.5.8", "an append adds what is new", KEK, "dbx", uvsign.hashes(2, 3),
          attributes=AUTH | APPEND, before=with_dbx,
          after=is_now("dbx", uvsign.hashes(1, 2) + uvsign.hashes(3)))
key_write("2.5.8", "another owner is another signature", KEK, "dbx", uvsign.hashes(1, owner=TEST),
          attributes=AUTH | APPEND, before=with_dbx,
          after=is_now("dbx", uvsign.hashes(1, 2) + uvsign.hashes(1, owner=TEST)))
key_write("2.5.8", "nothing new is success", KEK, "dbx", uvsign.hashes(2), attributes=AUTH | APPEND,
          before=with_dbx, after=is_now("dbx", uvsign.hashes(1, 2)))
key_write("2.5.8", "every type is kept", KEK, "db", HASHES, attributes=AUTH | APPEND,
          after=is_now("db", uvsign.x509(DB) + HASHES))
key_write("2.5.9", "PK deleted with a signature", PK, "PK", b"", after=modes(1, 0, None))
key_write("2.5.9", "at runtime only SetupMode follows", PK, "PK", b"",
          before=lambda w: w.runtime(),
          after=lambda w: (w.byte("SetupMode"), w.byte("SecureBoot")) == (1, 1) or 1 / 0)
for name in ("PK", "KEK", "db"):
    guid = GLOBAL if name != "db" else IMAGE_SECURITY
    write("2.5.10", f"{name} deleted by attributes 0", name, guid, 0, b"", INVALID_PARAMETER,
          store="enrolled", errno=errno.EACCES)
    write("2.5.10", f"{name} deleted by size 0", name, guid, AUTH, b"", SECURITY_VIOLATION,
          store="enrolled")
    key_write("2.5.10", f"{name} deleted without a signature", None, name, b"", SECURITY_VIOLATION)
    key_write("2.5.10", f"{name} deleted by a stranger", STRANGER, name, b"", SECURITY_VIOLATION)
    write("2.5.10", f"{name} deleted as a plain variable", name, guid, NV_BS_RT, b"",
          INVALID_PARAMETER, store="enrolled")
key_write("2.5.11", "dbr is a db", KEK, "dbr", HASHES, before=lambda w: w.guest.end_of_dxe())
write("2.5.11", "other names are not", "dbz", IMAGE_SECURITY, NV_BS_RT, b"x", INVALID_PARAMETER,
      before=lambda w: w.guest.end_of_dxe())

# 2.6 the signature
for field in ("pad1", "nanosecond", "zone", "daylight", "pad2"):
    key_write("2.6.1", f"{field} is not zero", KEK, "dbx", HASHES, SECURITY_VIOLATION,
              how={"time": uvsign.time_bytes(10, **{field: 1})})
key_write("2.6.2", "an equal time stamp", KEK, "db", HASHES, SECURITY_VIOLATION, second=1)
key_write("2.6.2", "an older time stamp", KEK, "db", HASHES, SECURITY_VIOLATION, second=0)
key_write("2.6.2", "an older year, later seconds", KEK, "db", HASHES, SECURITY_VIOLATION,
          how={"time": uvsign.time_bytes(50, year=2025)})
key_write("2.6.2", "an append may be older", KEK, "db", HASHES, attributes=AUTH | APPEND, second=0)
key_write("2.6.3", "another certificate type", KEK, "db", HASHES, SECURITY_VIOLATION,
          how={"fields": {"kind": 0x0EF0}})
key_write("2.6.3", "another certificate GUID", KEK, "db", HASHES, SECURITY_VIOLATION,
          how={"fields": {"guid": TEST}})
key_write("2.6.4", "bare SignedData", KEK, "db", HASHES)
key_write("2.6.4", "SignedData in ContentInfo", KEK, "db", HASHES, how={"wrapped": True})
key_write("2.6.4", "with signed attributes", KEK, "db", HASHES, how={"signed_attributes": True})
for md, expected in (("sha1", SECURITY_VIOLATION), ("sha224", SECURITY_VIOLATION),
                     ("sha256", SUCCESS), ("sha384", SUCCESS), ("sha512", SUCCESS)):
    key_write("2.6.5", md, KEK, "db", HASHES, expected, how={"md": md})
key_write("2.6.6", "signed without APPEND", KEK, "db", HASHES, SECURITY_VIOLATION, AUTH | APPEND,
          signed_for=AUTH)
key_write("2.6.6", "signed with APPEND", KEK, "db", HASHES, SECURITY_VIOLATION, AUTH,
          signed_for=AUTH | APPEND)
write("2.6.6", "signed for another name", "dbx", IMAGE_SECURITY, AUTH,
      uvsign.write(KEK, "db", IMAGE_SECURITY, HASHES, 10), SECURITY_VIOLATION, store="enrolled")
write("2.6.6", "signed for another GUID", "db", IMAGE_SECURITY, AUTH,
      uvsign.write(KEK, "db", GLOBAL, HASHES, 10), SECURITY_VIOLATION, store="enrolled")
write("2.6.6", "another byte in the data", "db", IMAGE_SECURITY, AUTH,
      uvsign.write(KEK, "db", IMAGE_SECURITY, HASHES, 10)[:-1] + b"x", SECURITY_VIOLATION,
      store="enrolled")
write("2.6.6", "another time", "db", IMAGE_SECURITY, AUTH,
      uvsign.time_bytes(11) + uvsign.write(KEK, "db", IMAGE_SECURITY, HASHES, 10)[16:],
      SECURITY_VIOLATION, store="enrolled")


def self_signed(rule, text, key):
    key_write(rule, text, key, "PK", uvsign.x509(key), store="empty", after=modes(0, 1, 1))


self_signed("2.6.7", "an expired certificate", uvsign.Key("expired").expire())
self_signed("2.6.8", "RSA of 1024 bits", uvsign.Key("weak", 1024))
self_signed("2.6.8", "a certificate signed with SHA-1", uvsign.Key("sha1", 2048, md="sha1"))
self_signed("2.6.8", "a certificate signed with MD5", uvsign.Key("md5", 2048, md="md5"))


# 2.6.9: certificates that firmware takes and GnuTLS does not read
def odd_certificate(text, how):
    @call("2.6.9", text, doors="gh")
    def _(w):
        odd = uvodd.OddKey("odd", **how)
        assert w.set_signed(odd, "PK", GLOBAL, uvsign.x509(odd)) == SUCCESS
        modes(0, 1, 1)(w)
        keks = uvsign.x509(STRANGER) + uvsign.siglist(uvsign.X509, [odd.der]) + uvsign.x509(KEK)
        assert w.set_signed(odd, "KEK", GLOBAL, keks) == SUCCESS
        assert w.set_signed(KEK, "PK", GLOBAL, uvsign.x509(PK), second=2) == SECURITY_VIOLATION
        assert w.set_signed(odd, "PK", GLOBAL, uvsign.x509(PK), second=2) == SUCCESS
        for second, key in enumerate((odd, KEK, STRANGER), 1):
            status = w.set_signed(key, "db", IMAGE_SECURITY, HASHES, second=second)
            assert status == SUCCESS, (second, status_name(status))
        other = uvodd.OddKey("odd", 1, **how)
        assert w.set_signed(other, "db", IMAGE_SECURITY, HASHES, second=9) == SECURITY_VIOLATION
        changed = bytearray(w.sign(odd, "db", IMAGE_SECURITY, HASHES, second=9))
        changed[-1] ^= 1
        assert w.write("db", IMAGE_SECURITY, AUTH, bytes(changed)) == errno.EACCES
        assert w.set_signed(odd, "P", TEST, b"one") == SUCCESS
        assert w.set_signed(other, "P", TEST, b"two", second=2) == SECURITY_VIOLATION
        assert w.set_signed(odd, "P", TEST, b"two", second=2) == SUCCESS


for text, how in uvodd.ODDITIES.items():
    odd_certificate(text, how)


# 2.7 private authenticated variables
def private(w):
    assert w.set_signed(KEK, "P", TEST, b"one") == SUCCESS


@call("2.7.1", "no certdb in a JSON store", before=private)
def _(w):
    assert w.data("certdb", CERT_DB) is None


key_write("2.7.2", "the first write needs a signature", None, "P", b"two", SECURITY_VIOLATION)
key_write("2.7.2", "anybody's", STRANGER, "P", b"two", after=is_now("P", b"two", TEST))
key_write("2.7.3", "an update by the same signer", KEK, "P", b"two", before=private,
          after=is_now("P", b"two", TEST))
key_write("2.7.3", "an append by the same signer", KEK, "P", b"two", attributes=AUTH | APPEND,
          before=private, after=is_now("P", b"onetwo", TEST))
key_write("2.7.3", "an update by another signer of the same name", STRANGER, "P", b"two",
          SECURITY_VIOLATION, before=private)
key_write("2.7.3", "an append by another signer", STRANGER, "P", b"two", SECURITY_VIOLATION,
          AUTH | APPEND, before=private)
key_write("2.7.3", "the same time stamp", KEK, "P", b"two", SECURITY_VIOLATION, second=1,
          before=private)
key_write("2.7.3", "deleted by its signer", KEK, "P", b"", before=private,
          after=is_now("P", None, TEST))
key_write("2.7.3", "deleted by another", STRANGER, "P", b"", SECURITY_VIOLATION, before=private)
key_write("2.7.3", "deleted without being there", KEK, "P", b"", NOT_FOUND, doors="g")
write("2.7.4", "written without authentication", "P", TEST, NV_BS_RT, b"two", INVALID_PARAMETER,
      before=private)
write("2.7.4", "deleted by attributes 0", "P", TEST, 0, b"", WRITE_PROTECTED, before=private,
      errno=errno.EACCES)
write("2.7.4", "deleted by size 0", "P", TEST, AUTH, b"", SECURITY_VIOLATION, before=private)
key_write("2.7.4", "AT over a plain variable", KEK, "P", b"two", INVALID_PARAMETER,
          before=lambda w: w.set("P"))
key_write("2.7.5", "presence deletes nothing unsigned", None, "P", b"", SECURITY_VIOLATION,
          before=private)
key_write("2.7.5", "custom mode waives nothing here", None, "P", b"two", SECURITY_VIOLATION,
          before=lambda w: (private(w), custom(w)))


@call("2.7.6", "a chain in any order is one signer")
def _(w):
    root = uvsign.Key("root")
    leaf = uvsign.Key("leaf", issuer=root, ca=False)
    assert w.set_signed(leaf, "P", TEST, b"one", others=[root]) == SUCCESS
    assert w.set_signed(leaf, "P", TEST, b"two", second=2, others=[root], wrapped=True) == SUCCESS
    fake = uvsign.Key("leaf")
    assert w.set_signed(fake, "P", TEST, b"x", second=3, others=[root]) == SECURITY_VIOLATION


# 2.8 modes
OWNED = (("SetupMode", GLOBAL), ("SecureBoot", GLOBAL), ("SignatureSupport", GLOBAL),
         ("VendorKeys", GLOBAL), ("AuditMode", GLOBAL), ("DeployedMode", GLOBAL),
         ("VendorKeysNv", VENDOR_KEYS_NV), ("certdb", CERT_DB), ("certdbv", CERT_DB))
NUMBER = {"SetupMode": 1, "SecureBoot": 2, "SignatureSupport": 3, "VendorKeysNv": 6,
          "VendorKeys": 6, "certdb": 7, "certdbv": 7, "AuditMode": 8, "DeployedMode": 8}
for name, guid in OWNED:
    write(f"2.8.{NUMBER[name]}", f"{name} is the service's", name, guid, BS_RT, b"\1\2",
          WRITE_PROTECTED)
    write(f"2.8.{NUMBER[name]}", f"{name} can't be deleted", name, guid, 0, b"", WRITE_PROTECTED,
          doors="g")


@call("2.8.1", "SetupMode without PK, and with it", doors="gh")
def _(w):
    modes(1, 0, None)(w)
    assert w.set_signed(PK, "PK", GLOBAL, uvsign.x509(PK)) == SUCCESS
    modes(0, 1, 1)(w)


@call("2.8.2", "SecureBoot follows SecureBootEnable", store="enrolled", doors="gh")
def _(w):
    modes(0, 1, 1)(w)
    assert w.write("SecureBootEnable", SECURE_BOOT_ENABLE, NV_BS, b"\0") == 0
    modes(0, 0, 0)(w)
    w.guest.reset()
    modes(0, 0, 0)(w)


@call("2.8.3", "SignatureSupport", doors="gh")
def _(w):
    data = w.data("SignatureSupport", GLOBAL)
    assert len(data) == 6 * 16 and guid_bytes(uvsign.X509) in data


write("2.8.4", "SecureBootEnable has one byte", "SecureBootEnable", SECURE_BOOT_ENABLE, NV_BS,
      b"\1\1", INVALID_PARAMETER, before=lambda w: w.guest.end_of_dxe())
write("2.8.4", "SecureBootEnable is forced", "SecureBootEnable", SECURE_BOOT_ENABLE, NV_BS, b"\0",
      WRITE_PROTECTED, store="enrolled", arguments=("--force-secure-boot",), after=modes(0, 1, 1))
write("2.8.4", "SecureBootEnable deleted while forced", "SecureBootEnable", SECURE_BOOT_ENABLE, 0,
      b"", WRITE_PROTECTED, store="enrolled", arguments=("--force-secure-boot",))


@call("2.8.5", "CustomMode is reset at each boot", doors="gh")
def _(w):
    custom(w)
    assert w.byte("CustomMode", CUSTOM_MODE) == 1
    w.guest.reset()
    assert w.byte("CustomMode", CUSTOM_MODE) == 0


write("2.8.5", "CustomMode disabled", "CustomMode", CUSTOM_MODE, NV_BS, b"\1", SECURITY_VIOLATION,
      arguments=("--disable-custom-mode",))


@call("2.8.6", "VendorKeys tell of unsigned keys, for good", store="enrolled", doors="gh")
def _(w):
    assert (w.byte("VendorKeys"), w.byte("VendorKeysNv", VENDOR_KEYS_NV)) == (1, 1)
    custom(w)
    assert w.set_signed(None, "db", IMAGE_SECURITY, HASHES) == SUCCESS
    assert (w.byte("VendorKeys"), w.byte("VendorKeysNv", VENDOR_KEYS_NV)) == (0, 0)
    w.guest.reset()
    assert w.byte("VendorKeys") == 0


@call("2.8.8", "AuditMode and DeployedMode are 0", doors="gh")
def _(w):
    assert (w.byte("AuditMode"), w.byte("DeployedMode")) == (0, 0)


MOR = "e20939be-32d4-41be-a150-897f85d49829"
MOR_LOCK = "bb983ccf-151d-40e1-a07b-4a17be168292"


@call("2.8.9", "memory overwrite request and its lock")
def _(w):
    w.set("MemoryOverwriteRequestControl", MOR, NV_BS_RT, b"\0")
    w.guest.end_of_dxe()
    assert w.guest.set("MemoryOverwriteRequestControl", MOR, NV_BS_RT, b"\1") == SUCCESS
    assert w.guest.set("MemoryOverwriteRequestControlLock", MOR_LOCK, NV_BS_RT, b"\1") == SUCCESS
    assert w.guest.set("MemoryOverwriteRequestControl", MOR, NV_BS_RT, b"\0") == ACCESS_DENIED
    assert w.guest.delete("MemoryOverwriteRequestControlLock", MOR_LOCK) == WRITE_PROTECTED


write("2.8.10", "SecureBootEnable without presence", "SecureBootEnable", SECURE_BOOT_ENABLE, NV_BS,
      b"\0", SECURITY_VIOLATION, store="enrolled", arguments=("--disable-custom-mode",))
write("2.8.10", "CustomMode at runtime", "CustomMode", CUSTOM_MODE, NV_BS, b"\1", WRITE_PROTECTED,
      before=lambda w: w.runtime())
write("2.8.10", "SecureBootEnable at runtime, not there", "SecureBootEnable", SECURE_BOOT_ENABLE,
      NV_BS, b"\1", SECURITY_VIOLATION, before=lambda w: w.runtime())
write("2.8.10", "SecureBootEnable deleted with presence", "SecureBootEnable", SECURE_BOOT_ENABLE, 0,
      b"", store="enrolled")
write("2.8.11", "SetupMode at runtime", "SetupMode", GLOBAL, BS_RT, b"\1", WRITE_PROTECTED,
      before=lambda w: w.runtime(), store="enrolled")
