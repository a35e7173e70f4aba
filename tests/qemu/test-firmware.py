#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole chain with a real firmware: edk2 built for the device (QEMU_PV_VARS) boots a Linux kernel
whose efivarfs and the host's mount agree; twice, with the state kept, and once more without DMA;
through a reset of the machine; and leaves the same variables as on QEMU's own device. What the
environment has to name stands in firmware.py. `--arch=aarch64`: the other machine."""

import hashlib
import json
import os
import re
import shutil
import sys
import unittest

import firmware
from qemu import uv
import uvmount

ARCH = "aarch64" if "--arch=aarch64" in sys.argv else "x86_64"
WHICH = firmware.machine(ARCH)
NAME = f"FromLinux%s-{uv.TEST}"
# Crash dumps' GUID: the kernel's efivarfs makes everything else immutable.
MUTABLE = "cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"

# Lists every variable as «var NAME MD5-OF-CONTENT», after it made one with the number of the boot (the
# kernel makes variables like that immutable, and busybox has no chattr).
LIST = 'for file in *; do echo "var $file $($b md5sum < "$file")"; done; echo finished'
MAKE = """boot=%d
$b printf "\\007\\000\\000\\000boot-$boot" > """ + NAME % "$boot" + " || echo not written\n" + LIST

# Counts its boots in a variable, and resets the machine at the first two.
RESETS = f"""count=Count-{MUTABLE}
boots=$($b tail -c 1 $count 2>/dev/null || echo 0)
boots=$((boots + 1))
$b printf "\\007\\000\\000\\000$boots" > $count || echo not written
echo "boot $boots"
[ $boots -lt 3 ] && $b reboot -f
{LIST}"""

# Makes a variable without runtime access, which nobody may any more, before and after S3.
SLEEPS = f"""make() {{
    $b printf "\\003\\000\\000\\000x" > /tmp/x
    $b dd if=/tmp/x of=$1-{MUTABLE} 2>/dev/null && echo $1 written || echo $1 refused
}}
make Before
echo deep > /sys/power/mem_sleep
echo mem > /sys/power/state
make After
{LIST}"""

# Makes variables for some seconds.
WRITTEN = 60
WRITES = f"""n=1
while [ $n -le {WRITTEN} ]; do
    $b printf "\\007\\000\\000\\000value $n" > Written$n-{MUTABLE} || echo "failed $n"
    n=$((n + 1))
    $b sleep 0.1
