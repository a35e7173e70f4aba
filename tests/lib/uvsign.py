# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys, signature lists and authenticated writes for tests, made with the openssl program."""

import functools
import pathlib
import struct
import subprocess
import tempfile

import uvproto

X509 = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"
SHA256 = "c1c41626-504c-4092-aca9-41f936934328"
PKCS7 = "4aafd29d-68df-49ee-8aa9-347d375665a7"
OWNER = "11111111-2222-3333-4444-555555555555"
KEYS = uvproto.NV_BS_RT_AT


@functools.lru_cache(None)
def scratch():
    folder = tempfile.TemporaryDirectory(prefix="uvsign-")
    scratch.keep = folder
    return pathlib.Path(folder.name)


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


class Key:
    """A key and its certificate; issued by another one, or self-signed."""

    count = 0

    def __init__(self, name, kind="ec", issuer=None, ca=True, md="sha256"):
        Key.count += 1
        base = scratch() / f"{Key.count}-{name.replace(chr(47), chr(95))}"
        self.name = name
        self.key, self.pem = base.with_suffix(".key"), base.with_suffix(".pem")
        new = (["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec"
               else [f"rsa:{kind}"])
        subject = "/CN=" + name.replace("/", "\\/")
        openssl("req", "-x509", "-newkey", *new, "-nodes", "-subj", subject, f"-{md}",
                "-keyout", self.key, "-out", self.pem, "-addext",
                f"basicConstraints=critical,CA:{'TRUE' if ca else 'FALSE'}",
                *(["-CA", issuer.pem, "-CAkey", issuer.key] if issuer else []))
        self.der = openssl("x509", "-in", self.pem, "-outform", "DER")

    def expire(self):
        """The certificate again, of long ago."""
        folder = self.key.with_suffix(".ca")
        folder.mkdir()
        (folder / "index").write_text("")
        (folder / "config").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nnew_certs_dir={folder}\n"
            "rand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
        openssl("req", "-new", "-key", self.key, "-subj", f"/CN={self.name}", "-out",
                folder / "csr")
        openssl("ca", "-batch", "-selfsign", "-config", folder / "config", "-keyfile", self.key,
                "-startdate", "20000101000000Z", "-enddate", "20010101000000Z", "-notext", "-in",
                folder / "csr", "-out", self.pem)
        self.der = openssl("x509", "-in", self.pem, "-outform", "DER")
        return self

    def pkcs7(self, content, md="sha256", others=(), wrapped=False, signed_attributes=False):
        """Detached SignedData over `content`, bare unless `wrapped`."""
        extra = []
        if others:
            bundle = scratch() / "bundle.pem"
            bundle.write_bytes(b"".join(o.pem.read_bytes() for o in others))
            extra = ["-certfile", bundle]
        der = openssl("cms", "-sign", "-binary", "-outform", "DER", "-md", md, "-signer", self.pem,
                      "-inkey", self.key, *([] if signed_attributes else ["-noattr"]), *extra,
                      data=content)
        return der if wrapped else unwrap(der)


def element(data, at=0):
    """(start of the content, end) of the DER element at `at`."""
    length, header = data[at + 1], 2
    if length & 0x80:
        n = length & 0x7F
        length, header = int.from_bytes(data[at + 2:at + 2 + n], "big"), 2 + n
    return at + header, at + header + length


def unwrap(der):
    start, _ = element(der)
    _, after_oid = element(der, start)
    inner, end = element(der, after_oid)
    return der[inner:end]


def wrap(der):
    """ContentInfo around a bare SignedData of at least 256 bytes."""
    def long(tag, content):
        return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content
    return long(0x30, bytes.fromhex("06092a864886f70d010702") + long(0xa0, der))


def siglist(type_, signatures, owner=OWNER, header=b""):
    size = 16 + len(signatures[0])
    body = b"".join(uvproto.guid_bytes(owner) + s for s in signatures)
    return (uvproto.guid_bytes(type_) +
            struct.pack("<III", 28 + len(header) + len(body), len(header), size) + header + body)


def x509(*keys):
    return b"".join(siglist(X509, [k.der]) for k in keys)


def hashes(*numbers, owner=OWNER):
    return siglist(SHA256, [bytes([n]) * 32 for n in numbers], owner)


def time_bytes(second=0, year=2026, **fields):
    """EFI_TIME so many seconds into January 1st; fields: pad1, nanosecond, zone, daylight, pad2."""
    return struct.pack("<HBBBBBBIhBB", year, 1, 1, second // 3600, second // 60 % 60, second % 60,
                       fields.get("pad1", 0), fields.get("nanosecond", 0), fields.get("zone", 0),
                       fields.get("daylight", 0), fields.get("pad2", 0))


def header(time, pkcs7, revision=0x0200, kind=0x0EF1, guid=PKCS7, length=None):
    return time + struct.pack("<IHH", 24 + len(pkcs7) if length is None else length, revision,
                              kind) + uvproto.guid_bytes(guid) + pkcs7


def signed_bytes(name, guid, attributes, time, data):
    return (uvproto.ucs2(name)[:-2] + uvproto.guid_bytes(guid) + struct.pack("<I", attributes) +
            time + data)


def write(key, name, guid, data, second=1, attributes=KEYS, time=None, fields=None, **how):
    """What to write: EFI_VARIABLE_AUTHENTICATION_2 and data. `key` None: not signed."""
    time = time or time_bytes(second)
    content = signed_bytes(name, guid, attributes, time, data)
    return header(time, key.pkcs7(content, **how) if key else b"", **(fields or {})) + data
