# SPDX-License-Identifier: GPL-2.0-or-later
"""A real guest on a flash image that we edit: Debian's OVMF and kernel under TCG.

What efibootmgr writes through the mount decides what boots; what the guest's Linux writes through
its efivarfs is there afterwards; keys enrolled through the mount make the firmware enforce Secure
Boot and say so."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import uvflash  # noqa: E402

CACHE = os.environ.get("UEFIVARS_TEST_CACHE", "/var/tmp/uefivars-test-kernel")
OVMF = "/usr/share/OVMF/"
BOOT_SECONDS = 240
SECURE = "--secure" in sys.argv
GUID = uvflash.GUID
GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
# Crash dumps' GUID: the kernel's efivarfs makes everything else immutable.
MUTABLE = "cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0"
SECURITY = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"

INIT = r"""#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox insmod /efivarfs.ko
/bin/busybox mount -t efivarfs efivarfs /sys/firmware/efi/efivars
cd /sys/firmware/efi/efivars
echo "GUEST cmdline $(/bin/busybox cat /proc/cmdline)"
for name in BootCurrent-GLOBAL SecureBoot-GLOBAL SetupMode-GLOBAL FromHost-GUID; do
    echo "GUEST variable $name $(/bin/busybox hexdump -v -e '1/1 "%02x"' $name 2>/dev/null)"
done
/bin/busybox printf '\007\000\000\000from the guest' > FromGuest-GUID
/bin/busybox printf '\007\000\000\000changed' > Changed-MUTABLE
/bin/busybox rm -f Removed-MUTABLE
echo "GUEST listing $(/bin/busybox ls | /bin/busybox tr '\n' ' ')"
echo "GUEST done"
/bin/busybox poweroff -f
""".replace("MUTABLE", MUTABLE).replace("GLOBAL", GLOBAL).replace("GUID", GUID)


def run(*arguments, **options):
    return subprocess.run(arguments, check=True, stdout=subprocess.PIPE, **options).stdout


def need():
    for tool in ("qemu-system-x86_64", "efibootmgr", "mcopy", "mkfs.vfat", "sfdisk", "cpio",
                 "dpkg-deb"):
        if not shutil.which(tool):
            uvflash.skip(f"{tool} is not installed")
    for path in ("/bin/busybox", "/dev/fuse", OVMF + "OVMF_CODE_4M.secboot.fd"):
        if not os.path.exists(path):
            uvflash.skip(f"{path} is missing")
    if not uvflash.have_virt_firmware():
        uvflash.skip("python3-virt-firmware is not installed")
    if not os.environ.get("UEFIVARSFS"):
        uvflash.skip("UEFIVARSFS does not name the program")


def kernel():
    """Debian's cloud kernel, downloaded once: (vmlinuz, efivarfs.ko)."""
    def found():
        images = glob.glob(CACHE + "/boot/vmlinuz-*")
        modules = glob.glob(CACHE + "/lib/modules/*/kernel/fs/efivarfs/efivarfs.ko*")
        return (images[0], modules[0]) if images and modules else None

    if found():
        return found()
    os.makedirs(CACHE, exist_ok=True)
    try:
        depends = run("apt-cache", "depends", "linux-image-cloud-amd64", text=True)
        name = re.search(r"Depends: (linux-image-\S+)", depends).group(1)
        run("apt-get", "-o", "APT::Sandbox::User=root", "download", name, cwd=CACHE)
        package = glob.glob(CACHE + "/linux-image-*.deb")[0]
        run("dpkg-deb", "-x", package, CACHE)
    except (subprocess.CalledProcessError, AttributeError, IndexError):
        pass
    return found() or uvflash.skip("Debian's kernel can't be downloaded")


def initramfs(folder, module):
    root = os.path.join(folder, "root")
    for name in ("bin", "proc", "sys"):
        os.makedirs(os.path.join(root, name))
    shutil.copy("/bin/busybox", root + "/bin/busybox")
    shutil.copy(module, root + "/efivarfs.ko")
    with open(root + "/init", "w") as file:
        file.write(INIT)
    os.chmod(root + "/init", 0o755)
    names = run("find", ".", cwd=root)
    return run("cpio", "-o", "-H", "newc", "--quiet", cwd=root, input=names)


