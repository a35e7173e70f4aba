#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a real firmware's variable driver gets from the device before ExitBootServices: one script
(guest/efi-script.c), booted on our device and on QEMU's own. Each call has one expected answer, that of
edk2; where QEMU's device gives another, the line says which. `--arch=aarch64`: the other machine."""

import json
import shutil
import sys
import unittest

import firmware
from qemu import skip, uv
import uvmount
import uvsign

ARCH = "aarch64" if "--arch=aarch64" in sys.argv else "x86_64"
WHICH = firmware.machine(ARCH)
MOR = "e20939be-32d4-41be-a150-897f85d49829"
MOR_LOCK = "bb983ccf-151d-40e1-a07b-4a17be168292"
LOCKED = "aaaaaaaa-0000-4000-8000-000000000001"

OK, INVALID, UNSUPPORTED, NOT_FOUND = uv.SUCCESS, uv.INVALID_PARAMETER, uv.UNSUPPORTED, uv.NOT_FOUND
PROTECTED, DENIED, VIOLATION = uv.WRITE_PROTECTED, uv.ACCESS_DENIED, uv.SECURITY_VIOLATION


class Script:
    """Lines, and for each what is expected: status and value (None: any), on both devices."""

    def __init__(self):
        self.lines, self.expected, self.stock = [], [], []

    def add(self, line, status, value=None, stock=None):
        self.lines.append(line)
        self.expected.append((status, value))
        self.stock.append((status, value) if stock is None else
                          stock if isinstance(stock, tuple) else (stock, None))

    def set(self, name, guid, attributes, data, status=OK, **more):
        self.add(f"set {name} {uv.guid_bytes(guid).hex()} {attributes:x} {data.hex() or '-'}",
                 status, **more)

    def get(self, name, guid, status=OK, attributes=0, data=b"", **more):
        value = f"{attributes:08x} {data.hex()}".strip() if status == OK else None
        self.add(f"get {name} {uv.guid_bytes(guid).hex()}", status, value, **more)


def kinds_of_variables(script):
    script.set("V", uv.TEST, uv.BS, b"volatile")
    # QEMU appends to signature lists only.
    script.set("V", uv.TEST, uv.BS | uv.APPEND, b"+", stock=UNSUPPORTED)
    script.get("V", uv.TEST, OK, uv.BS, b"volatile+", stock=(OK, f"00000002 {b'volatile'.hex()}"))
    script.set("B", uv.TEST, uv.NV | uv.BS, b"boot")
    script.set("R", uv.TEST, uv.NV_BS_RT, b"runtime")
    script.set("R", uv.TEST, uv.NV | uv.BS, b"other", INVALID)
    script.set("R", uv.TEST, uv.NV | uv.RT, b"x", INVALID, stock=DENIED)
    script.set("R", uv.TEST, uv.NV_BS_RT, b"new")
    # Nothing is appended and nothing deleted, where QEMU deletes.
    script.set("R", uv.TEST, uv.NV_BS_RT | uv.APPEND, b"")
    script.get("R", uv.TEST, OK, uv.NV_BS_RT, b"new", stock=NOT_FOUND)
    script.set("None", uv.TEST, uv.NV_BS_RT, b"", NOT_FOUND, stock=OK)


def checks_of_global_names(script):
    script.set("Boot0009", uv.GLOBAL, uv.NV_BS_RT, b"x", INVALID, stock=OK)
    script.set("Timeout", uv.GLOBAL, uv.NV_BS_RT, b"12345", INVALID, stock=OK)
    script.set("Unheard", uv.GLOBAL, uv.NV_BS_RT, b"x", INVALID, stock=OK)
    script.set("SetupMode", uv.GLOBAL, uv.BS_RT, b"\0", PROTECTED, stock=OK)
    # As the firmware itself does while it boots.
    script.set("Timeout", uv.GLOBAL, uv.NV_BS_RT, b"\0\0")


