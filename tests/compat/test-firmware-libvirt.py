# SPDX-License-Identifier: GPL-2.0-or-later
"""The firmware that libvirt's own automatic selection takes, compared with ours, for the installed
descriptors. libvirt runs inside virsh (qemu:///embed) and translates a domain to QEMU's arguments."""

import json
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount

FEATURES = (
    {},
    {"secure-boot": True},
    {"secure-boot": False},
    {"enrolled-keys": True},
    {"enrolled-keys": False},
    {"secure-boot": True, "enrolled-keys": False},
    {"secure-boot": False, "enrolled-keys": False},
)
MACHINES = (("x86_64", "q35"), ("x86_64", "pc"), ("aarch64", "virt"))


def domain(architecture, machine, features):
    wishes = "".join(f"<feature enabled='{'yes' if wanted else 'no'}' name='{name}'/>"
                     for name, wanted in features.items())
    return (f"<domain type='qemu'><name>t</name><memory unit='MiB'>256</memory><os firmware='efi'>"
            f"<type arch='{architecture}' machine='{machine}'>hvm</type>"
            + (f"<firmware>{wishes}</firmware>" if wishes else "")
            + "</os><features><acpi/></features></domain>")


def libvirts_choice(scratch, xml):
    file = scratch.path / "domain.xml"
    file.write_text(xml)
    done = subprocess.run(
        ["virsh", "-c", f"qemu:///embed?root={scratch.path}/libvirt", "domxml-to-native",
         "qemu-argv", "--xml", str(file)], capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r'"filename":"([^"]*)","node-name":"libvirt-pflash0', done.stdout)
    if found:
        return found[1]
    if "Unable to find" in done.stderr:
        return None
    uvmount.skip(f"libvirt can't say: {done.stderr.strip().splitlines()[-1:]}")


def our_choice(mount, number, wish):
    guest = mount.guest(f"g{number}")
    guest.mkdir()
    (guest / "config.json").write_text(json.dumps(wish))
    try:
        return os.readlink(guest / "firmware" / "executable")
    except FileNotFoundError:
        return None


def main():
    uvmount.need_mount()
    uvmount.need("virsh")
    if not pathlib.Path("/usr/share/qemu/firmware").is_dir():
        uvmount.skip("no descriptors are installed")
    differences = 0
    with uvmount.Scratch() as scratch:
        source = scratch.path / "source"
        source.mkdir()
        mount = scratch.mount(source)
        cases = [(a, m, f) for a, m in MACHINES for f in FEATURES]
        for number, (architecture, machine, features) in enumerate(cases):
            if not uvmount.shutil.which(f"qemu-system-{architecture}"):
                continue
            theirs = libvirts_choice(scratch, domain(architecture, machine, features))
            ours = our_choice(mount, number, {"architecture": architecture, "machine": machine,
                                              "interface": "uefi", "features": features})
            print(architecture, machine, features, "libvirt:", theirs, "ours:", ours)
            differences += theirs != ours
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
