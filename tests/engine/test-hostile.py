#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest may leave in its boot options and keys costs its own engine at most 50 ms of a
processor for each answer, and never its life. The worst that are known, in a store of 8 MiB."""

import pathlib
import struct
import sys
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvpace  # noqa: E402
import uvproto as p  # noqa: E402
import uvsign as s  # noqa: E402
from uvengine import EngineTest  # noqa: E402
from uvmount import store_text, variable  # noqa: E402

DB = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
X509 = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"
SHA256 = "c1c41626-504c-4092-aca9-41f936934328"
KEYS = 0x27
BOUND_MS = 50
KIB = 1024
STORE = ("--size", str(8 * KIB * KIB))


def node(type_, subtype, payload):
    return struct.pack("<BBH", type_, subtype, 4 + len(payload)) + payload


USB, END = node(3, 5, b"\1\0"), node(0x7F, 0xFF, b"")


def option(number, path, description="a", data=b""):
    path += END
    return variable(f"Boot{number:04X}", struct.pack("<IH", 1, len(path)) +
                    (description + "\0").encode("utf-16-le") + path + data, guid=p.GLOBAL)


def order(*numbers):
    return variable("BootOrder", struct.pack(f"<{len(numbers)}H", *numbers), guid=p.GLOBAL)


def key(name, type_, signatures):
    body = b"".join(uuid.UUID(p.GLOBAL).bytes_le + one for one in signatures)
    return variable(name, uuid.UUID(type_).bytes_le +
                    struct.pack("<III", 28 + len(body), 0, 16 + len(signatures[0])) + body, KEYS, DB)


def der(tag, content):
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def parts(content):
    out = []
    at = 0
    while at < len(content):
        start, end = s.element(content, at)
        out.append((content[at], content[start:end]))
        at = end
    return out


class Certificate:
    """One that is signed no more, with other fields."""

    def __init__(self, bytes_):
        (_, whole), = parts(bytes_)
        (_, tbs), self.algorithm, self.signature = parts(whole)
        self.fields = parts(tbs)

    def bytes(self, **others):
        names = ("version", "serial", "algorithm", "issuer", "validity", "subject", "key",
                 "extensions")
        fields = [(tag, others.get(name, content))
                  for name, (tag, content) in zip(names, self.fields)]
        tbs = der(0x30, b"".join(der(*field) for field in fields))
        return der(0x30, tbs + der(*self.algorithm) + der(*self.signature))


def extension(i):
    return der(0x30, der(6, b"\x2a\x03" + bytes([0x80 | i >> 7 & 0x7F, i & 0x7F])) + der(4, b"\0"))


def name(oid, i):
    return der(0x31, der(0x30, der(6, oid) + der(0x0C, b"%d" % i)))


class Hostile(EngineTest):
    engine_now = None

    def cpu_ms(self, engine):
        return int(pathlib.Path(f"/proc/{engine.process.pid}/schedstat").read_text().split()[0]) / 1e6

    def bounded(self, what, act):
        """The least of three: what else the machine does falls on a processor, too."""
        took = []
        for _ in range(3):
            before = self.cpu_ms(self.engine_now)
            result = act()
            took.append(self.cpu_ms(self.engine_now) - before)
        if not uvengine.sanitized():
            self.assertLessEqual(min(took), BOUND_MS * uvpace.factor(), what)
        return result

    def look(self, view, *variables):
        """Lists the view, and reads some of what is in it."""
        if self.engine_now:
            self.engine_now.stop()
        engine = self.engine_now = self.engine(*STORE, start=False)
        pathlib.Path(engine.store).write_text(store_text(*variables))
        engine.start()
        host = self.host(engine)
        files = list(self.bounded("list", lambda: host.view_list(view)))
        for path in files[:12] + files[-3:]:
            self.bounded(path, lambda path=path: host.view_read(view, path))
        self.assertIsNone(engine.process.poll())
        self.addCleanup(host.close)
        return host

    def test_long_paths(self):
        for path in (node(1, 0xEE, b"") * 15000, USB * 10000, node(3, 10, bytes(16)) * 3000,
                     node(4, 4, ("x" * 30000 + "\0").encode("utf-16-le")),
                     node(3, 24, b"x" * 60000)):
            with self.subTest(path=path[:8]):
                self.look("boot", option(0, path), order(0))

    def test_path_of_many_nodes(self):
        """Is shown as what it is made of, and can be replaced."""
        host = self.look("boot", option(0, USB * 1000), order(0))
        text = host.view_read("boot", "0000/path").decode()
        self.assertEqual(text.strip(), "hex:" + (USB * 1000 + END).hex())
        self.assertIn("hex:" + USB.hex() * 10, host.view_read("boot", "summary").decode())
        self.assertEqual(host.view_act("boot", "0000/path", b"\\EFI\\x.efi")[0], 0)
        self.assertIn(b"x.efi", host.view_read("boot", "0000/path"))

    def test_order(self):
        for path in (USB * 60, USB * 9000):
            self.look("boot", option(0, path), order(*[0] * 30000))
        self.look("boot", order(*range(30000)))
        self.look("boot", *(option(i, USB) for i in range(1000)), order(*range(1000)))

    def test_each_option_once(self):
        host = self.look("boot", option(1, USB), option(2, USB), order(2, 7, 2, 7, 2))
        lines = host.view_read("boot", "summary").decode().splitlines()[3:]
        self.assertEqual([line[:4] for line in lines], ["0002", "0007", "0001"])

    def test_long_texts(self):
        self.look("boot", option(0, USB, "\u0101" * 32000), order(0))
        self.look("boot", option(0, USB, data=b"x" * 60000), order(0))

    def test_what_is_no_certificate(self):
        for count in (3500, 58000):
            self.look("secure-boot", key("db", X509, [struct.pack("<H", i) for i in range(count)]))
        self.look("secure-boot", key("dbx", SHA256, [struct.pack("<I", i) * 8 for i in range(20000)]))

    def test_many_certificates(self):
        one = Certificate(s.Key("Test").der)
        size = len(one.bytes()) + 16
        for count in (64 * KIB // size, 1000 * KIB // size):
            host = self.look("secure-boot", key("db", X509, [
                one.bytes(serial=b"\1" + i.to_bytes(len(one.fields[1][1]) - 1, "big"))
                for i in range(count)]))
            summary = host.view_read("secure-boot", "summary").decode()
            self.assertEqual(summary.count("db: Test"), min(count, 512))
            self.assertEqual("db: others are in list.esl alone" in summary, count > 512)
        self.look("secure-boot", key("db", X509, [one.bytes()] * (1000 * KIB // size)))

    def test_large_certificates(self):
        one = Certificate(s.Key("Test").der)
        many = b"".join(name(b"\x55\x04\x0b", i) for i in range(4000))
        for other in ({"subject": many}, {"issuer": many},
                      {"subject": b"".join(name(b"\x55\x04\x03", i) for i in range(4000))},
                      {"extensions": der(0x30, b"".join(map(extension, range(4000))))}):
            with self.subTest(other=list(other)):
                self.look("secure-boot", key("db", X509, [one.bytes(**other)]))

    def test_written(self):
        """By a guest that enrols it."""
        one = Certificate(s.Key("Test").der)
        many = b"".join(name(b"\x55\x04\x0b", i) for i in range(3000))
        engine = self.engine_now = self.engine(*STORE)
        guest = self.guest(engine)
        for other in ({"subject": many}, {"issuer": many}):
            lists = s.siglist(X509, [one.bytes(**other)])
            number = iter(range(1, 10))
            status = self.bounded("SetVariable", lambda: guest.set(
                "db", DB, KEYS, s.header(s.time_bytes(next(number)), b"") + lists))
            self.assertIn(status, (p.SUCCESS, p.SECURITY_VIOLATION, p.INVALID_PARAMETER))


if __name__ == "__main__":
    unittest.main(verbosity=2)