def policies(script):
    """The firmware has registered its own, and locked them when it was ready to boot."""
    entry = uv.policy_entry("L", LOCKED, lock=1)
    script.add("policy-enabled", OK, "00000001")
    script.add(f"policy-add {entry.hex()}", PROTECTED, stock=OK)
    script.add("policy-lock", PROTECTED, stock=OK)
    script.add("policy-disable", PROTECTED)
    script.set("LangCodes", uv.GLOBAL, uv.BS_RT, b"en\0", PROTECTED)
    script.add("policy-dump", OK, stock=UNSUPPORTED)


def memory_overwrite(script):
    """The variable was there before the boot, as from a firmware with TcgMor."""
    script.set("MemoryOverwriteRequestControl", MOR, uv.NV_BS_RT, b"\1")
    script.set("MemoryOverwriteRequestControl", MOR, uv.NV_BS_RT, b"\1\2", INVALID, stock=OK)
    script.set("MemoryOverwriteRequestControl", MOR, uv.NV_BS_RT, b"\1")
    script.set("MemoryOverwriteRequestControlLock", MOR_LOCK, uv.NV_BS_RT, b"\1")
    script.set("MemoryOverwriteRequestControl", MOR, uv.NV_BS_RT, b"\0", DENIED, stock=OK)
    script.get("MemoryOverwriteRequestControl", MOR, OK, uv.NV_BS_RT, b"\1",
               stock=(OK, "00000007 00"))


