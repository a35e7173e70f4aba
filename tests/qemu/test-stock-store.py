#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A JSON store goes back and forth between QEMU's own device and uefivarsd: private authenticated
variables that one made take updates by their signer, and nobody else, at the other."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
import qemu  # noqa: E402
import uvengine  # noqa: E402
import uvproto as uv  # noqa: E402
import uvsign  # noqa: E402

for tool in ("qemu-system-x86_64", "openssl"):
    if not shutil.which(tool):
        qemu.skip(f"no {tool}")
if not os.path.exists(uvengine.program()):
    qemu.skip("no uefivarsd")
if "uefi-vars-x64" not in subprocess.run(["qemu-system-x86_64", "-device", "help"], check=False,
                                         capture_output=True, text=True).stdout:
    qemu.skip("this QEMU has no uefi-vars device")

SIGNER, STRANGER = uvsign.Key("signer", 2048), uvsign.Key("signer", 2048)
ROOT = uvsign.Key("root", 2048)
LEAF = uvsign.Key("leaf", 2048, issuer=ROOT, ca=False)


class Stock:
    """QEMU's own device on the store."""

    def __init__(self, store):
        self.qemu = qemu.Qemu(f"uefi-vars-x64,jsonfile={store}", ours=False)
        self.guest = qemu.DeviceGuest(self.qemu)

    def set(self, name, data):
        return self.guest.set(name, uv.TEST, uvsign.KEYS, data)

    def close(self):
        self.qemu.close()


class Ours:
    def __init__(self, store):
        store = pathlib.Path(store)
        self.engine = uvengine.Engine(store.parent, store=store.name)
        self.guest = self.engine.guest().hello()

    def set(self, name, data):
        return self.guest.set(name, uv.TEST, uvsign.KEYS, data)

    def close(self):
        self.guest.bye()
        self.guest.close()
        self.engine.stop()


def write(side, signer, name, second, expected, others=()):
    data = uvsign.write(signer, name, uv.TEST, f"{second}".encode(), second, others=others)
    got = side.set(name, data)
    assert got == expected, f"{type(side).__name__} {name} {second}: {uv.status_name(got)}"


def turn(make, store, second):
    """One side takes updates by the signers of all variables, and by nobody else."""
    side = make(store)
    try:
        for name in ("by-stock", "by-ours"):
            write(side, STRANGER, name, second, uv.SECURITY_VIOLATION)
            write(side, SIGNER, name, second, uv.SUCCESS)
        for name in ("chain-by-stock", "chain-by-ours"):
            write(side, STRANGER, name, second, uv.SECURITY_VIOLATION, [ROOT])
            write(side, LEAF, name, second, uv.SUCCESS, [ROOT])
    finally:
        side.close()


def create(make, store, suffix):
    side = make(store)
    try:
        write(side, SIGNER, f"by-{suffix}", 1, uv.SUCCESS)
        write(side, LEAF, f"chain-by-{suffix}", 1, uv.SUCCESS, [ROOT])
    finally:
        side.close()


def main():
    with tempfile.TemporaryDirectory(prefix="uv-stock-") as folder:
        store = os.path.join(folder, "vars.json")
        pathlib.Path(store).write_text("")
        create(Stock, store, "stock")
        create(Ours, store, "ours")
        for second, make in enumerate((Stock, Ours, Stock, Ours), 10):
            turn(make, store, second)
    print("ok")


if __name__ == "__main__":
    main()
