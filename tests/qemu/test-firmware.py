#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole chain with a real firmware: edk2 built for the device (QEMU_PV_VARS), named by
UEFIVARS_FIRMWARE, boots a Linux kernel (UEFIVARS_KERNEL=.../boot/vmlinuz-VERSION, or the newest in /boot)
whose efivarfs and the host's mount agree; twice, with the state kept, and once more without DMA."""

import glob
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from qemu import Qemu, need, skip, uv
import uvmount

FIRMWARE = os.environ.get("UEFIVARS_FIRMWARE")
KERNEL = os.environ.get("UEFIVARS_KERNEL") or max(glob.glob("/boot/vmlinuz-*"), default=None)
NAME = f"FromLinux%s-{uv.TEST}"

# Lists every variable as «var NAME MD5-OF-CONTENT», after it made one with the number of the boot (the
# kernel makes variables like that immutable, and busybox has no chattr).
INIT = f"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t sysfs sys /sys
[ -e /efivarfs.ko ] && $b insmod /efivarfs.ko
$b mount -t efivarfs efivarfs /sys/firmware/efi/efivars || echo "no efivarfs"
cd /sys/firmware/efi/efivars
boot=$($b cat /boot)
$b printf "\\007\\000\\000\\000boot-$boot" > {NAME % "$boot"} || echo "not written"
for file in *; do echo "var $file $($b md5sum < "$file")"; done
echo finished
$b poweroff -f
"""


def initramfs(folder, boot):
    """busybox and one script."""
    root = pathlib.Path(folder) / f"root-{boot}"
    for name in ("bin", "sys", "proc", "dev"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    (root / "boot").write_text(f"{boot}\n")
    kernel = pathlib.Path(KERNEL).resolve()
    modules = kernel.parent.parent / "lib/modules" / kernel.name.removeprefix("vmlinuz-")
    for module in modules.glob("kernel/fs/efivarfs/efivarfs.ko*"):
        unpack = {".xz": ["xz", "-dc"], ".zst": ["zstd", "-dc"], ".ko": ["cat"]}[module.suffix]
        with open(root / "efivarfs.ko", "wb") as file:
            subprocess.run([*unpack, module], stdout=file, check=True)
    image = pathlib.Path(folder) / f"initramfs-{boot}"
    with open(image, "wb") as file:
        subprocess.run("find . | cpio -o -H newc --quiet", shell=True, cwd=root, stdout=file,
                       check=True)
    return str(image)


class Linux(Qemu):
    def __init__(self, socket, image, options=""):
        super().__init__(f"uefi-vars-x64,socket={socket}{options}", qtest=False, stopped=False,
                         memory="512M", args=["-bios", FIRMWARE, "-kernel", KERNEL, "-initrd", image,
                                              "-append", "console=ttyS0 quiet panic=-1",
                                              "-serial", "stdio", "-no-reboot"])

    def output(self):
        try:
            return self.process.communicate(timeout=300)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise RuntimeError(self.process.communicate()[0].decode(errors="replace")) from None


class Firmware(unittest.TestCase):
    def boot(self, mount, folder, number, options=""):
        with Linux(str(mount.guest("g") / "mm.sock"), initramfs(folder, number), options) as linux:
            output = linux.output()
        self.assertIn("finished", output)
        seen = dict(re.findall(r"^var (\S+) ([0-9a-f]{32})", output, re.M))
        self.assertNotIn("not written", output)
        for made in range(1, number + 1):
            self.assertIn(NAME % made, seen, output)
        there = {path.name: hashlib.md5(path.read_bytes()).hexdigest()
                 for path in mount.vars("g").iterdir()}
        # What is there at boot only, and what ended with the guest, is not on both sides.
        both = set(seen) & set(there)
        self.assertIn(NAME % number, both)
        self.assertGreater(len([name for name in both if name.startswith("Boot")]), 1)
        self.assertEqual({name: seen[name] for name in both}, {name: there[name] for name in both})
        return output

    def test_boots(self):
        with uvmount.Scratch() as scratch:
            source = scratch.path / "source"
            source.mkdir()
            (source / "g.json").write_text(uvmount.store_text())
            mount = scratch.mount(source)
            self.boot(mount, scratch.path, 1)
            self.assertEqual(mount.read("g", "FromLinux1"), (7, b"boot-1"))
            mount.write("g", "FromHost", b"hello")
            self.assertIn(f"var FromHost-{uv.TEST}", self.boot(mount, scratch.path, 2))
            self.boot(mount, scratch.path, 3, ",use-pio=on")
            for number in 1, 2, 3:
                self.assertEqual(mount.read("g", f"FromLinux{number}"),
                                 (7, f"boot-{number}".encode()))


if __name__ == "__main__":
    if not FIRMWARE:
        skip("UEFIVARS_FIRMWARE is not set")
    need(engine=True)
    uvmount.need_mount()
    if not KERNEL:
        sys.exit("a Linux kernel is needed: set UEFIVARS_KERNEL")
    uvmount.need("cpio", "/bin/busybox")
    unittest.main()
