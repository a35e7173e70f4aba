# SPDX-License-Identifier: GPL-2.0-or-later
"""Every VARS image that Debian ships, and a combined one: read as virt-fw-vars reads it; after edits
virt-fw-vars reads what we say is there, and nothing outside the variable store has changed."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import uvflash  # noqa: E402
from uvflash import Tool, virt_fw_vars  # noqa: E402

if not uvflash.have_virt_firmware():
    uvflash.skip("python3-virt-firmware is not installed")
if not uvflash.DEBIAN_VARS:
    uvflash.skip("ovmf is not installed")

EDITS = int(os.environ.get("FLASH_EDITS", "500"))
STORE_AT = 0x48


def is_blank(path):
    with open(path, "rb") as file:
        return not any(file.read(0xc0000))


def store_range(data):
    """The variable store's header excluded: from the first record to the end."""
    at = data.index(bytes.fromhex("8d2bf1ff96768b4ca9852747075b4f50")) - 16
    size = int.from_bytes(data[at + STORE_AT + 16:at + STORE_AT + 20], "little")
    return at + STORE_AT + 28, at + STORE_AT + size


def outside(path):
    with open(path, "rb") as file:
        data = file.read()
    start, end = store_range(data)
    return data[:start], data[end:]


class Images(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def copy(self, path):
        target = os.path.join(self.folder, os.path.basename(path))
        shutil.copyfile(path, target)
        return target

    def small(self):
        target = os.path.join(self.folder, "small.fd")
        uvflash.small_image(target)
        return target

    def combined(self):
        """Code and variables in one file, the variables not first."""
        target = os.path.join(self.folder, "combined.fd")
        with open(target, "wb") as out:
            for part in ("OVMF_CODE_4M.ms.fd", "OVMF_VARS_4M.ms.fd"):
                with open(f"/usr/share/OVMF/{part}", "rb") as file:
                    out.write(file.read())
        return target

    def images(self):
        return [self.copy(path) for path in uvflash.DEBIAN_VARS] + [self.small(), self.combined()]

    def test_reads_what_virt_fw_vars_reads(self):
        for path in self.images():
            with self.subTest(path), open(path, "rb") as file:
                before = file.read()
                tool = Tool(path)
                self.assertEqual(tool.opened, "ok")
                # virt-fw-vars cannot open what the firmware has never formatted.
                self.assertEqual(tool.dump(), {} if is_blank(path) else virt_fw_vars(path))
                tool.close()
                file.seek(0)
                self.assertEqual(file.read(), before)
                os.unlink(path)

    def check_edits(self, path, edits, seed):
        chance = random.Random(seed)
        blank = is_blank(path)
        before = None if blank else outside(path)
        tool = Tool(path)
        expected = tool.dump()
        names = [f"Test{i:02x}" for i in range(24)]
        full = 0
        for _ in range(edits):
            name = chance.choice(names)
            key = (name, uvflash.GUID)
            if key in expected and chance.random() < 0.2:
                self.assertEqual(tool.delete(name), "ok")
                del expected[key]
                continue
            data = chance.randbytes(chance.choice((1, 8, 60, 500, 3000, 9000)))
            answer = tool.set(name, data)
            if answer.startswith("error 2 "):  # full: nothing has changed
                full += 1
                continue
            self.assertEqual(answer, "ok")
            expected[key] = (7, "00" * 16, data.hex())
        self.assertEqual(tool.dump(), expected)
        tool.close()
        self.assertEqual(virt_fw_vars(path), expected)
        if not blank:
            self.assertEqual(outside(path), before)
        return full

    def test_random_edits_with_reclaims(self):
        for path in self.images():
            with self.subTest(path):
                self.check_edits(path, EDITS, os.path.basename(path))
                os.unlink(path)

    def test_fills_up_to_the_end(self):
        for path in (self.small(),
                     self.copy("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")):
            with self.subTest(path):
                tool = Tool(path)
                before = outside(path)
                count = 0
                while (answer := tool.set(f"Fill{count:04d}", bytes([count % 256]) * 1000)) == "ok":
                    count += 1
                self.assertTrue(answer.startswith("error 2 "), answer)
                self.assertGreater(count, 40)
                # In what is left, smaller ones still fit; and what is there can be replaced.
                while tool.set(f"Small{count:04d}", b"x") == "ok":
                    count += 1
                self.assertEqual(tool.set("Fill0000", b"y" * 1000), "ok")
                shown = tool.dump()
                tool.close()
                self.assertEqual(virt_fw_vars(path), shown)
                self.assertEqual(outside(path), before)

    def test_container(self):
        path = os.path.join(self.folder, "VARS.qcow2")
        before = None
        for source in (self.small(), "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"):
            raw = os.path.join(self.folder, "raw.fd")
            subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", source, path],
                           check=True)
            before = outside(source)
            expected = virt_fw_vars(source)
            tool = Tool(path)
            self.assertEqual(tool.dump(), expected)
            for i in range(80):
                data = bytes([i]) * 9000
                self.assertEqual(tool.set(f"Large{i % 3}", data), "ok")
                expected[f"Large{i % 3}", uvflash.GUID] = (7, "00" * 16, data.hex())
            self.assertEqual(tool.dump(), expected)
            tool.close()
            subprocess.run(["qemu-img", "check", "-q", path], check=True)
            subprocess.run(["qemu-img", "convert", "-O", "raw", path, raw], check=True)
            self.assertEqual(virt_fw_vars(raw), expected)
            # The working block has new records, as it would have from the firmware.
            after = outside(raw)
            self.assertEqual(after[0], before[0])
            self.assertNotEqual(after[1], before[1])

    def fill_over_and_over(self, path):
        tool = Tool(path)
        for i in range(80):
            self.assertEqual(tool.set("Large", bytes([i]) * 9000), "ok")
        shown = tool.dump()
        tool.close()
        self.assertEqual(virt_fw_vars(path), shown)
        self.assertEqual(shown["Large", uvflash.GUID][2], (bytes([79]) * 9000).hex())

    def test_a_new_file_is_like_the_old_one(self):
        path = self.copy("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
        os.chmod(path, 0o640)
        if os.geteuid() == 0:
            os.chown(path, 12, 34)
        os.setxattr(path, "user.test", b"kept")
        before = os.stat(path)
        self.fill_over_and_over(path)
        after = os.stat(path)
        self.assertNotEqual(before.st_ino, after.st_ino)
        self.assertEqual((before.st_mode, before.st_uid, before.st_gid),
                         (after.st_mode, after.st_uid, after.st_gid))
        self.assertEqual(os.getxattr(path, "user.test"), b"kept")

    def check_in_place(self, path):
        before = os.stat(path).st_ino
        self.fill_over_and_over(path)
        self.assertEqual(os.stat(path).st_ino, before)

    def test_a_file_with_two_names_stays_one(self):
        path = self.copy("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
        os.link(path, path + ".other")
        self.check_in_place(path)

    def test_a_mounted_file_is_reclaimed_in_place(self):
        path = self.copy("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
        target = os.path.join(self.folder, "bound.fd")
        with open(target, "wb"):
            pass
        if subprocess.run(["mount", "--bind", path, target], check=False,
                          stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no bind mounts here")
        try:
            self.check_in_place(target)
        finally:
            subprocess.run(["umount", target], check=True)

    def test_a_block_device(self):
        path = self.copy("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
        made = subprocess.run(["losetup", "-f", "--show", path], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if made.returncode != 0:
            self.skipTest("no loop devices here")
        device = made.stdout.strip()
        try:
            tool = Tool(device)
            self.assertEqual(tool.opened, "ok")
            other = Tool(device)
            self.assertEqual(other.set("Other", b"1"), "ok")
            other.close()
            self.assertRegex(tool.set("Mine", b"1"), "^error 4 ")
            self.assertIn(("Other", uvflash.GUID), tool.dump())
            tool.close()
            self.fill_over_and_over(device)
        finally:
            subprocess.run(["losetup", "-d", device], check=True)
            for name in (".lock", ".meta"):
                sidecar = "/dev/.uefivarsfs/" + os.path.basename(device) + name
                if os.path.exists(sidecar):
                    os.unlink(sidecar)
            if not os.listdir("/dev/.uefivarsfs"):
                os.rmdir("/dev/.uefivarsfs")

    def test_sparse_stays_sparse(self):
        path = self.copy("/usr/share/AAVMF/AAVMF_VARS.fd")
        subprocess.run(["fallocate", "--dig-holes", path], check=True)
        if os.stat(path).st_blocks * 512 >= 4 << 20:
            self.skipTest("its zeros are no holes here")
        tool = Tool(path)
        self.assertEqual(tool.set("First", b"1"), "ok")
        tool.close()
        status = os.stat(path)
        self.assertEqual(status.st_size, 64 << 20)
        self.assertLess(status.st_blocks * 512, 4 << 20)
        self.assertEqual(list(virt_fw_vars(path)), [("First", uvflash.GUID)])


if __name__ == "__main__":
    unittest.main()