class Disk:
    """A GPT disk image with one EFI system partition."""
    START = 2048 * 512

    def __init__(self, folder):
        self.path = os.path.join(folder, "disk.img")
        with open(self.path, "wb") as file:
            file.truncate(96 << 20)
        run("sfdisk", "-q", self.path, input=b"label: gpt\nstart=2048, type=uefi\n")
        part = os.path.join(folder, "esp.img")
        with open(part, "wb") as file:
            file.truncate(90 << 20)
        run("mkfs.vfat", part)
        self.part = part

    def add(self, source, target):
        run("mcopy", "-i", self.part, source, "::" + target)

    def finish(self):
        with open(self.path, "r+b") as disk, open(self.part, "rb") as part:
            disk.seek(self.START)
            shutil.copyfileobj(part, disk)
        self.loop = run("losetup", "-P", "-f", "--show", self.path, text=True).strip()

    def close(self):
        run("losetup", "-d", self.loop)


class Mount:
    def __init__(self, path, folder, *options):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        arguments = [os.environ["UEFIVARSFS"], path, folder]
        if options:
            arguments += ["-o", ",".join(options)]
        run(*arguments)

    def __enter__(self):
        return self.folder

    def __exit__(self, *_):
        run("fusermount3", "-u", self.folder)
        # The engine lets go of the image 200 ms after the last write.
        time.sleep(1)


def write(folder, name, guid, attributes, data):
    with open(f"{folder}/{name}-{guid}", "wb", buffering=0) as file:
        file.write(attributes.to_bytes(4, "little") + data)


def boot(vars_path, disk, secure=False):
    """Runs the guest to its end; its lines on the console."""
    code = "OVMF_CODE_4M.secboot.fd" if secure else "OVMF_CODE_4M.fd"
    arguments = [
        "qemu-system-x86_64", "-machine", "q35" + (",smm=on" if secure else ""), "-accel", "tcg",
        "-cpu", "max", "-m", "512", "-display", "none", "-nodefaults", "-no-reboot",
        "-serial", "stdio", "-global", "ICH9-LPC.disable_s3=1",
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF}{code}",
        "-drive", f"if=pflash,unit=1,format=raw,file={vars_path}",
        "-drive", f"if=none,id=disk,format=raw,file={disk.path}",
        "-device", "virtio-blk-pci,drive=disk"]
    if secure:
        arguments += ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    try:
        text = run(*arguments, stdin=subprocess.DEVNULL, timeout=BOOT_SECONDS)
    except subprocess.TimeoutExpired as error:
        sys.exit("the guest did not end:\n" + (error.stdout or b"").decode(errors="replace")[-4000:])
    return text.decode(errors="replace")


def facts(console):
    return dict(re.findall(r"GUEST variable (\S+) (\S*)", console))