class OnFirmware(unittest.TestCase):
    maxDiff = None

    def store_and_disk(self, folder, script, stored):
        disk = folder / "disk"
        disk.mkdir()
        shutil.copy(WHICH.script_program(), disk / "script.efi")
        option = firmware.load_option("script", "\\script.efi",
                                      "\n".join(script.lines).encode() + b"\n")
        return disk, uvmount.store_text(
            uvmount.variable("Boot0000", option, guid=uv.GLOBAL),
            uvmount.variable("Timeout", b"\0\0", guid=uv.GLOBAL),
            uvmount.variable("BootOrder", firmware.boot_order(0), guid=uv.GLOBAL), *stored)

    def check(self, script, expected, output):
        got = {number: words for number, words in firmware.script_answers(output)}
        seen, wanted = [], []
        for number, (line, (status, value)) in enumerate(zip(script.lines, expected), 1):
            words = got.get(number, ["missing"])
            text = " ".join(words[1:]) if value is not None else None
            seen.append((line[:80], words[0], text))
            wanted.append((line[:80], f"{status:016x}", value))
        self.assertEqual(seen, wanted, output)

    def run_both(self, script, *stored, options=()):
        """Runs the script on either device, with these variables in the store and options that are on;
        the output of ours."""
        script.add("reset off", OK)
        with uvmount.Scratch() as scratch:
            disk, text = self.store_and_disk(scratch.path, script, stored)
            source = scratch.path / "source"
            source.mkdir()
            (source / "g.json").write_text(text)
            mount = scratch.mount(source)
            if options:
                (mount.guest("g") / "config.json").write_text(json.dumps(
                    {option: True for option in options}))
            switches = "".join(f",{option}=on" for option in options)
            output = firmware.output_of(WHICH, f"socket={mount.guest('g') / 'mm.sock'}{switches}",
                                        disk=disk)
            self.check(script, script.expected, output)
            store = scratch.path / "stock.json"
            store.write_text(text)
            stock = firmware.output_of(WHICH, f"jsonfile={store}{switches}", ours=False, disk=disk)
            self.check(script, script.stock, stock)
            return output

    def test_calls(self):
        script = Script()
        for part in kinds_of_variables, checks_of_global_names, policies, memory_overwrite:
            part(script)
        output = self.run_both(script, uvmount.variable("MemoryOverwriteRequestControl", b"\0",
                                                       guid=MOR))
        dump = next(words for number, words in firmware.script_answers(output)
                    if script.lines[number - 1] == "policy-dump")
        # LangCodes is one of BDS's own policies.
        self.assertIn(uv.ucs2("LangCodes").hex(), dump[2])

    def test_resets(self):
        script = Script()
        script.set("V", uv.TEST, uv.BS, b"volatile")
        script.set("B", uv.TEST, uv.NV | uv.BS, b"boot")
        for kind in "cold", "warm":
            # A firmware that did not make it does not support it.
            script.set("MemoryOverwriteRequestControl", MOR, uv.NV_BS_RT, b"\1", PROTECTED, stock=OK)
            script.add(f"reset {kind}", OK)
            script.get("V", uv.TEST, NOT_FOUND)
            script.get("B", uv.TEST, OK, uv.NV | uv.BS, b"boot")
            script.add("policy-lock", PROTECTED, stock=OK)
            script.set("V", uv.TEST, uv.BS, b"volatile")
        self.run_both(script)

    def test_options(self):
        """With both options the firmware can't switch Secure Boot off, nor waive signatures."""
        script = Script()
        pk = uvsign.Key("PK", 2048)
        unsigned = uvsign.header(uvsign.time_bytes(9), b"")
        script.set("SecureBootEnable", uv.SECURE_BOOT_ENABLE, uv.NV | uv.BS, b"\0", VIOLATION,
                   stock=PROTECTED)
        script.set("CustomMode", uv.CUSTOM_MODE, uv.NV | uv.BS, b"\1", VIOLATION, stock=PROTECTED)
        script.set("PK", uv.GLOBAL, uvsign.KEYS, uvsign.write(pk, "PK", uv.GLOBAL, uvsign.x509(pk)))
        script.get("SetupMode", uv.GLOBAL, OK, uv.BS_RT, b"\0")
        script.get("SecureBoot", uv.GLOBAL, OK, uv.BS_RT, b"\1")
        script.set("SecureBootEnable", uv.SECURE_BOOT_ENABLE, uv.NV | uv.BS, b"\0", VIOLATION,
                   stock=PROTECTED)
        script.set("CustomMode", uv.CUSTOM_MODE, uv.NV | uv.BS, b"\1", VIOLATION, stock=PROTECTED)
        script.set("PK", uv.GLOBAL, uvsign.KEYS, unsigned, VIOLATION)
        script.get("SecureBoot", uv.GLOBAL, OK, uv.BS_RT, b"\1")
        self.run_both(script, options=("force-secure-boot", "disable-custom-mode"))

    def test_keys_and_modes(self):
        """Keys are enrolled by the firmware and deleted again as its Secure Boot screen does it."""
        script = Script()
        pk, kek = uvsign.Key("PK", 2048), uvsign.Key("KEK", 2048)

        def modes(setup, secure, stock=None):
            for name, value in ("SetupMode", setup), ("SecureBoot", secure):
                script.get(name, uv.GLOBAL, OK, uv.BS_RT, bytes([value]),
                           stock=stock and (OK, f"00000006 {stock[name]:02x}"))

        keys = uvsign.KEYS
        unsigned = uvsign.header(uvsign.time_bytes(9), b"")
        modes(1, 0)
        script.set("KEK", uv.GLOBAL, keys, uvsign.write(pk, "KEK", uv.GLOBAL, uvsign.x509(kek)))
        script.set("PK", uv.GLOBAL, keys, uvsign.write(pk, "PK", uv.GLOBAL, uvsign.x509(pk)))
        modes(0, 1)
        script.set("PK", uv.GLOBAL, keys, unsigned, VIOLATION)
        script.set("CustomMode", uv.CUSTOM_MODE, uv.NV | uv.BS, b"\1")
        script.set("PK", uv.GLOBAL, keys, unsigned)
        script.get("PK", uv.GLOBAL, NOT_FOUND)
        modes(1, 0, stock={"SetupMode": 0, "SecureBoot": 1})
        script.add("reset cold", OK)
        script.get("CustomMode", uv.CUSTOM_MODE, OK, uv.NV | uv.BS, b"\0")
        modes(1, 0)
        self.run_both(script)


if __name__ == "__main__":
    WHICH.need()
    uvmount.need("openssl")
    if not WHICH.script_program().exists():
        skip("guest/efi-script.c was not built (clang and lld)")
    unittest.main(argv=sys.argv[:1])
