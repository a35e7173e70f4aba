# SPDX-License-Identifier: GPL-2.0-or-later
"""The chain's other parts: an engine of its own, and QEMU with the bare-metal guest."""

import os
import re
import shutil
import tempfile
import time

from console import Console
from qemu import Qemu, skip
import uvengine

GUESTS = os.environ.get("UEFIVARS_QEMU_GUESTS", "")
DEVICE = {"x86_64": "uefi-vars-x64", "aarch64": "uefi-vars-sysbus"}
FIRMWARE_SUCCESS = "0"
NOT_FOUND = "800000000000000e"


def need_guest(arch):
    if not os.path.exists(f"{GUESTS}/guest-{arch}"):
        skip("the bare-metal guests were not built (clang, lld)")


class Engine(uvengine.Engine):
    """uefivarsd below `folder`."""

    def variables(self):
        """{name-guid: (attributes, data)} as the host sees them."""
        with self.host() as host:
            return {name: (int.from_bytes(content[:4], "little"), content[4:])
                    for name, (content, _) in host.snapshot()["entries"].items()}


class Machine(Qemu, Console):
    """QEMU with the bare-metal guest, commanded over its serial line."""

    def __init__(self, socket, arch="x86_64", options="", args=(), **kwargs):
        device = kwargs.pop("device", f"{DEVICE[arch]},socket={socket}{options}")
        super().__init__(device, arch=arch, qtest=False, stopped=kwargs.pop("stopped", False),
                         args=["-serial", "stdio", "-kernel", f"{GUESTS}/guest-{arch}", *args],
                         **kwargs)
        self.listen(self.process.stdout, self.process.stdin)

    def write(self, first, count=0xFFFFFFF, step=500):
        """Starts writing; acknowledged() grows meanwhile."""
        self._last = time.monotonic()
        self.type(f"write {first:x} {count:x} {step:x}")

    def stop_writing(self):
        self.type("")
        self.expect("written")
        self._last = None

    def wait_for_writes(self, count, timeout=60):
        """Until that many more are acknowledged."""
        target = self.output.count(b"w ") + count
        end = time.monotonic() + timeout
        while self.output.count(b"w ") < target:
            if time.monotonic() > end:
                raise TimeoutError(f"less than {count} writes; {self.output[-200:]}; "
                                   f"{self.stderr()}")
            if self.process.poll() is not None:
                raise EOFError(self.stderr())
            time.sleep(0.01)


def reported(*machines):
    """What the guest said of its writes, wherever it ran: (acknowledged, refused)."""
    text = b"".join(machine.output for machine in machines).decode(errors="replace")
    acknowledged = [int(number) for number in re.findall(r"^w (\d+)$", text, re.M)]
    return acknowledged, [int(number) for number in re.findall(r"^e (\d+) ", text, re.M)]


def written(variables):
    """The numbers in the Log variables of {name-guid: (attributes, data)}, in order."""
    logs = {}
    for name, (_, data) in variables.items():
        if name.startswith("Log-"):
            logs[int(name.split("-")[1])] = data
    out = []
    for number in sorted(logs):
        data = logs[number]
        out += [int.from_bytes(data[at:at + 4], "little") for at in range(0, len(data), 4)]
    return out


def check_written(test, variables, *machines):
    """Nothing lost, nothing doubled, in order; a refused one may be there once or not."""
    found = written(variables)
    acknowledged, refused = reported(*machines)
    test.assertTrue(acknowledged)
    test.assertEqual(len(found), len(set(found)), "written twice")
    test.assertEqual(found, sorted(found), "out of order")
    test.assertEqual(set(acknowledged) - set(found), set(), "acknowledged and lost")
    # The last one may have been written, and QEMU ended before the guest could say so.
    test.assertLessEqual(set(found) - set(acknowledged) - set(refused),
                         {max(acknowledged) + 1})
    return acknowledged, refused


def folder_of(test, prefix="uv-qemu-test-"):
    folder = tempfile.mkdtemp(prefix=prefix)
    test.addCleanup(shutil.rmtree, folder, True)
    return folder
