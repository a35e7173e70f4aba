#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What virt-fw-vars makes of a store while no engine has it: a line a variable that changed, in each
format, true and once; nothing where nothing changed, and where that is not known."""

import hashlib
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
from uvengine import EngineTest  # noqa: E402
from uvskip import skip  # noqa: E402

TEMPLATE = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
META = ".uefivarsfs/{}.meta"
MAGIC = b"uvmeta\0\2"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def name(variable):
    return f"{variable}-{p.TEST}"


class Outside(EngineTest):
    """A store that an engine had; `edit()` is another program."""
    store = "vars.json"

    def make(self):
        pass

    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.folder, self.store)
        self.make()
        self.life(lambda host: [self.set(host, variable, data) for variable, data in (
            ("Changed", b"old"), ("Deleted", b"gone"), ("Large", bytes(2000)), ("Same", b"same"))])
        self.before = len(self.lines())

    def set(self, host, variable, data):
        self.assertEqual(host.set_variable(variable, p.TEST, data=data)[0], 0)

    def life(self, act=lambda host: None, kill=False, options=()):
        """One engine's."""
        engine = self.engine(*options, store=self.store)
        with self.host(engine) as host:
            act(host)
            host.status()
            if kill:
                engine.kill()
        self.assertIn(engine.stop(), (0, -9))

    def lines(self):
        path = os.path.join(self.folder, f".uefivarsfs/{self.store}.changes")
        with open(path, "rb") as file:
            return [json.loads(line) for line in file.read().splitlines()]

    def found(self, **life):
        """What an engine's start adds to the record, by variable."""
        before = len(self.lines())
        self.life(**life)
        lines = self.lines()[before:]
        by = {line["variable"]: line for line in lines}
        self.assertEqual(len(by), len(lines), "a variable has two lines")
        return by

    def variables(self):
        text = subprocess.run(["virt-fw-vars", "-i", self.path, "--output-json", "/dev/stdout"],
                              capture_output=True, check=True).stdout
        return json.loads(text[text.index(b"{"):])

    def edit(self, change):
        """As virt-fw-vars writes it, in the file that is there."""
        store = self.variables()
        store["variables"] = change(store["variables"])
        script = os.path.join(self.folder, "edit.json")
        with open(script, "w") as file:
            json.dump(store, file)
        self.write_back(script)
        os.unlink(script)

    def write_back(self, script):
        shutil.copyfile(script, self.path)

    def variable(self, variable, data, attributes=7):
        return {"name": variable, "guid": p.TEST, "attr": attributes, "data": data.hex()}

    def edit_four(self):
        def change(variables):
            kept = [v for v in variables if v["name"] not in ("Changed", "Deleted", "Large")]
            return kept + [self.variable("Changed", b"new"), self.variable("Large", b"small", 3),
                           self.variable("Made", b"made")]
        self.edit(change)

    def check_four(self, lines):
        self.assertEqual(set(lines), {name(n) for n in ("Changed", "Deleted", "Large", "Made")})
        for line in lines.values():
            self.assertEqual((line["door"], line["status"], "who" in line), ("outside", 0, False))
            self.assertRegex(line["file-time"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
            self.assertLessEqual(line["file-time"], line["time"])
        changed, deleted, large, made = (lines[name(n)] for n in ("Changed", "Deleted", "Large", "Made"))
        self.assertEqual((changed["sha256-before"], changed["sha256"]), (sha256(b"old"), sha256(b"new")))
        self.assertEqual(bytes.fromhex(changed["old"]), b"old")
        self.assertEqual((deleted["old"], deleted["size"]), (b"gone".hex(), None))
        self.assertEqual((large["size-before"], large["sha256-before"]), (2000, sha256(bytes(2000))))
        self.assertNotIn("old", large)
        self.assertEqual((large["attributes-before"], large["attributes"], large["size"]), (7, 3, 5))
        self.assertIsNone(made["size-before"])
        self.assertEqual(made["sha256"], sha256(b"made"))

    def test_each_change_once(self):
        self.edit_four()
        self.check_four(self.found())
        self.assertEqual(self.found(), {})

    def test_nothing_changed(self):
        self.assertEqual(self.found(), {})
        os.utime(self.path)
        shutil.copyfile(self.path, self.path + ".new")
        os.rename(self.path + ".new", self.path)
        self.assertEqual(self.found(), {}, "another file with the same content")

    def test_changed_back(self):
        """What is on record since the store was left counts, not what it was then."""
        self.edit(lambda variables: [v for v in variables if v["name"] != "Same"])
        self.assertEqual(set(self.found()), {name("Same")})
        self.edit(lambda variables: variables + [self.variable("Same", b"same")])
        line = self.found()[name("Same")]
        self.assertIsNone(line["size-before"])

    def test_before_an_engine_that_is_killed(self):
        self.edit_four()
        self.check_four(self.found(kill=True))
        self.assertEqual(self.found(), {})

    def test_lines_are_missing(self):
        """What was there before is not made up."""
        self.edit_four()
        with open(os.path.join(self.folder, f".uefivarsfs/{self.store}.changes"), "a") as file:
            file.write('{"time":"2999-01-01T00:00:00.000000Z","not-recorded":3}\n')
        before = len(self.lines())
        self.life()
        for line in self.lines()[before:]:
            self.assertEqual(line["before"], "not known")
            self.assertFalse({"size-before", "sha256-before", "old"} & set(line))

    def test_not_known(self):
        os.unlink(os.path.join(self.folder, META.format(self.store)))
        self.edit_four()
        self.assertEqual(self.found(), {})

    def test_no_record(self):
        self.edit_four()
        self.assertEqual(self.found(options=("--record", "0")), {})

    def hostile(self):
        """Bodies of the file that tells how the store was left."""
        with open(os.path.join(self.folder, META.format(self.store)), "rb") as file:
            body = file.read()[len(MAGIC):-16]
        yield b""
        yield body[:39]
        yield body[:-1]
        yield body + b"\0"
        yield body[:40] + bytes(16) + struct.pack("<I", 0xffffffff) + body[60:]
        yield body[:40] + bytes(16) + struct.pack("<I", 1) + bytes(80)

    def test_hostile(self):
        path = os.path.join(self.folder, META.format(self.store))
        self.edit_four()
        for body in list(self.hostile()):
            with open(path, "wb") as file:
                check = hashlib.sha256(MAGIC + body).digest()[:16]
                file.write(MAGIC + body + check)
            self.assertEqual(self.found(), {}, body[:80])

    def test_hostile_record(self):
        """Lines that are none of ours say nothing."""
        digest = sha256(b"x")
        with open(os.path.join(self.folder, f".uefivarsfs/{self.store}.changes"), "ab") as file:
            for rest in (b"}", b',"variable":7}', b',"status":0,"variable":"A","size":1}',
                         b',"status":0,"variable":"A","attributes":7,"size":1,"sha256":"%s"}' % (b"z" * 64),
                         b',"variable":"\xff","status":0}', b"[" * 5000, b',"a":{"b":{"c":' * 20):
                file.write(b'{"time":"2999-01-01T00:00:00.000000Z"' + rest + b"\n")
            file.write(b'{"time":"2999-01-01T00:00:00.000000Z","variable":"%s","attributes":7,"size":1,'
                       b'"sha256":"%s","status":0}\n' % (name("Same").encode(), digest.encode()))
        os.utime(self.path)
        with open(os.path.join(self.folder, f".uefivarsfs/{self.store}.changes"), "rb") as file:
            before = len(file.read().splitlines())
        self.life()
        with open(os.path.join(self.folder, f".uefivarsfs/{self.store}.changes"), "rb") as file:
            lines = [json.loads(line) for line in file.read().splitlines()[before:]]
        by = {line["variable"]: line for line in lines}
        self.assertIn(name("Same"), by)
        self.assertEqual(by[name("Same")]["sha256-before"], digest)


class Json(Outside):
    def test_a_journal_is_ours(self):
        """What an engine that was killed left in its journal nobody else did."""
        self.assertEqual(self.found(act=lambda host: self.set(host, "Same", b"other"), kill=True)
                         [name("Same")]["door"], "host")
        self.assertTrue(os.path.exists(os.path.join(self.folder, ".uefivarsfs/vars.json.journal")))
        self.assertEqual(self.found(), {})

    def test_a_journal_that_is_set_aside(self):
        """Its changes are on record, and are undone by who wrote the file."""
        self.found(act=lambda host: self.set(host, "Same", b"other"), kill=True)
        self.edit(lambda variables: variables + [self.variable("Made", b"made")])
        lines = self.found()
        self.assertEqual(set(lines), {name("Same"), name("Made")})
        self.assertEqual(lines[name("Same")]["sha256-before"], sha256(b"other"))
        self.assertEqual(lines[name("Same")]["sha256"], sha256(b"same"))


class Flash(Outside):
    store = "vars.fd"

    def make(self):
        shutil.copyfile(TEMPLATE, self.path)

    def write_back(self, script):
        subprocess.run(["virt-fw-vars", "-i", TEMPLATE, "--set-json", script, "-o", self.path],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


class Qcow2(Flash):
    store = "vars.qcow2"

    def make(self):
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", TEMPLATE, self.path], check=True)

    def variables(self):
        raw = os.path.join(self.folder, "raw.fd")
        subprocess.run(["qemu-img", "convert", "-O", "raw", self.path, raw], check=True)
        text = subprocess.run(["virt-fw-vars", "-i", raw, "--output-json", "/dev/stdout"],
                              capture_output=True, check=True).stdout
        return json.loads(text[text.index(b"{"):])

    def write_back(self, script):
        raw = os.path.join(self.folder, "raw.fd")
        subprocess.run(["virt-fw-vars", "-i", TEMPLATE, "--set-json", script, "-o", raw],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, self.path], check=True)


del Outside

if __name__ == "__main__":
    for program in ("virt-fw-vars", "qemu-img"):
        if not shutil.which(program):
            skip(f"{program} is missing")
    if not TEMPLATE.exists():
        skip(f"{TEMPLATE} is missing")
    unittest.main()
