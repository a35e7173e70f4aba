# SPDX-License-Identifier: GPL-2.0-or-later
"""Flash images and a real QEMU: one that runs makes the image read-only, and says so; reading never
keeps one from starting; while a burst of writes lasts it refuses to start, in its own words."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import uvflash  # noqa: E402
from uvflash import Tool  # noqa: E402

QEMU = shutil.which("qemu-system-x86_64")
CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
STARTS = 100 if "--long" in sys.argv else 10

if not QEMU:
    uvflash.skip("qemu-system-x86_64 is not installed")
if not os.path.exists(CODE):
    uvflash.skip("ovmf is not installed")


def qemu(path, image_format="raw"):
    """A QEMU that has opened everything and runs nothing; it says so on its monitor."""
    return subprocess.Popen(
        [QEMU, "-machine", "q35", "-accel", "tcg", "-S", "-display", "none", "-nodefaults",
         "-m", "64", "-monitor", "stdio",
         "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={CODE}",
         "-drive", f"if=pflash,unit=1,format={image_format},file={path}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def started(process):
    """True once its monitor answers; False if it ended before that."""
    try:
        process.stdin.write("info status\n")
        process.stdin.flush()
    except BrokenPipeError:
        return False
    return any("VM status" in line for line in iter(process.stdout.readline, ""))


def end(process):
    try:
        process.stdin.write("quit\n")
        process.stdin.flush()
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


class Locks(unittest.TestCase):
    format = "raw"

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir="/var/tmp")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "VARS.fd")
        shutil.copyfile(VARS, self.path)

        if self.format == "qcow2":
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", self.path,
                            self.path + ".qcow2"], check=True)
            self.path += ".qcow2"

    def read_on(self, stop):
        while not stop.is_set():
            tool = Tool(self.path)
            self.reads.append(tool.dump())
            tool.close()

    def test_running_qemu_makes_it_read_only(self):
        tool = Tool(self.path)
        self.assertEqual(tool.set("Before", b"1"), "ok")
        tool.ask("quiet")
        process = qemu(self.path, self.format)
        self.assertTrue(started(process))
        self.assertRegex(tool.ask("state"), "in use by QEMU")
        with open(self.path, "rb") as file:
            before = file.read()
        self.assertRegex(tool.set("During", b"2"), "^error 1 .*(in use by QEMU|lock)")
        with open(self.path, "rb") as file:
            self.assertEqual(file.read(), before)
        self.assertIn(("Before", uvflash.GUID), tool.dump())
        end(process)
        self.assertNotIn("in use", tool.ask("state"))
        self.assertEqual(tool.set("After", b"3"), "ok")
        tool.close()

    def test_a_burst_keeps_qemu_from_starting(self):
        tool = Tool(self.path)
        self.assertEqual(tool.set("Mine", b"1"), "ok")
        process = qemu(self.path, self.format)
        self.assertFalse(started(process))
        _, text = process.communicate(timeout=20)
        self.assertIn('Failed to get "write" lock', text)
        self.assertNotEqual(process.returncode, 0)
        # A reclaim puts a new file into place: it is locked too.
        for i in range(80):
            self.assertEqual(tool.set("Large", bytes([i]) * 9000), "ok")
        process = qemu(self.path, self.format)
        self.assertFalse(started(process))
        process.communicate(timeout=20)
        tool.ask("quiet")
        process = qemu(self.path, self.format)
        self.assertTrue(started(process))
        end(process)
        tool.close()

    def test_reading_never_keeps_qemu_from_starting(self):
        stop = threading.Event()
        self.reads = []
        reader = threading.Thread(target=self.read_on, args=(stop,))
        reader.start()
        try:
            for _ in range(STARTS):
                process = qemu(self.path, self.format)
                ok = started(process)
                end(process)
                self.assertTrue(ok)
        finally:
            stop.set()
            reader.join()
        self.assertGreater(len(self.reads), 3)
        self.assertTrue(all(read == {} for read in self.reads), self.reads)
        print(f"{STARTS} starts, {len(self.reads)} reads")

    def test_a_change_by_qemu_is_seen(self):
        tool = Tool(self.path)
        self.assertEqual(tool.dump(), {})
        other = Tool(self.path)
        self.assertEqual(other.set("Other", b"1"), "ok")
        # Not known here yet, so not written over; then it is.
        self.assertRegex(tool.set("Mine", b"2"), "^error ")
        other.ask("quiet")
        self.assertRegex(tool.set("Mine", b"2"), "^error 4 .*changed")
        self.assertIn(("Other", uvflash.GUID), tool.dump())
        self.assertEqual(tool.set("Mine", b"2"), "ok")
        tool.close()
        other.close()


class ContainerLocks(Locks):
    """The same of a qcow2 image, where the locks are qemu-storage-daemon's."""
    format = "qcow2"


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