class Guest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir="/var/tmp")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.vars = os.path.join(self.folder, "VARS.fd")
        self.mount_point = os.path.join(self.folder, "mnt")
        shutil.copyfile(OVMF + "OVMF_VARS_4M.fd", self.vars)
        self.vmlinuz, module = kernel()
        self.initrd = os.path.join(self.folder, "initrd")
        with open(self.initrd, "wb") as file:
            file.write(initramfs(self.folder, module))

    def disk(self, vmlinuz):
        disk = Disk(self.folder)
        disk.add(vmlinuz, "/linux.efi")
        disk.add(self.initrd, "/initrd")
        disk.finish()
        self.addCleanup(disk.close)
        return disk

    def add_entry(self, mnt, disk, label):
        arguments = f"initrd=\\initrd console=ttyS0 quiet entry={label}"
        run("efibootmgr", "-q", "-c", "-d", disk.loop, "-p", "1", "-L", label, "-l",
            "\\linux.efi", "-u", arguments, env={**os.environ, "EFIVARFS_PATH": mnt + "/"})

    def entries(self, mnt):
        text = run("efibootmgr", env={**os.environ, "EFIVARFS_PATH": mnt + "/"},
                   text=True)
        return {label: number for number, label in re.findall(r"^Boot(\w{4})\* (\w+)", text, re.M)}

    def enrol(self, mnt):
        """PK, KEK and db of our own, signed as they have to be; returns the db key and its certificate."""
        base = os.path.join(self.folder, "keys")
        os.makedirs(base)
        for name in ("PK", "KEK", "db"):
            run("openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650",
                "-subj", f"/CN={name} of the test/", "-keyout", f"{base}/{name}.key",
                "-out", f"{base}/{name}.crt", stderr=subprocess.DEVNULL)
            run("cert-to-efi-sig-list", "-g", GUID, f"{base}/{name}.crt", f"{base}/{name}.esl")
        for name, signer in (("db", "KEK"), ("KEK", "PK"), ("PK", "PK")):
            run("sign-efi-sig-list", "-g", GUID, "-k", f"{base}/{signer}.key", "-c",
                f"{base}/{signer}.crt", name, f"{base}/{name}.esl", f"{base}/{name}.auth",
                stderr=subprocess.DEVNULL)
            with open(f"{base}/{name}.auth", "rb") as file:
                write(mnt, name, SECURITY if name == "db" else GLOBAL, 0x27, file.read())
        return f"{base}/db.key", f"{base}/db.crt"

    @unittest.skipIf(SECURE, "the other run")
    def test_boot_order_and_the_guests_writes(self):
        disk = self.disk(self.vmlinuz)
        with Mount(self.vars, self.mount_point) as mnt:
            self.add_entry(mnt, disk, "first")
            self.add_entry(mnt, disk, "second")
            numbers = self.entries(mnt)
            run("efibootmgr", "-q", "-o", numbers["first"] + "," + numbers["second"],
                env={**os.environ, "EFIVARFS_PATH": mnt + "/"})
            write(mnt, "FromHost", GUID, 7, b"from the host")
            write(mnt, "Changed", MUTABLE, 7, b"as it was")
            write(mnt, "Removed", MUTABLE, 7, b"for a while")
        console = boot(self.vars, disk)
        self.assertIn("GUEST done", console, console[-3000:])
        self.assertIn("entry=first", console)
        seen = facts(console)
        self.assertEqual(seen[f"BootCurrent-{GLOBAL}"],
                         "06000000" + bytes.fromhex(numbers["first"])[::-1].hex())
        self.assertEqual(seen[f"FromHost-{GUID}"], "07000000" + b"from the host".hex())
        with Mount(self.vars, self.mount_point) as mnt:
            with open(f"{mnt}/FromGuest-{GUID}", "rb") as file:
                self.assertEqual(file.read(), b"\7\0\0\0from the guest")
            with open(f"{mnt}/Changed-{MUTABLE}", "rb") as file:
                self.assertEqual(file.read(), b"\7\0\0\0changed", console[-2000:])
            self.assertFalse(os.path.exists(f"{mnt}/Removed-{MUTABLE}"))
            self.assertEqual({k: self.entries(mnt).get(k) for k in numbers}, numbers)
            # What the firmware says of itself in the image is there for the administrator.
            shown = os.listdir(mnt)
            self.assertTrue(any(name.startswith("MTC-") for name in shown), shown)
            run("efibootmgr", "-q", "-o", numbers["second"],
                env={**os.environ, "EFIVARFS_PATH": mnt + "/"})
        console = boot(self.vars, disk)
        self.assertIn("entry=second", console, console[-3000:])

    def cut_off_reclaim(self):
        """Leaves the image as a crash right after "spare complete" would; the value that is only in
        the spare area then."""
        log = os.path.join(self.folder, "log")
        tool = uvflash.Tool("--record", log, self.vars)
        tool.ask("in-place")
        with open(self.vars, "rb") as file:
            image = bytearray(file.read())
        spare = len(image) // 2
        for i in range(100):
            value = bytes([i]) * 5000
            self.assertEqual(tool.set("FromHost", value), "ok")
        tool.close()
        value, in_spare = None, False
        for kind, offset, data in uvflash.read_log(log):
            if kind != "W":
                continue
            image[offset:offset + len(data)] = data
            if in_spare and offset < spare:  # the flag in the record
                break
            in_spare = offset == spare
            if in_spare:
                at = data.rindex("FromHost\0".encode("utf-16le")) + 18
                value = data[at:at + 5000]
        self.assertIsNotNone(value)
        with open(self.vars, "wb") as file:
            file.write(image)
        return value

    @unittest.skipIf(SECURE, "the other run")
    def test_the_firmware_finishes_our_reclaim(self):
        disk = self.disk(self.vmlinuz)
        os.link(self.vars, self.vars + ".other")  # reclaimed in place
        with Mount(self.vars, self.mount_point) as mnt:
            for i in range(70):
                write(mnt, "FromHost", GUID, 7, bytes([i]) * 9000)
            self.add_entry(mnt, disk, "first")
        value = self.cut_off_reclaim()
        with open(self.vars, "rb") as file:
            before = file.read()
        with Mount(self.vars, self.mount_point) as mnt, \
                open(f"{mnt}/FromHost-{GUID}", "rb") as file:
            self.assertEqual(file.read()[4:], value)
        with open(self.vars, "rb") as file:
            self.assertEqual(file.read(), before)  # looking finished nothing
        console = boot(self.vars, disk)
        self.assertIn("GUEST done", console, console[-3000:])
        self.assertEqual(facts(console)[f"FromHost-{GUID}"], "07000000" + value.hex())
        self.assertEqual(uvflash.virt_fw_vars(self.vars)["FromHost", GUID][2], value.hex())

    @unittest.skipUnless(SECURE, "the other run")
    def test_secure_boot(self):
        signed = os.path.join(self.folder, "signed.efi")
        with Mount(self.vars, self.mount_point) as mnt:
            key, certificate = self.enrol(mnt)
            run("sbsign", "--key", key, "--cert", certificate, "--output", signed, self.vmlinuz,
                stderr=subprocess.DEVNULL)
            disk = self.disk(signed)
            self.add_entry(mnt, disk, "signed")
        console = boot(self.vars, disk, secure=True)
        self.assertIn("GUEST done", console, console[-3000:])
        seen = facts(console)
        self.assertEqual(seen[f"SecureBoot-{GLOBAL}"], "0600000001")
        self.assertEqual(seen[f"SetupMode-{GLOBAL}"], "0600000000")

    @unittest.skipUnless(SECURE, "the other run")
    def test_lost_platform_key(self):
        """Keys whose owner is lost are replaced by the owner's act, and the guest boots what the new
        ones signed."""
        source = os.path.join(self.folder, "source")
        store = os.path.join(source, "vm_VARS.fd")
        profiles = os.path.join(self.folder, "profiles")
        signed = os.path.join(self.folder, "signed.efi")
        key = os.path.join(self.folder, "own.key")
        certificate = os.path.join(self.folder, "own.crt")
        os.mkdir(source)
        shutil.copyfile(OVMF + "OVMF_VARS_4M.fd", store)
        run("openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650",
            "-subj", "/CN=our own/", "-keyout", key, "-out", certificate, stderr=subprocess.DEVNULL)
        for name in ("PK", "KEK", "db"):
            os.makedirs(os.path.join(profiles, "own", name))
            shutil.copy(certificate, os.path.join(profiles, "own", name))
        run("sbsign", "--key", key, "--cert", certificate, "--output", signed, self.vmlinuz,
            stderr=subprocess.DEVNULL)
        disk = self.disk(signed)
        with Mount(source, self.mount_point, f"keys={profiles}") as mnt:
            guest = os.path.join(mnt, "guests/vm")
            self.enrol(guest + "/vars")
            shutil.rmtree(os.path.join(self.folder, "keys"))  # lost
            with open(guest + "/secure-boot/enroll", "w") as file:
                file.write("own\n")
            with open(guest + "/secure-boot/summary") as file:
                self.assertEqual(re.findall(r"^(\w+): our own,", file.read(), re.M),
                                 ["PK", "KEK", "db"])
            self.add_entry(guest + "/vars", disk, "signed")
        console = boot(store, disk, secure=True)
        self.assertIn("GUEST done", console, console[-3000:])
        self.assertEqual(facts(console)[f"SecureBoot-{GLOBAL}"], "0600000001")


if __name__ == "__main__":
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    need()
    unittest.main(argv=sys.argv[:1])
