# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates that firmware takes and GnuTLS does not read, written by hand: each has one oddity.
openssl makes the keys and the signatures."""

import functools

from uvsign import Key, openssl, scratch

NULL = b"\5\0"
RSA = bytes.fromhex("2a864886f70d0101")  # 1.2.840.113549.1.1
CRITICAL = b"\1\1\xff"


def der(tag, *parts):
    body = b"".join(parts)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def sequence(*parts):
    return der(0x30, *parts)


def algorithm(number):
    """rsaEncryption is 1, with SHA-1 5, with SHA-256 11."""
    return sequence(der(6, RSA, bytes([number])), NULL)


SHA256 = sequence(der(6, bytes.fromhex("608648016503040201")), NULL)


def extension(number, value, critical=CRITICAL):
    """2.5.29.`number`"""
    return sequence(der(6, b"\x55\x1d", bytes([number])), critical, der(4, value))


def utc(text):
    return der(0x17, text)


AUTHORITY = extension(19, sequence(b"\1\1\xff"))
USAGE = extension(15, b"\3\2\7\x80"), extension(15, b"\3\2\2\4")
BEGIN, END = utc(b"200101000000Z"), utc(b"400101000000Z")


@functools.lru_cache(None)
def rsa(number):
    """A key's file and its SubjectPublicKeyInfo; made once for each number."""
    path = scratch() / f"odd-{number}.key"
    openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path)
    return path, openssl("pkey", "-in", path, "-pubout", "-outform", "DER")


class OddKey(Key):
    """Self-signed, with the key of that number. As uvsign.Key, but that `pkcs7` knows no options."""

    def __init__(self, name, number=0, version=2, begin=BEGIN, end=END, extensions=(AUTHORITY,),
                 inner=11):
        self.name = name
        self.key, public = rsa(number)
        self.issuer = sequence(der(0x31, sequence(der(6, b"\x55\4\3"), der(0x13, name.encode()))))
        tbs = sequence(der(0xA0, der(2, bytes([version]))) if version else b"", der(2, b"\1"),
                       algorithm(inner), self.issuer, sequence(begin, end), self.issuer, public,
                       der(0xA3, sequence(*extensions)) if extensions else b"")
        self.der = sequence(tbs, algorithm(11), der(3, b"\0", self.sign(tbs)))

    def sign(self, data):
        return openssl("dgst", "-sha256", "-sign", self.key, data=data)

    def pkcs7(self, content):
        signer = sequence(der(2, b"\1"), sequence(self.issuer, der(2, b"\1")), SHA256,
                          algorithm(1), der(4, self.sign(content)))
        return sequence(der(2, b"\1"), der(0x31, SHA256),
                        sequence(der(6, RSA[:-1] + b"\7\1")), der(0xA0, self.der),
                        der(0x31, signer))


ODDITIES = {
    "two keyUsage extensions": {"extensions": (AUTHORITY, *USAGE)},
    "two subject key identifiers": {"extensions": (
        AUTHORITY, *(extension(14, der(4, c * 20), b"") for c in (b"a", b"b")))},
    "version 1 with extensions": {"version": 0},
    "UTCTime with an offset": {"begin": utc(b"200101000000+0100")},
    "GeneralizedTime with a fraction": {"end": der(0x18, b"20400101000000.5Z")},
    "another algorithm inside": {"inner": 5},
}
