#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The record: who changed what, each door, hostile names, and an engine that is killed."""

import errno
import hashlib
import itertools
import json
import os
import pathlib
import random
import struct
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
import uvsign as s  # noqa: E402
from uvengine import EngineTest  # noqa: E402

LIVES = 1000 if os.environ.get("UV_LONG") else 40


def file_name(name):
    return f"{name}-{s.OWNER}"


class Record(EngineTest):
    def start(self, *options, **named):
        self.e = self.engine(*options, **named)
        self.h = self.host(self.e)

    def path(self, suffix=""):
        return os.path.join(self.folder, ".uefivarsfs", "vars.json.changes" + suffix)

    def lines(self, door=None):
        self.h.status()  # what has been answered is in the file
        text = b""
        for suffix in (".1", ""):
            if os.path.exists(self.path(suffix)):
                with open(self.path(suffix), "rb") as file:
                    text += file.read()
        self.assertTrue(text.endswith(b"\n") or not text)
        lines = [json.loads(line) for line in text.splitlines()]
        return [line for line in lines if door is None or line.get("door") == door]

    def set(self, name, data, **named):
        return self.h.set_variable(name, s.OWNER, data=data, **named)

    def test_a_change(self):
        self.start()
        self.h.actor(1000, 100, 4711, "b\"as\\h\n".encode())
        self.set("Greeting", b"hello")
        self.set("Greeting", b"good bye")
        self.h.delete(file_name("Greeting"))
        first, second, third = self.lines("host")
        self.assertRegex(first["time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertEqual(first["who"], {"uid": 1000, "gid": 100, "pid": 4711, "comm": "b\"as\\h\n"})
        self.assertEqual(first["variable"], file_name("Greeting"))
        self.assertIsNone(first["attributes-before"])
        self.assertEqual((first["attributes"], first["size"], first["status"]), (7, 5, 0))
        self.assertEqual(first["sha256"], hashlib.sha256(b"hello").hexdigest())
        self.assertNotIn("who", second)
        self.assertEqual(second["sha256-before"], first["sha256"])
        self.assertEqual(bytes.fromhex(second["old"]), b"hello")
        self.assertEqual((third["attributes"], third["size"]), (None, None))
        self.assertEqual(os.stat(self.path()).st_mode & 0o777, 0o600)

    def test_is_there_before_the_reply(self):
        """Of what came by the host's door, also what was refused."""
        self.start()
        self.set("A", b"first")
        for i in range(300):
            before = os.stat(self.path()).st_size
            outcome = self.set("A", b"%d" % i) if i % 2 else self.set("A", b"x", attributes=0x80)
            self.assertGreater(os.stat(self.path()).st_size, before, (i, outcome))

    def test_what_changes_nothing(self):
        self.start()
        self.set("A", b"1")
        self.set("A", b"1")
        self.h.delete(file_name("None"))
        self.assertEqual(len(self.lines()), 1)

    def test_old_values(self):
        self.start()
        for size in (1024, 1025):
            self.set("Big", bytes(size))
            self.set("Big", b"x" * size)
        olds = [line.get("old") for line in self.lines() if line["size-before"] is not None]
        self.assertEqual(olds[0], "00" * 1024)
        self.assertNotIn("00" * 1025, olds)

    def test_doors(self):
        self.start()
        pk = s.Key("PK")
        guest = self.guest(self.e, name="qemu-test")
        self.assertEqual(guest.set("ByGuest", s.OWNER, 7, b"g"), 0)
        self.set("ByHost", b"h")
        self.h.actor(1001, 101, 42, b"cp")
        self.assertEqual(self.h.view_act("next-boot", f"vars/{file_name('ByNext')}",
                                         struct.pack("<I", 7) + b"n")[0], 0)
        guest.reset()
        guest.bye()
        self.h.actor(1002, 102, 43, b"tee")
        self.assertEqual(self.h.view_act("secure-boot", "PK/replace", pk.der)[0], 0)
        with open(self.e.store) as file:
            store = json.load(file)
        store["variables"].append({"name": "ByHand", "guid": s.OWNER, "attr": 7, "data": "aa"})
        with open(self.e.store, "w") as file:
            json.dump(store, file)
        self.h.check()
        by = {line["variable"].split("-")[0]: line for line in self.lines()}
        self.assertEqual({name: by[name]["door"] for name in
                          ("ByGuest", "ByHost", "ByNext", "PK", "ByHand")},
                         {"ByGuest": "guest", "ByHost": "host", "ByNext": "next-boot",
                          "PK": "owner", "ByHand": "outside"})
        who = by["ByGuest"]["who"]
        self.assertEqual((who["client"], who["phase"]), ("qemu-test", "boot"))
        self.assertRegex(who["session"], r"^[0-9a-f]{32}$")
        self.assertEqual(by["ByNext"]["who"],
                         {"uid": 1001, "gid": 101, "pid": 42, "comm": "cp"})
        self.assertEqual(by["PK"]["who"]["uid"], 1002)
        self.assertNotIn("who", by["ByHand"])

    def test_boot_work(self):
        """What the engine writes at a cold start, and after a reset, is the session's that begins."""
        self.start()
        guest = self.guest(self.e, name="first")
        for line in self.lines("guest"):
            self.assertEqual((line["who"]["client"], line["who"]["phase"]), ("first", "boot"))
        self.assertTrue(self.lines("guest"))
        guest.exit_boot_services()
        self.assertEqual(guest.set("Late", s.OWNER, 7, b"x"), 0)
        self.assertEqual(self.lines("guest")[-1]["who"]["phase"], "runtime")

    def test_outside_has_no_who(self):
        self.start()
        self.set("A", b"1")
        self.h.export()
        with open(self.e.store) as file:
            store = json.load(file)
        store["variables"].append({"name": "ByHand", "guid": s.OWNER, "attr": 7, "data": "aa"})
        with open(self.e.store, "w") as file:
            json.dump(store, file)
        self.h.actor(1000, 100, 4711, b"sh")
        self.set("A", b"2")
        self.assertEqual([(line["variable"], line["door"], "who" in line)
                          for line in self.lines()[1:]],
                         [(file_name("ByHand"), "outside", False), (file_name("A"), "host", True)])

    def test_load(self):
        self.start()
        self.set("Moved", b"1")
        source = self.guest(self.e)
        blob = source.save()
        source.bye()
        self.set("Moved", b"2")
        target = self.raw_guest(self.e)
        target.hello(flags=p.HELLO_INCOMING, name="target")
        target.load(blob)
        line = self.lines("migration")[-1]
        self.assertEqual(line["variable"], file_name("Moved"))
        self.assertEqual(bytes.fromhex(line["old"]), b"2")
        self.assertEqual(line["who"]["client"], "target")

    def test_shared_store(self):
        """What the source wrote it has recorded: the target, which reads it, does not do so again."""
        self.start()
        source = self.guest(self.e, name="source")
        other = self.engine(name="other")
        target = self.raw_guest(other)
        target.hello(flags=p.HELLO_INCOMING)
        self.assertEqual(source.set("Moved", s.OWNER, 7, b"1"), 0)
        target.load(source.save(release=True))
        self.assertEqual(target.set("Moved", s.OWNER, 7, b"2"), 0)
        host = self.host(other)
        host.status()
        lines = [line for line in self.lines() if line["variable"] == file_name("Moved")]
        self.assertEqual([(line["door"], line["size-before"]) for line in lines],
                         [("guest", None), ("guest", 1)])

    def test_refusals(self):
        self.start()
        self.h.set_variable("SetupMode", data=b"\0", attributes=6)
        line = self.lines()[-1]
        self.assertNotEqual(line["status"], 0)
        self.assertRegex(line["rule"], r"^[12]\.\d")
        self.assertTrue(line["reason"])
        for _ in range(1000):
            self.h.set_variable("SetupMode", data=b"\0", attributes=6)
        self.assertLess(len(self.lines()), 300)

    def test_refused_before_it_is_a_change(self):
        self.start()
        self.set("There", b"1")
        self.h.set(file_name("There"), struct.pack("<I", 7) + b"2", flags=2)
        self.h.set("no name", b"")
        self.h.import_(b'{"version": 2, "variables": [{"name')
        self.h.view_act("secure-boot", "PK/replace", b"no key")
        self.h.view_act("boot", "order", b"nonsense")
        self.assertEqual([line["path"] for line in self.lines()[1:]],
                         ["vars/" + file_name("There"), "vars/no name", "store.json",
                          "secure-boot/PK/replace", "boot/order"])
        for line in self.lines()[1:]:
            self.assertNotEqual(line["status"], 0)
            self.assertTrue(line["reason"])

    def test_refused_by_the_front(self):
        """What came to no engine is told to it, with an errno for a status, and with its own time."""
        self.start()
        self.h.actor(1000, 100, 4711, b"cp")
        self.h.refused(errno.EFBIG, "vars/A\n\"", "too \u2028large", "write", 1_000_000)
        self.set("A", b"1")
        line = self.lines()[0]
        self.assertEqual(line, {
            "time": "1970-01-01T00:00:01.000000Z", "door": "host",
            "who": {"uid": 1000, "gid": 100, "pid": 4711, "comm": "cp"}, "path": "vars/A\n\"",
            "operation": "write", "errno": "EFBIG", "status": None, "rule": "",
            "reason": "too \u2028large"})
        self.assertNotIn("who", self.lines()[1])
        self.h.refused(errno.EPERM, "boot", "no", "mkdir", left_out=5)
        missing, line = self.lines()[-2:]
        self.assertEqual((missing["not-recorded"], line["operation"]), (5, "mkdir"))
        for _ in range(1000):
            self.h.refused(errno.EPERM, "boot", "no")
        self.assertLess(len(self.lines()), 300)

    def test_malformed_refusals(self):
        self.start()
        whole = (struct.pack("<QII", 1, 1, 0) + p.host_name("write") + p.host_name("a") +
                 p.host_name("b"))
        for payload in [whole[:n] for n in range(len(whole))] + [
                whole + b"x", struct.pack("<QII", 1, 0, 0) + whole[16:],
                struct.pack("<QII", 1, 1 << 31, 0) + whole[16:]]:
            self.h.send(p.HOST_REFUSED, payload)
        self.assertEqual(self.lines(), [])
        self.h.send(p.HOST_REFUSED, struct.pack("<QII", 2 ** 64 - 1, 9999, 0) + whole[16:])
        self.assertEqual(self.lines()[0]["errno"], "unknown")

    def test_waived(self):
        """A change that variable checks only tell of is a change, once."""
        self.start("--varcheck", "off")
        self.h.set_variable("Timeout", attributes=7, data=b"12345")
        self.assertEqual([line["status"] for line in self.lines()], [0])

    def test_hostile_names(self):
        self.start()
        guest = self.guest(self.e)
        names = ["\"\\\"", "a\nb\rc\x01\x7f", "\ud800x", "%41", "ünïcödé\u2028", "{\"door\":1}"]
        for name in names:
            self.assertEqual(guest.set(name, s.OWNER, 7, b"x"), 0)
        lines = [line for line in self.lines("guest") if line["variable"].endswith(s.OWNER)]
        self.assertEqual(len(lines), len(names))
        self.assertEqual(len({line["variable"] for line in lines}), len(names))

    def test_size(self):
        self.start("--record", "8192")
        for i in range(200):
            self.set("Counter", b"%d" % i)
        sizes = [os.path.getsize(self.path(suffix)) for suffix in ("", ".1")]
        self.assertLessEqual(sum(sizes), 8192)
        self.assertGreater(sum(sizes), 3000)
        numbers = [line["sha256"] for line in self.lines()]
        self.assertEqual(numbers[-1], hashlib.sha256(b"199").hexdigest())

    def test_size_of_one_large_change(self):
        """More at once than the files may have: the newest stay, and it is said what does not."""
        self.start("--record", "16384")
        self.h.import_(json.dumps({"version": 2, "variables": [
            {"name": f"N{i}", "guid": s.OWNER, "attr": 7, "data": "00"} for i in range(500)]}).encode())
        self.h.import_(json.dumps({"version": 2, "variables": []}).encode())
        self.h.status()
        sizes = [os.path.getsize(self.path(suffix)) for suffix in ("", ".1")]
        self.assertLessEqual(max(sizes), 8192)
        self.assertEqual(self.lines()[-1]["variable"], file_name("N499"))

    def test_line_longer_than_a_file(self):
        self.start("--record", "4096")
        self.set("Big", bytes(1024))
        self.set("Big", b"")
        self.h.delete(file_name("Big"))
        self.set("Small", b"1")
        lines = self.lines()
        self.assertEqual([line.get("variable") for line in lines],
                         [file_name("Big"), None, file_name("Small")])
        self.assertEqual(lines[1]["not-recorded"], 1)

    def test_none(self):
        self.start("--record", "0")
        self.set("A", b"1")
        self.assertFalse(os.path.exists(self.path()))

    def test_followed(self):
        """One event when it has grown since the one before, never before the line is in the file."""
        self.start()
        follower = self.host(self.e)

        def told(seconds):
            follower.sock.settimeout(seconds)
            try:
                return follower.receive()[0]
            except TimeoutError:
                return None
        follower.send(p.HOST_FOLLOW)
        self.assertEqual(told(5), p.HOST_RECORDED)
        follower.send(p.HOST_FOLLOW)
        self.assertIsNone(told(0.2))
        self.set("A", b"1")
        self.assertEqual(told(5), p.HOST_RECORDED)
        with open(self.path(), "rb") as file:
            self.assertEqual(file.read().count(b"\n"), 1)
        self.set("A", b"2")  # nobody asked
        self.assertIsNone(told(0.2))
        follower.send(p.HOST_FOLLOW)
        self.assertEqual(told(5), p.HOST_RECORDED)

    def test_torn_line(self):
        self.start()
        self.set("A", b"1")
        self.e.stop()
        self.h.close()
        with open(self.path(), "ab") as file:
            file.write(b'{"time":"2026-')
        self.e.start()
        self.h = self.host(self.e)
        self.set("A", b"2")
        self.assertEqual(len(self.lines()), 2)

    def test_no_line_at_all(self):
        """Of a file that no engine wrote an end of a line is not looked for without end: it would keep its
        store's next engine from starting."""
        os.mkdir(os.path.dirname(self.path()), 0o700)
        with open(self.path(), "wb") as file:
            file.truncate(1 << 40)
        self.start()
        self.set("A", b"1")
        self.assertEqual([line["variable"] for line in self.lines()], [file_name("A")])

    def test_killed(self):
        """Whenever it comes: every line parses and is true, and what was answered before the last
        request of a life is there, in its order and once."""
        acknowledged, last, sent_last = [], set(), set()
        for life in range(LIVES):
            self.start("--record", str(1 << 30))  # nothing has to go
            killer = threading.Timer(random.uniform(0, 0.003), self.e.process.kill)
            answered, undisturbed = None, random.randrange(20)
            try:
                for i in itertools.count():
                    if i == undisturbed:
                        killer.start()
                    sent = b"%d.%d" % (life, i)
                    if self.set("Counter", sent)[0] == 0:
                        answered = hashlib.sha256(sent).hexdigest()
                        acknowledged.append(answered)
            except (p.Closed, OSError):
                sent_last.add(hashlib.sha256(sent).hexdigest())
            killer.join()
            self.e.kill()
            self.h.close()
            last.add(answered)
        self.start("--record", str(1 << 30))
        found = [line["sha256"] for line in self.lines() if line["size"]]
        there = set(found)
        self.assertGreater(len(acknowledged), 2 * LIVES)
        self.assertEqual(len(found), len(there), "a change is there twice")
        self.assertFalse(there - set(acknowledged) - sent_last, "what nobody asked for")
        # The last of a life may be missing: nothing was asked for after it.
        missing = [value for value in acknowledged if value not in there and value not in last]
        self.assertEqual(len(missing), 0, f"of {len(acknowledged)}: {missing[:5]}")
        self.assertEqual([value for value in found if value not in sent_last],
                         [value for value in acknowledged if value in there])


if __name__ == "__main__":
    unittest.main()
