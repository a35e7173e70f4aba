#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Secure Boot through the device with a real firmware: keys enrolled through the host's mount decide
what boots; updates of dbx, by the guest's Linux and by the host, take what they name away; the
firmware deletes the platform key, and everything boots again. Debian's signed shim, GRUB and kernel
under Microsoft's keys. On x86-64 also efi-updatevar and mokutil in the guest. `--arch=aarch64`: the
other machine."""

import dataclasses
import errno
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import unittest

import firmware
from qemu import skip, uv
import uvmount
import uvsign

ARCH = "aarch64" if "--arch=aarch64" in sys.argv else "x86_64"
WHICH = firmware.machine(ARCH)
KEYS, DB = uvsign.KEYS, uv.IMAGE_SECURITY

MODES = f"""for name in SecureBoot SetupMode; do
    echo "mode $name $($b tail -c 1 $name-{uv.GLOBAL} | $b hexdump -e '1/1 "%d"')"
done
echo "cmdline $($b cat /proc/cmdline)"
"""
# A variable that was not there can be written once: then the kernel makes it immutable.
UPDATE = f"""for name in dbt dbx; do
    if $b dd if=/$name of=$name-{DB} bs=65536; then echo "$name written"; else echo "$name refused"; fi
done
"""


# The guest's own tools; «tool N STATUS» after each.
TOOLS = """export PATH=/bin:$PATH n=0
$b mount -t devtmpfs dev /dev
r() { n=$((n + 1)); echo "+ $*"; "$@" 2>&1; echo "tool $n $?"; }
cd /
r efi-updatevar -f /db.auth db
r efi-updatevar -f /KEK.auth KEK
r efi-updatevar -f /PK.auth PK
r efi-updatevar -a -f /bad.auth dbx
r mokutil --pk
mokutil --generate-hash=secret > /mok.hash
r mokutil --import /mok.der --hash-file /mok.hash
r mokutil --list-new
r efibootmgr -t 7
r efibootmgr -o 1,0
r efivar -p -n 605dab50-e046-4300-abb6-3dd810dd8b23-MokNew
r efivar -l
cd /sys/firmware/efi/efivars
"""

DEBIAN = {
    "x86_64": ("X64", "x64", "x86_64", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
    "aarch64": ("AA64", "aa64", "arm64", "/usr/share/AAVMF/AAVMF_VARS.ms.fd"),
}


def run(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def as_file(attributes, data):
    return struct.pack("<I", attributes) + data


class SecureBoot(unittest.TestCase):
    def setUp(self):
        scratch = uvmount.Scratch()
        self.addCleanup(scratch.__exit__)
        self.folder = scratch.path
        source = self.folder / "source"
        source.mkdir()
        (source / "g.json").write_text(uvmount.store_text())
        self.mount = scratch.mount(source)
        self.pk, self.kek, self.db = (uvsign.Key(name, 2048) for name in ("PK", "KEK", "db"))
        self.disk = self.folder / "disk"
        self.disk.mkdir()

    # The host's part

    def enrol(self):
        for name, guid, signer, holder in (("db", DB, self.kek, self.db),
                                           ("KEK", uv.GLOBAL, self.pk, self.kek),
                                           ("PK", uv.GLOBAL, self.pk, self.pk)):
            self.mount.write("g", name, uvsign.write(signer, name, guid, uvsign.x509(holder)), KEYS,
                             guid)

    def sign(self, program, name):
        target = self.disk / name
        run("sbsign", "--key", self.db.key, "--cert", self.db.pem, "--output", target, program)
        return target

    def updates(self, *wanted):
        """NAME.auth in the folder, as (path, file): (name, guid, signer, list, attributes)."""
        for name, guid, signer, content, attributes in wanted:
            (self.folder / f"{name}.auth").write_bytes(
                uvsign.write(signer, name, guid, content, 5, attributes))
        return [(f"{name}.auth", self.folder / f"{name}.auth") for name, *_ in wanted]

    def hash_list(self, program):
        """The signature list of a program's Authenticode hash."""
        target = self.folder / "hash.esl"
        run("hash-to-efi-sig-list", program, target)
        return target.read_bytes()

    def options(self, *options):
        """Boot0001 and on: (label, file, what the program gets)."""
        for number, (label, path, optional) in enumerate(options, 1):
            self.mount.write("g", f"Boot{number:04X}",
                             firmware.load_option(label, "\\" + path, optional), guid=uv.GLOBAL)
        self.mount.write("g", "BootOrder", firmware.boot_order(*range(1, len(options) + 1)),
                         guid=uv.GLOBAL)

    def linux(self, label, path):
        return label, path, uv.ucs2(f"initrd=\\initrd console={WHICH.console} quiet panic=-1 "
                                    f"entry={label}")

    # Running the guest

    def boot(self, *args):
        return firmware.output_of(WHICH, f"socket={self.mount.guest('g') / 'mm.sock'}",
                                  disk=self.disk, args=args)

    def modes(self, output):
        return dict(re.findall(r"mode (\w+) (\d)", output))

    def refused_to_load(self, output):
        return re.findall(r'failed to load \w+ "(\w+)" .*: Access Denied', output)

    def test_keys_of_the_host(self):
        self.enrol()
        shutil.copy(WHICH.kernel, self.disk / "plain.efi")
        signed = self.sign(WHICH.kernel, "signed.efi")
        self.sign(WHICH.script_program(), "script.efi")
        update = uvsign.hashes(1, 2)
        (self.folder / "dbx").write_bytes(as_file(KEYS | uv.APPEND, uvsign.write(
            self.kek, "dbx", DB, update, 2, KEYS | uv.APPEND)))
        (self.folder / "dbt").write_bytes(as_file(KEYS, uvsign.write(
            self.db, "dbt", DB, update, 2)))
        image = firmware.initramfs(WHICH, self.folder, MODES + UPDATE, [
            (name, self.folder / name) for name in ("dbx", "dbt")])
        shutil.copy(image, self.disk / "initrd")
        unsigned = uvsign.header(uvsign.time_bytes(9), b"")
        script = "\n".join((f"set PK {uv.guid_bytes(uv.GLOBAL).hex()} 27 {unsigned.hex()}",
                            f"set CustomMode {uv.guid_bytes(uv.CUSTOM_MODE).hex()} 3 01",
                            f"set PK {uv.guid_bytes(uv.GLOBAL).hex()} 27 {unsigned.hex()}",
                            "reset cold"))
        self.options(self.linux("plain", "plain.efi"), self.linux("signed", "signed.efi"),
                     ("script", "script.efi", script.encode()))

        output = self.boot()
        self.assertEqual(self.refused_to_load(output), ["plain"], output)
        self.assertIn("entry=signed", output)
        self.assertEqual(self.modes(output), {"SecureBoot": "1", "SetupMode": "0"})
        # The KEK may sign it, the owner of db may not.
        self.assertIn("dbx written", output)
        self.assertIn("dbt refused", output)
        self.assertEqual(self.mount.read("g", "dbx", DB), (KEYS, update))

        program = self.hash_list(signed)
        with self.assertRaises(OSError) as caught:
            self.mount.write("g", "dbx", uvsign.write(self.db, "dbx", DB, program, 3,
                                                      KEYS | uv.APPEND), KEYS | uv.APPEND, DB)
        self.assertEqual(caught.exception.errno, errno.EACCES)
        self.mount.write("g", "dbx", uvsign.write(self.kek, "dbx", DB, program, 3,
                                                  KEYS | uv.APPEND), KEYS | uv.APPEND, DB)
        self.assertEqual(self.mount.read("g", "dbx", DB), (KEYS, update + program))

        output = self.boot()
        self.assertEqual(self.refused_to_load(output), ["plain", "signed"], output)
        answers = [int(words[0], 16) for _, words in firmware.script_answers(output)]
        self.assertEqual(answers, [uv.SECURITY_VIOLATION, uv.SUCCESS, uv.SUCCESS, uv.SUCCESS])
        self.assertIn("entry=plain", output)
        self.assertEqual(self.modes(output), {"SecureBoot": "0", "SetupMode": "1"})
        self.assertFalse((self.mount.vars("g") / f"PK-{uv.GLOBAL}").exists())
        self.assertTrue((self.mount.vars("g") / f"KEK-{uv.GLOBAL}").exists())

    @unittest.skipUnless(ARCH == "x86_64", "this system's programs do not run there")
    def test_tools_in_the_guest(self):
        tools = "efi-updatevar", "mokutil", "efibootmgr", "efivar", "mount", "sh"
        for tool in tools:
            if not shutil.which(tool):
                self.skipTest(f"no {tool}")
        mok = uvsign.Key("mok", 2048)
        (self.folder / "mok.der").write_bytes(mok.der)
        files = self.updates(("db", DB, self.kek, uvsign.x509(self.db), KEYS),
                             ("KEK", uv.GLOBAL, self.pk, uvsign.x509(self.kek), KEYS),
                             ("PK", uv.GLOBAL, self.pk, uvsign.x509(self.pk), KEYS))
        (self.folder / "bad.auth").write_bytes(uvsign.write(
            self.db, "dbx", DB, uvsign.hashes(1), 5, KEYS | uv.APPEND))
        files += [(name, self.folder / name) for name in ("bad.auth", "mok.der")]
        image = firmware.initramfs(WHICH, self.folder, TOOLS + MODES,
                                   files + firmware.program_files(*tools))
        output = self.boot(*firmware.linux_args(WHICH, image))
        answers = [int(status) for status in re.findall(r"^tool \d+ (\d+)", output, re.M)]
        self.assertEqual([status != 0 for status in answers], [n == 4 for n in range(1, 12)], output)
        # Enrolled at run time: SecureBoot says so after the next boot.
        self.assertEqual(self.modes(output), {"SecureBoot": "0", "SetupMode": "0"})
        self.assertIn("CN=mok", output.replace(" ", ""))
        mount = self.mount
        self.assertEqual(mount.read("g", "PK", uv.GLOBAL), (KEYS, uvsign.x509(self.pk)))
        self.assertEqual(mount.read("g", "db", DB), (KEYS, uvsign.x509(self.db)))
        self.assertEqual(mount.read("g", "BootOrder", uv.GLOBAL)[1], firmware.boot_order(1, 0))
        self.assertIn(mok.der, mount.read("g", "MokNew", uv.SHIM)[1])
        self.assertFalse((mount.vars("g") / f"dbx-{DB}").exists())
        image = firmware.initramfs(WHICH, self.folder, MODES)
        signed = dataclasses.replace(WHICH, kernel=str(self.sign(WHICH.kernel, "signed.efi")))
        output = self.boot(*firmware.linux_args(signed, image))
        self.assertEqual(self.modes(output), {"SecureBoot": "1", "SetupMode": "0"}, output)

    # Debian under Microsoft's keys

    def debian_disk(self):
        upper, lower, grub, variables = DEBIAN[ARCH]
        root = pathlib.Path(WHICH.signed or "/nowhere")
        loader = {f"BOOT{upper}.EFI": root / f"usr/lib/shim/shim{lower}.efi.signed",
                  f"grub{lower}.efi": root / f"usr/lib/grub/{grub}-efi-signed/grub{lower}.efi.signed"}
        for path in (*loader.values(), variables):
            if not os.path.exists(path):
                self.skipTest(f"no {path}")
        if not shutil.which("virt-fw-vars"):
            self.skipTest("no virt-fw-vars")
        for folder in "EFI/BOOT", "EFI/debian":
            (self.disk / folder).mkdir(parents=True)
        for name, source in loader.items():
            shutil.copy(source, self.disk / "EFI/BOOT" / name)
        shutil.copy(WHICH.kernel, self.disk / "vmlinuz")
        (self.disk / "EFI/debian/grub.cfg").write_text(
            f"linux /vmlinuz console={WHICH.console} quiet panic=-1 by=grub\ninitrd /initrd\nboot\n")
        store = self.folder / "microsoft.json"
        run("virt-fw-vars", "-i", variables, "--output-json", store)
        return store

    def test_debian(self):
        store = self.debian_disk()
        image = firmware.initramfs(WHICH, self.folder, MODES + "$b ls; $b dmesg | $b grep -i lockdown")
        shutil.copy(image, self.disk / "initrd")
        (self.mount.guest("g") / "store.json").write_bytes(store.read_bytes())
        output = self.boot("-no-reboot")
        self.assertIn("by=grub", output)
        self.assertEqual(self.modes(output), {"SecureBoot": "1", "SetupMode": "0"})
        # What shim leaves for the kernel, volatile.
        for name in "MokListRT", "MokListXRT", "SbatLevelRT":
            self.assertIn(f"{name}-{uv.SHIM}", output)
        self.assertNotIn("refused", self.mount.log.read_text())
        ours = firmware.store_variables((self.mount.guest("g") / "store.json").read_text())
        output = firmware.output_of(WHICH, f"jsonfile={store}", ours=False, disk=self.disk,
                                    args=["-no-reboot"])
        self.assertIn("by=grub", output)
        stock = firmware.store_variables(store.read_text())
        for name in firmware.OTHERWISE:
            ours.pop(name, None)
            stock.pop(name, None)
        self.assertEqual(ours, stock)


if __name__ == "__main__":
    WHICH.need()
    uvmount.need("openssl", "sbsign", "hash-to-efi-sig-list")
    if not WHICH.script_program().exists():
        skip("guest/efi-script.c was not built (clang and lld)")
    unittest.main(argv=sys.argv[:1])
