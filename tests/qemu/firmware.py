# SPDX-License-Identifier: GPL-2.0-or-later
"""Real firmware, edk2 built for the device, and what it boots: Linux with busybox and one script, or
guest/efi-script.c. Named by the environment: UEFIVARS_FIRMWARE and UEFIVARS_KERNEL
(.../boot/vmlinuz-VERSION, its modules beside it; default the newest in /boot), with _AARCH64 the same
for the other machine, which needs UEFIVARS_BUSYBOX_AARCH64, too. UEFIVARS_SIGNED: the folder where Debian's signed shim and GRUB are
unpacked, if they are not installed."""

import dataclasses
import glob
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess

from qemu import Qemu, need, skip, uv
import uvmount

GUESTS = pathlib.Path(os.environ.get("UEFIVARS_QEMU_GUESTS", uvmount.BUILD / "tests/qemu/guest"))


# What may differ between the two devices after the same boot: (name, guid) of a variable.
OTHERWISE = {
    # QEMU makes VendorKeysNv under the global GUID, with another value.
    ("VendorKeysNv", uv.GLOBAL),
    ("VendorKeysNv", "9073e4e0-60ec-4b6e-9903-4c223c260f3c"),
}


@dataclasses.dataclass
class Machine:
    arch: str
    device: str
    console: str
    firmware: str
    kernel: str
    busybox: str
    seconds: int
    signed: str

    def need(self):
        if not self.firmware:
            skip(f"no firmware for {self.arch}: UEFIVARS_FIRMWARE{SUFFIX[self.arch]} is not set")
        need(self.arch, engine=True)
        uvmount.need_mount()
        if not self.kernel or not self.busybox:
            skip(f"no Linux for {self.arch}: UEFIVARS_KERNEL{SUFFIX[self.arch]} and busybox")
        uvmount.need("cpio", self.busybox)

    def script_program(self):
        return GUESTS / f"efi-script-{self.arch}.efi"


SUFFIX = {"x86_64": "", "aarch64": "_AARCH64"}


def machine(arch):
    def given(name, default=None):
        return os.environ.get(f"UEFIVARS_{name}{SUFFIX[arch]}", default)
    if arch == "aarch64":
        return Machine(arch, "uefi-vars-sysbus", "ttyAMA0", given("FIRMWARE"), given("KERNEL"),
                       given("BUSYBOX"), 400, given("SIGNED"))
    return Machine(arch, "uefi-vars-x64", "ttyS0", given("FIRMWARE"),
                   given("KERNEL", max(glob.glob("/boot/vmlinuz-*"), default=None)),
                   "/bin/busybox", 200, given("SIGNED", "/"))


# What is booted


def module_of(kernel):
    """efivarfs.ko* that belongs to vmlinuz-VERSION."""
    kernel = pathlib.Path(kernel).resolve()
    version = kernel.name.removeprefix("vmlinuz-")
    for folder in "lib/modules", "usr/lib/modules":
        for module in (kernel.parent.parent / folder / version).glob("kernel/fs/efivarfs/*.ko*"):
            return module
    return None


def initramfs(which, folder, script, files=()):
    """busybox, the kernel's efivarfs, one script as /init, and files as (path, source)."""
    root = pathlib.Path(folder) / "root"
    shutil.rmtree(root, ignore_errors=True)
    for name in ("bin", "sys", "proc", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(which.busybox, root / "bin/busybox")
    (root / "init").write_text("#!/bin/busybox sh\nb=/bin/busybox\n$b mount -t proc proc /proc\n"
                               "$b mount -t sysfs sys /sys\n$b insmod /efivarfs.ko 2>/dev/null\n"
                               "cd /sys/firmware/efi/efivars && $b mount -t efivarfs efivarfs . &&"
                               " cd . || echo no efivarfs\n" + script + "\n$b poweroff -f\n")
    (root / "init").chmod(0o755)
    for path, source in files:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / path)
    module = module_of(which.kernel)
    if module:
        unpack = {".xz": ["xz", "-dc"], ".zst": ["zstd", "-dc"], ".ko": ["cat"]}[module.suffix]
        with open(root / "efivarfs.ko", "wb") as file:
            subprocess.run([*unpack, module], stdout=file, check=True)
    image = pathlib.Path(folder) / "initramfs"
    with open(image, "wb") as file:
        subprocess.run("find . | cpio -o -H newc --quiet", shell=True, cwd=root, stdout=file,
                       check=True)
    return str(image)


def program_files(*programs):
    """(path, source) of programs of this system and their libraries, for initramfs()."""
    files = {}
    for program in programs:
        path = shutil.which(program)
        files["bin/" + program] = path
        libraries = subprocess.run(["ldd", path], check=False, capture_output=True, text=True)
        for library in re.findall(r"/\S+", libraries.stdout):
            files[library[1:]] = library
    return list(files.items())


def load_option(label, path, optional=b""):
    """A Boot#### that names a file on whatever has it (a short-form device path)."""
    node = uv.ucs2(path)
    path_list = struct.pack("<BBH", 4, 4, 4 + len(node)) + node + b"\x7f\xff\x04\x00"
    return struct.pack("<IH", 1, len(path_list)) + uv.ucs2(label) + path_list + optional


def boot_order(*numbers):
    return b"".join(struct.pack("<H", number) for number in numbers)


# Running it


class Started(Qemu):
    """One run of QEMU, from power on to its end."""

    def __init__(self, which, args, device=None, ours=True):
        self.seconds = which.seconds
        super().__init__(device, ours, which.arch, [*args, "-serial", "stdio"], stopped=False,
                         qtest=False, memory="512M")

    def output(self):
        try:
            text = self.process.communicate(timeout=self.seconds)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            text = self.process.communicate()[0]
            raise RuntimeError(text.decode(errors="replace") + self.stderr()) from None
        return text.decode(errors="replace")


class Boot(Started):
    """With the firmware, the device (these are its properties), and a folder as disk."""

    def __init__(self, which, device, ours=True, args=(), disk=None):
        args = ["-bios", which.firmware, *args]
        if disk:
            args += ["-drive", f"if=none,id=disk,format=raw,readonly=on,file=fat:{disk}",
                     "-device", "virtio-blk-pci,drive=disk"]
        super().__init__(which, args, f"{which.device},{device}", ours)


def linux_args(which, image, reset=False):
    """Linux without a boot loader or disk; a reset ends QEMU unless it is wanted."""
    return ["-kernel", which.kernel, "-initrd", image, "-append",
            f"console={which.console} quiet panic=-1", *([] if reset else ["-no-reboot"])]


def output_of(*args, **more):
    with Boot(*args, **more) as boot:
        return boot.output()


def script_answers(text):
    """The answers of guest/efi-script.c, in order: (number of the line, words)."""
    return [(int(number, 16), rest.split())
            for number, rest in re.findall(r"^script (\w{4})(.*?)\r?$", text, re.M)]


def store_variables(text):
    """{(name, guid): (attributes, data)} of a JSON store."""
    return {(entry["name"], entry["guid"]): (entry["attr"], bytes.fromhex(entry["data"]))
            for entry in json.loads(text)["variables"]}
