#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is kept of a store beside it: whoever lists, backs up or asks for the state of a guest that
has not changed starts no engine, also after the mount was made anew; and nothing that somebody puts
there is believed beyond that guest, or harms anybody."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402
from uvmount import variable, wait_until  # noqa: E402

HEAD = b"uvexprt\3"


class Known(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        for name in "abc":
            (self.source / f"{name}.json").write_text(uvmount.store_text(
                variable("A", b"a"), variable("B", bytes(1000))))

    def mount(self, *options):
        return self.scratch.mount(self.source, *(options or ["idle=60"]))

    def hint(self, name):
        return self.source / ".uefivarsfs" / f"{name}.json.export"

    def listing(self, mount):
        """Names, sizes, times and modes of everything below guests/ that is not of the process."""
        text = subprocess.run(["find", mount.path / "guests", "-type", "f", "-printf",
                               r"%P %s %T@ %m\n"], check=True, stdout=subprocess.PIPE, text=True)
        return sorted(line for line in text.stdout.splitlines()
                      if not line.partition(" ")[0].endswith(("status.json", "/changes")))

    def learn(self, *options):
        """A first mount, that looks at everything; its listing."""
        with self.mount(*options) as mount:
            listing = self.listing(mount)
            self.assertEqual(len(mount.engines()), 3)
            for name in "abc":
                mount.status(name)
                (mount.guest(name) / "secure-boot" / "summary").read_text()
            mount.stop()
        return listing

    def quietly(self, mount, act, *arguments):
        """That starts no engine."""
        out = act(*arguments)
        self.assertEqual(mount.engines(), [])
        return out

    def test_listing(self):
        first = self.learn()
        with self.mount() as mount:
            self.assertEqual(self.quietly(mount, self.listing, mount), first)
            self.assertEqual(mount.read("a", "A")[1], b"a")  # this takes one
            self.assertEqual(len(mount.engines()), 1)
            self.assertEqual(self.listing(mount), first)

    def test_status(self):
        with self.mount() as mount:
            running = mount.status("a")
            self.assertEqual(running["engine"]["state"], "running")
        with self.mount() as mount:
            known = self.quietly(mount, mount.status, "a")
        self.assertIsNone(known["engine"])
        for member in ("secure-boot", "storage", "phases", "policy"):
            self.assertEqual(known[member], running[member])

    def test_status_goes_by_configuration(self):
        self.learn()
        with self.mount() as mount:
            (mount.guest("a") / "config.json").write_text('{"force-secure-boot": true}\n')
            self.assertTrue(mount.status("a")["secure-boot"]["force-secure-boot"])

    def test_store_is_the_file(self):
        with self.mount() as mount:
            text = self.quietly(mount, (mount.guest("a") / "store.json").read_bytes)
            self.assertEqual(text, (self.source / "a.json").read_bytes())
            mount.write("a", "C", b"c")  # the journal has it now
            names = [v["name"] for v in
                     json.loads((mount.guest("a") / "store.json").read_text())["variables"]]
            self.assertEqual(sorted(names), ["A", "B", "C"])

    def test_summary(self):
        self.learn()
        with self.mount() as mount:
            text = self.quietly(mount, (mount.guest("b") / "secure-boot" / "summary").read_text)
            self.assertIn("secure-boot:", text)

    def test_backup(self):
        """A second rsync of the same guests, through another mount, copies and starts nothing."""
        uvmount.need("rsync")
        backup = self.scratch.path / "backup"
        command = ["rsync", "-a", "--itemize-changes", "--exclude=status.json", "--exclude=changes"]
        with self.mount("idle=1") as mount:
            subprocess.run([*command, f"{mount.path}/guests/", backup], check=True,
                           stdout=subprocess.DEVNULL)
            wait_until(lambda: not mount.engines(), "the engines ended", 10)
            mount.stop()
        with self.mount() as mount:
            again = self.quietly(mount, subprocess.check_output,
                                 [*command, f"{mount.path}/guests/", backup])
        # guests/ is as old as SOURCE, where the folder of what is kept was made.
        self.assertEqual(again.decode().replace(".d..t...... ./\n", ""), "")

    def test_unmount_while_it_is_kept(self):
        """The mount's end waits for it, where an engine has ended just before."""
        with self.mount("idle=1") as mount:
            self.listing(mount)
            front = mount.front_pid()
            os.kill(mount.process.pid, signal.SIGSTOP)
            try:
                wait_until(lambda: not mount.engines(), "the engines ended", 10)
                subprocess.run(["umount", str(mount.place)], check=True)
                end = time.monotonic() + 1
                while uvmount.alive(front) and time.monotonic() < end:
                    time.sleep(0.01)
            finally:
                os.kill(mount.process.pid, signal.SIGCONT)
            self.assertEqual(mount.process.wait(20), 0)
        for name in "abc":
            self.assertTrue(self.hint(name).exists(), name)

    def test_changed_store(self):
        """By somebody else: nothing of what was kept counts."""
        self.learn()
        (self.source / "a.json").write_text(uvmount.store_text(variable("Z", b"zz")))
        with self.mount() as mount:
            self.assertTrue([n for n in os.listdir(mount.vars("a")) if n.startswith("Z-")])
            self.assertFalse([n for n in os.listdir(mount.vars("a")) if n.startswith("B-")])

    def test_changed_through_the_mount(self):
        self.learn()
        with self.mount() as mount:
            mount.write("a", "C", b"new")
            mount.stop()
        with self.mount() as mount:
            self.assertTrue([n for n in self.quietly(mount, os.listdir, mount.vars("a"))
                             if n.startswith("C-")])

    def test_next_boot(self):
        """What waits there is in no store; it is told right after it has changed."""
        self.learn()
        with self.mount() as mount:
            target = mount.guest("a") / "next-boot" / "vars" / f"N-{uvproto.TEST}"
            before = self.listing(mount)
            target.write_bytes(b"\7\0\0\0next")
            self.assertNotEqual(self.listing(mount), before)
            after = self.listing(mount)
            mount.stop()
        with self.mount() as mount:
            self.assertEqual(self.listing(mount), after)

    def test_planted(self):
        """Whatever lies there, what is shown is the store's, or what that guest's owner could have
        put into the store as well; and the others are served."""
        first = self.learn()
        good = self.hint("a").read_bytes()
        self.assertEqual(good[:8], HEAD)
        other = self.hint("b").read_bytes()
        chance = random.Random(3)
        planted = [b"", HEAD, good[:-1], good + b"\0", good[:100], b"uvexprt\2" + good[8:], other,
                   b"x" * 65536, good[:8] + bytes(len(good) - 8)]
        for _ in range(30 if not os.environ.get("UV_LONG") else 500):
            bent = bytearray(good)
            for _ in range(chance.randrange(1, 4)):
                bent[chance.randrange(len(bent))] = chance.randrange(256)
            planted.append(bytes(bent))
        with self.mount() as mount:
            front = mount.front_pid()
            for number, text in enumerate(planted):
                self.hint("a").write_bytes(text)
                names = os.listdir(mount.vars("a"))
                self.assertFalse([n for n in names if "/" in n or n in (".", "..")])
                mount.status("a")
                if number < 9 and mount.engines():
                    self.assertEqual(self.listing(mount), first)
                self.assertEqual(mount.read("b", "A")[1], b"a")
            self.assertEqual(mount.front_pid(), front)

    def test_planted_before_the_mount(self):
        first = self.learn()
        good = self.hint("a").read_bytes()
        for text in (b"", good[:-1], good + b"\0", b"uvexprt\2" + good[8:],
                     self.hint("b").read_bytes()):
            self.hint("a").write_bytes(text)
            with self.mount() as mount:
                self.assertEqual(self.listing(mount), first)
                self.assertEqual(len(mount.engines()), 1)
                mount.kill_engine("a")  # so that it leaves what is there
                mount.stop()

    def test_read_only(self):
        """A mount that must not write keeps nothing."""
        with self.mount("ro") as mount:
            self.listing(mount)
            mount.stop()
        self.assertFalse((self.source / ".uefivarsfs").exists())

    def test_copied_store(self):
        """What is kept beside one store is not another one's, whatever its name."""
        self.learn()
        shutil.copy(self.source / "b.json", self.source / "d.json")
        shutil.copy(self.hint("b"), self.source / ".uefivarsfs" / "d.json.export")
        with self.mount() as mount:
            os.listdir(mount.vars("d"))
            self.assertEqual(len(mount.engines()), 1)


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main(verbosity=2)
