#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The build installs below DESTDIR what README.md names, with the folders of this build in the units
and examples, and takes all of it away again."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402

PAGES = ["uefivars-protocol.7", "uefivars-qemu.7", "uefivarsd.8", "uefivarsfs-config.5",
         "uefivarsfs.8"]
EXAMPLES = ["edk2-mm.lua", "efitools/mount", "libvirt/README", "libvirt/apparmor-libvirt-qemu",
            "libvirt/uefi-vars-device.xml", "libvirt/uefivarsfs.cil", "qemu/start-guest.sh",
            "prometheus.sh", "roll-out.sh", "systemd/fstab", "undo.sh"]
HELPERS = ["uefivars-folders", "uefivars-make", "uefivars-qcow2", "uefivars-verify.so"]
if (uvmount.BUILD / "fusefs" / "libvirt" / "uefivars-libvirt").exists():
    HELPERS.append("uefivars-libvirt")
if (uvmount.BUILD / "vars" / "uefivars-look").exists():
    HELPERS.append("uefivars-look")
UNITS = ["uefivarsd@.service", "uefivarsfs-libvirt@.service", "uefivarsfs@.service"]


def run(*command, **environment):
    return subprocess.run([str(word) for word in command], check=True, text=True,
                          stdout=subprocess.PIPE, env=dict(os.environ, **environment)).stdout


def options():
    """The build's options by name; paths as `meson install` has them."""
    command = ["meson", "introspect", "--buildoptions", uvmount.BUILD]
    return {one["name"]: one["value"] for one in json.loads(run(*command))}


def files_below(folder):
    return {path for path in folder.rglob("*") if not path.is_dir()}


# What the modules are linked from again, when QEMU is upgraded.
PARTS = ("hw-uefi-vars.a", "hw-uefi-vars-engine.a", "branch", "build-again.sh")


def check_unit(path, bindir, root):
    """Every program of ours that the unit starts is where it says."""
    text = path.read_text()
    programs = re.findall(r"^Exec\w+=-?(\S*/uefivars\w+)", text, re.M)
    assert programs, f"{path} starts nothing of ours"
    for program in programs:
        assert pathlib.Path(program).parent == bindir, f"{path}: {program}"
        assert (root / program.lstrip("/")).is_file(), f"{path}: {program} was not installed"


def check_installed(root, chosen):
    prefix = pathlib.Path(chosen["prefix"])
    bindir = prefix / chosen["bindir"]
    examples = prefix / chosen["datadir"] / "doc" / "uefivarsfs" / "examples"
    module_dir = prefix / "lib" / "uefivarsfs" / "qemu"
    wanted = [bindir / "uefivarsd", bindir / "uefivarsfs"]
    wanted += [prefix / chosen["libexecdir"] / "uefivarsfs" / name for name in HELPERS]
    wanted += [examples / name for name in EXAMPLES]
    if chosen["man"]:
        wanted += [prefix / chosen["mandir"] / f"man{name[-1]}" / name for name in PAGES]
    if chosen["systemdunitdir"] != "no":
        wanted += [prefix / chosen["systemdunitdir"] / name for name in UNITS]
        wanted.append(prefix / chosen["systemdunitdir"] / "uefivarsfs-libvirt@.path")
    if chosen["qemu_source"]:
        wanted += [module_dir / "hw-uefi-vars.so", module_dir / "hw-uefi-vars-engine.so"]
        wanted += [module_dir / "parts" / name for name in PARTS]
    below = {root / str(path).lstrip("/") for path in wanted}
    found = files_below(root)
    assert found == below, f"missing: {below - found}, not expected: {found - below}"
    for path in below:
        if path.name in UNITS:
            check_unit(path, bindir, root)
        if path.name in ("start-guest.sh", "uefi-vars-device.xml"):
            assert str(module_dir) in path.read_text(), path
        if path.suffix not in (".so", ".a") and path.name not in HELPERS and \
                path.parent != root / str(bindir).lstrip("/"):
            left = re.findall(r"@[a-z]+@", path.read_text())
            assert not left, f"{path}: {left} was not filled in"
    for name in ("uefivarsd", "uefivarsfs"):
        assert run(root / str(bindir).lstrip("/") / name, "--version").startswith(name)


def main():
    uvmount.need("meson", "ninja", uvmount.UEFIVARSFS)
    with tempfile.TemporaryDirectory(prefix="uefivars-install-") as folder:
        root = pathlib.Path(folder)
        run("meson", "install", "-C", uvmount.BUILD, "--no-rebuild", DESTDIR=folder)
        check_installed(root, options())
        run("ninja", "-C", uvmount.BUILD, "uninstall", DESTDIR=folder)
        assert not files_below(root), f"left: {files_below(root)}"


main()
