#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What one guest, or its owner, can make the front do and keep: the others do not notice."""

import contextlib
import errno
import os
import pathlib
import socket
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvmount  # noqa: E402
from deaffs import NoCloseFs  # noqa: E402
from uvmount import variable  # noqa: E402

LIB = pathlib.Path(__file__).resolve().parents[1] / "lib"
MIB = 1024 * 1024

# Of what was freed a sanitizer keeps so much for a while.
KEPT_MIB = 256


class Bounds(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        for name in ("bad", "good"):
            path = self.source / f"{name}.json"
            path.write_text(uvmount.store_text(variable("A", name.encode())))

    def mount(self, *options):
        return self.scratch.mount(self.source, "idle=60", *options)

    def slowest(self, mount, seconds=2):
        """The longest time that anything of the good guest took meanwhile."""
        slowest, end = 0.0, time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.monotonic()
            self.assertEqual(mount.read("good", "A")[1], b"good")
            os.listdir(mount.path / "guests")
            slowest = max(slowest, time.monotonic() - begun)
        return slowest

    def front_mib(self, mount):
        status = pathlib.Path(f"/proc/{mount.front_pid()}/status").read_text()
        mib = int(status.split("VmRSS:")[1].split()[0]) / 1024
        return mib - KEPT_MIB if uvengine.sanitized() else mib

    def test_unfinished_texts(self):
        """Sixty texts of 15 MiB that never end: what is too much has no room, and is given back."""
        mount = self.mount()
        path = mount.guest("bad") / "store.json"
        piece = b"{" + b" " * (MIB - 1)
        handles, refused = [], 0
        for _ in range(60):
            handles.append(os.open(path, os.O_WRONLY))
            try:
                for i in range(15):
                    os.pwrite(handles[-1], piece if i == 0 else b" " * MIB, i * MIB)
            except OSError as error:
                self.assertEqual(error.errno, errno.ENOSPC)
                refused += 1
        self.assertGreater(refused, 50)
        self.assertLess(self.front_mib(mount), 200)
        self.assertIn("too much is being written at once", mount.guest("bad").joinpath(
            "status.json").read_text())
        good = os.open(mount.guest("good") / "store.json", os.O_WRONLY)
        os.write(good, piece)
        os.close(good)
        for handle in handles:
            os.close(handle)
        handle = os.open(path, os.O_WRONLY)
        self.assertEqual(os.write(handle, piece), len(piece))
        os.close(handle)

    def test_refused_writes_in_the_log(self):
        """One line a second of it, after the first ten."""
        mount = self.mount()
        end, count = time.monotonic() + 3, 0
        while time.monotonic() < end:
            with self.assertRaises(OSError):
                (mount.guest("bad") / "config.json").write_text("[]")
            count += 1
        self.assertGreater(count, 100)
        log = mount.log.read_text()
        self.assertLess(log.count("guest bad"), 20, log[-2000:])
        with self.assertRaises(OSError):
            (mount.guest("good") / "config.json").write_text("[]")
        self.assertIn("guest good", mount.log.read_text())
        time.sleep(2)
        with self.assertRaises(OSError):
            (mount.guest("bad") / "config.json").write_text("[]")
        self.assertIn("lines were left out", mount.log.read_text())

    def colliding(self, size):
        """A config.json of that size, all of whose names are one to an unkeyed hash by 33s."""
        names = [""]
        while sum(map(len, names)) < size:
            names = [name + pair for name in names for pair in ("Ez", "FY")]
        text = "{" + ",".join(f'"{name}":1' for name in names)
        return text[:size].rsplit(",", 1)[0] + "}"

    def test_colliding_names(self):
        mount = self.mount()
        self.slowest(mount, 0.2)
        for size in (64 * 1024 - 100, 1024 * 1024):
            (self.source / "bad.config.json").write_text(self.colliding(size))
            pin = self.source / ".uefivarsfs" / "bad.json.pin"
            pin.parent.mkdir(exist_ok=True)
            pin.write_text(self.colliding(size))
            begun = time.monotonic()
            why = (mount.guest("bad") / "firmware" / "why").read_text()
            os.listdir(mount.guest("bad") / "firmware")
            self.assertLess(time.monotonic() - begun, 1, "it is the only thread")
            self.assertTrue(why)

    def test_few_descriptors(self):
        """Sockets of 600 guests take not the last of 400: what has none yet is served all the same."""
        uvmount.need("capsh")
        for i in range(600):
            (self.source / f"g{i:03}.json").write_text(uvmount.store_text(variable("A", b"%d" % i)))
        limited = ["capsh", "--drop=cap_sys_resource", "--", "-c",
                   'ulimit -n 400 && exec "$0" "$@"'] if os.geteuid() == 0 else [
                       "sh", "-c", 'ulimit -n 400 && exec "$0" "$@"']
        mount = self.scratch.mount(self.source, "idle=1", wrapper=limited)
        names = os.listdir(mount.path / "guests")
        self.assertEqual(len(names), 602)
        for name in names:
            os.stat(mount.guest(name))
        sockets = [path for path in mount.sockdir.iterdir() if path.suffix == ".sock"]
        self.assertLess(len(sockets), 400)
        self.assertGreater(len(sockets), 100)
        for i in (0, 300, 599):
            self.assertIn('"A"', (mount.guest(f"g{i:03}") / "store.json").read_text())
            self.assertEqual((mount.guest(f"g{i:03}") / "config.json").read_text(), "")
        for i in range(1, 600, 3):  # more engines, one after another, than descriptors are left
            self.assertEqual(mount.read(f"g{i:03}", "A")[1], b"%d" % i)

    @unittest.skipIf(uvengine.sanitized(), "an engine takes too long for it under a sanitizer")
    def test_as_many_variables_as_there_can_be(self):
        (self.source / "many.json").write_text(uvmount.store_text(
            *[variable(chr(0x100 + i % 1000) + chr(0x100 + i // 1000)) for i in range(120000)]))
        mount = self.mount()
        seen = []

        def listed():
            with contextlib.suppress(OSError):
                seen.extend(os.listdir(mount.vars("many")))
            return seen
        uvmount.wait_until(listed, "a list of them", 60)
        self.assertGreaterEqual(len(seen), 120000)

    def test_flood_of_frames(self):
        """An engine that was taken over sends changes of 32 MiB as fast as they go."""
        (self.source / "flood.json").write_text(uvmount.store_text(variable("A", b"x")))
        mount = self.mount(f"engine={LIB / 'fakeengine.py'}")
        self.assertEqual(mount.read("good", "A")[1], b"good")
        quiet = self.slowest(mount, 0.5)
        reader = threading.Thread(target=mount.read, args=("flood", "A"))
        reader.start()
        reader.join(20)
        self.assertFalse(reader.is_alive())
        slowest = self.slowest(mount, 3)
        self.assertLess(slowest, 1, f"{quiet} without it")
        self.assertLess(self.front_mib(mount), 300)
        self.assertGreater(self.front_cpu(mount), 0.1, "nothing was sent")

    @unittest.skipUnless(os.geteuid() == 0, "only root mounts a file system over a file")
    def test_a_file_that_is_never_closed(self):
        """An engine that was taken over gives the front one: also one that was there before the front."""
        (self.source / "stuck.json").write_text(uvmount.store_text(variable("A", b"x")))
        (self.source / "never-closed").touch()
        mount = self.mount(f"engine={LIB / 'fakeengine.py'}")
        with NoCloseFs(self.source / "never-closed", 0):
            for again in range(2):
                reader = threading.Thread(target=self.read_anything, args=(mount, "stuck"), daemon=True)
                reader.start()
                self.assertLess(self.slowest(mount, 3), 1)
                reader.join(20)
                if not again:
                    mount.kill()
                    mount.clear()
                    mount.start()

    @staticmethod
    def read_anything(mount, guest):
        with contextlib.suppress(OSError):
            mount.read(guest, "A")

    def test_guest_of_an_engine_that_hung_up(self):
        """One that was looked at, and was taken over or killed: it can't be asked to make room."""
        (self.source / "leaves.json").write_text(uvmount.store_text(variable("A", b"x")))
        mount = self.mount(f"engine={LIB / 'fakeengine.py'}")
        self.assertEqual(mount.read("leaves", "A")[1], b"x")
        with contextlib.suppress(OSError):
            mount.status("leaves")
        with socket.socket(socket.AF_UNIX) as guest:
            guest.connect(mount.socket("leaves"))
            uvmount.wait_until(lambda: self.slowest(mount, 0.1) < 1, "the others are served")
            os.kill(mount.front_pid(), 0)

    def front_cpu(self, mount):
        fields = pathlib.Path(f"/proc/{mount.front_pid()}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    unittest.main(verbosity=2)