done
echo finished"""

# Debian's firmware that keeps its variables in flash: code and an empty image.
FLASH = {
    "x86_64": ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    "aarch64": ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
}


class Firmware(unittest.TestCase):
    def boot(self, mount, folder, script, options=""):
        """The output of one boot of Linux, and what its efivarfs and the mount both have."""
        image = firmware.initramfs(WHICH, folder, script)
        output = firmware.output_of(WHICH, f"socket={mount.guest('g') / 'mm.sock'}{options}",
                                    args=firmware.linux_args(WHICH, image))
        self.assertIn("finished", output)
        self.assertNotIn("not written", output)
        seen = dict(re.findall(r"^var (\S+) ([0-9a-f]{32})", output, re.M))
        there = {path.name: hashlib.md5(path.read_bytes()).hexdigest()
                 for path in mount.vars("g").iterdir()}
        # What is there at boot only, and what ended with the guest, is not on both sides.
        both = set(seen) & set(there)
        self.assertGreater(len([name for name in both if name.startswith("Boot")]), 1, output)
        self.assertEqual({name: seen[name] for name in both}, {name: there[name] for name in both})
        return output, both

    def mount(self, scratch):
        source = scratch.path / "source"
        source.mkdir()
        (source / "g.json").write_text(uvmount.store_text())
        return scratch.mount(source)

    def test_boots(self):
        with uvmount.Scratch() as scratch:
            mount = self.mount(scratch)
            self.boot(mount, scratch.path, MAKE % 1)
            self.assertEqual(mount.read("g", "FromLinux1"), (7, b"boot-1"))
            mount.write("g", "FromHost", b"hello")
            _, both = self.boot(mount, scratch.path, MAKE % 2)
            self.assertLessEqual({f"FromHost-{uv.TEST}", NAME % 1, NAME % 2}, both)
            _, both = self.boot(mount, scratch.path, MAKE % 3, ",use-pio=on")
            self.assertLessEqual({NAME % 1, NAME % 2, NAME % 3}, both)
            for number in 1, 2, 3:
                self.assertEqual(mount.read("g", f"FromLinux{number}"),
                                 (7, f"boot-{number}".encode()))

    def test_resets(self):
        with uvmount.Scratch() as scratch:
            mount = self.mount(scratch)
            image = firmware.initramfs(WHICH, scratch.path, RESETS)
            output = firmware.output_of(WHICH, f"socket={mount.guest('g') / 'mm.sock'}",
                                        args=firmware.linux_args(WHICH, image, reset=True))
            self.assertEqual(re.findall(r"boot (\d)\b", output), ["1", "2", "3"], output)
            self.assertIn("finished", output)
            self.assertEqual(mount.read("g", "Count", MUTABLE), (7, b"3"))
            self.assertEqual(self.refused(mount), [])

    def test_chosen_by_a_descriptor(self):
        """From a wish in config.json to a Linux that runs: the mount makes the store and says how."""
        with uvmount.Scratch() as scratch:
            for name in "source", "descriptors":
                (scratch.path / name).mkdir()
            template = scratch.path / "template.json"
            template.write_text(uvmount.store_text(uvmount.variable("Template", b"made of it")))
            (scratch.path / "descriptors/90-vars.json").write_text(json.dumps({
                "description": "edk2 for the device", "interface-types": ["uefi"],
                "mapping": {"device": "memory", "filename": WHICH.firmware,
                            "uefi-vars-service": {"template": str(template)}},
                "targets": [{"architecture": ARCH, "machines": ["pc-q35-*", "virt-*"]}],
                "features": ["host-uefi-vars", "secure-boot"], "tags": []}))
            mount = scratch.mount(scratch.path / "source", f"firmware={scratch.path}/descriptors",
                                  f"templates={scratch.path}")
            guest = mount.guest("g")
            guest.mkdir()
            (guest / "config.json").write_text(json.dumps({
                "architecture": ARCH, "machine": "q35" if ARCH == "x86_64" else "virt",
                "features": {"host-uefi-vars": True}}))
            (guest / "firmware/instantiate").write_text("1")
            image = firmware.initramfs(WHICH, scratch.path, LIST)
            args = (guest / "firmware/qemu.args").read_text().splitlines()
            self.assertIn(WHICH.firmware, args)
            with firmware.Started(WHICH, args + firmware.linux_args(WHICH, image)) as linux:
                output = linux.output()
            self.assertIn("finished", output)
            self.assertIn(f"var Template-{uv.TEST}", output)
            self.assertTrue((mount.vars("g") / f"BootOrder-{uv.GLOBAL}").exists())

    def test_with_a_flash_image_in_turn_with_the_firmware_for_it(self):
        """One image of variables: through the device, then as flash of Debian's firmware, and again."""
        code, image = FLASH[ARCH]
        for path in code, image:
            if not os.path.exists(path):
                self.skipTest(f"no {path}")
        with uvmount.Scratch() as scratch:
            source = scratch.path / "source"
            source.mkdir()
            shutil.copy(image, source / "g.fd")
            mount = scratch.mount(source)
            self.boot(mount, scratch.path, MAKE % 1)
            mount.write("g", "FromHost", b"hello")
            mount.stop()
            args = ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
                    "-drive", f"if=pflash,unit=1,format=raw,file={source}/g.fd"]
            linux = firmware.initramfs(WHICH, scratch.path, MAKE % 2)
            with firmware.Started(WHICH, args + firmware.linux_args(WHICH, linux)) as flash:
                output = flash.output()
            self.assertIn("finished", output)
            for name in f"FromHost-{uv.TEST}", NAME % 1, NAME % 2:
                self.assertIn(f"var {name}", output)
            mount.start()
            _, both = self.boot(mount, scratch.path, MAKE % 3)
            self.assertLessEqual({f"FromHost-{uv.TEST}", NAME % 1, NAME % 2, NAME % 3}, both)
            self.assertEqual(mount.read("g", "FromLinux2"), (7, b"boot-2"))
            self.assertEqual(self.refused(mount), [])

    def test_migrates(self):
        """A Linux that writes goes from one QEMU, engine and store to others."""
        with uvmount.Scratch() as scratch:
            mount = self.mount(scratch)
            (mount.source / "h.json").write_text(uvmount.store_text())
            uvmount.wait_until((mount.guest("h") / "mm.sock").is_symlink, "h is seen")
            image = firmware.initramfs(WHICH, scratch.path, WRITES)
            linux, there = firmware.linux_args(WHICH, image), f"unix:{scratch.path}/migration"
            with firmware.Boot(WHICH, f"socket={mount.guest('g') / 'mm.sock'}", args=linux) as source, \
                    firmware.Boot(WHICH, f"socket={mount.guest('h') / 'mm.sock'}",
                                  args=[*linux, "-incoming", "defer"]) as target:
                uvmount.wait_until((mount.vars("g") / f"Written5-{MUTABLE}").exists,
                                   "Linux writes", WHICH.seconds, 0.1)
                target.qmp("migrate-incoming", uri=there)
                source.qmp("migrate", uri=there)
                output = target.output()
                self.assertEqual(source.qmp("query-status")["status"], "postmigrate")
                source.quit()
                output = source.output() + output
            self.assertIn("finished", output)
            self.assertNotIn("failed", output)
            here = {path.name for path in mount.vars("g").iterdir()}
            self.assertNotIn(f"Written{WRITTEN}-{MUTABLE}", here)
            for number in range(1, WRITTEN + 1):
                self.assertEqual(mount.read("h", f"Written{number}", MUTABLE),
                                 (7, f"value {number}".encode()))

    @unittest.skipUnless(ARCH == "x86_64", "virt does not sleep")
    def test_sleeps(self):
        """Waking up is no boot: the session goes on, and what the firmware closed stays closed."""
        with uvmount.Scratch() as scratch:
            mount = self.mount(scratch)
            image = firmware.initramfs(WHICH, scratch.path, SLEEPS)
            with firmware.Boot(WHICH, f"socket={mount.guest('g') / 'mm.sock'}",
                               args=firmware.linux_args(WHICH, image)) as boot:
                uvmount.wait_until(lambda: boot.qmp("query-status")["status"] == "suspended",
                                   "the guest sleeps", 120, 0.1)
                before = mount.status("g")["phases"]
                boot.qmp("system_wakeup")
                output = boot.output()
            self.assertIn("finished", output)
            self.assertRegex(output, "(?s)Before refused.*After refused")
            self.assertTrue(before["exit-boot-services"], before)
            # Volatile ones are there still.
            self.assertIn(f"var BootOptionSupport-{uv.GLOBAL}", output)

    def refused(self, mount):
        return [line for line in mount.log.read_text().splitlines() if "refused" in line]

    def test_as_on_qemus_own_device(self):
        with uvmount.Scratch() as scratch:
            mount = self.mount(scratch)
            self.boot(mount, scratch.path, LIST)
            ours = firmware.store_variables((mount.guest("g") / "store.json").read_text())
            # A first boot of this firmware asks for nothing that is against the rules.
            self.assertEqual(self.refused(mount), [])
            store = scratch.path / "stock.json"
            store.write_text(uvmount.store_text())
            image = firmware.initramfs(WHICH, scratch.path, LIST)
            output = firmware.output_of(WHICH, f"jsonfile={store}", ours=False,
                                        args=firmware.linux_args(WHICH, image))
            self.assertIn("finished", output)
            stock = firmware.store_variables(store.read_text())
            for name in firmware.OTHERWISE:
                ours.pop(name, None)
                stock.pop(name, None)
            self.assertGreater(len(stock), 8)
            self.assertEqual(ours, stock)


if __name__ == "__main__":
    WHICH.need()
    unittest.main(argv=sys.argv[:1])
