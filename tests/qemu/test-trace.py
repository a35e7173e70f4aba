#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A bare-metal guest, and what a tshark reads of its trace.pcap while it runs: the same that the guest
did, and that guests/G/trace tells."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import unittest

from machines import Machine, need_guest
from qemu import need, uv
import uvmount

DECODER = pathlib.Path(__file__).resolve().parents[2] / "examples" / "edk2-mm.lua"
FIELDS = ("kind", "function", "variable", "guid", "attributes", "status", "data")
NOT_FOUND = 14


class Tshark:
    """Reads a trace.pcap from its standard input, as the manual says."""

    def __init__(self, path, output):
        self.output = output
        command = ["tshark", "-l", "-X", f"lua_script:{DECODER}", "-i", "-", "-T", "fields",
                   "-E", "separator=/t"]
        for field in FIELDS:
            command += ["-e", f"edk2mm.{field}"]
        with open(path, "rb") as trace, open(output, "wb") as rows, open(f"{output}.err", "wb") as errors:
            self.process = subprocess.Popen(command, stdin=trace, stdout=rows, stderr=errors)
        uvmount.wait_until(self.listens, "tshark listens", 30)

    def listens(self):
        if self.process.poll() is not None:
            why = pathlib.Path(f"{self.output}.err").read_text()
            if "fields aren't valid" in why:
                raise unittest.SkipTest("this tshark runs no script of root's")
            raise RuntimeError(why)
        return "Capture started" in pathlib.Path(f"{self.output}.err").read_text()

    def rows(self):
        text = pathlib.Path(self.output).read_text()
        lines = text[:text.rfind("\n") + 1].splitlines()
        return [dict(zip(FIELDS, line.split("\t"))) for line in lines]

    def close(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def requests_of(rows):
    """Each request with its reply: function, variable, status of the reply. Resets by themselves."""
    out = []
    for row in rows:
        if row["kind"] == "reset":
            out.append(("reset", "", 0))
        elif row["kind"] == "request":
            variable = f"{row['variable']}-{row['guid']}" if row["variable"] else ""
            out.append((row["function"], variable, None))
        else:
            function, variable, _ = out[-1]
            assert function == row["function"], (out[-1], row)
            out[-1] = function, variable, int(row["status"] or 0)
    return out


def requests_told(path):
    """The same of the lines of guests/G/trace."""
    out = []
    for line in path.read_text().splitlines():
        line = json.loads(line)
        assert line.get("event") != "lost", line
        function = line.get("function", "reset" if line.get("event") == "reset" else "")
        if function.startswith("Policy"):
            function = "Policy"
        if function:
            has_status = function not in ("reset", "Policy") and not function.startswith("Event")
            out.append((function, line.get("variable", ""), line["status"] if has_status else 0))
    return out


class Trace(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        source = self.scratch.path / "source"
        source.mkdir()
        (source / "vm.json").write_text(uvmount.store_text(uvmount.variable("There", b"1")))
        self.mount = self.scratch.mount(source)
        self.folder = self.mount.guest("vm")

    def test_what_the_guest_did(self):
        tshark = Tshark(self.folder / "trace.pcap", self.scratch.path / "rows")
        self.addCleanup(tshark.close)
        lines = self.scratch.path / "lines"
        with open(lines, "wb") as output:
            cat = subprocess.Popen(["cat", self.folder / "trace"], stdout=output)
        self.addCleanup(cat.wait)
        self.addCleanup(cat.kill)
        guest = Machine(self.mount.socket("vm"))
        self.addCleanup(guest.close)
        guest.ready()
        data = bytes(range(256)) * 4
        self.assertEqual(guest.get("There"), ("0", 7, b"1"))
        self.assertEqual(guest.set("Greeting", 7, data), "0")
        self.assertEqual(guest.get("Greeting"), ("0", 7, data))
        self.assertIn("Greeting", guest.names())
        self.assertEqual(guest.delete("Greeting"), "0")
        self.assertEqual(guest.get("Greeting")[0], "800000000000000e")
        guest.ask("event exit-boot-services")
        guest.type("reset")
        guest.ready()
        self.assertEqual(guest.set("Last", 7, b"end"), "0")
        uvmount.wait_until(lambda: any(row["variable"] == "Last" and row["kind"] == "reply"
                                       for row in tshark.rows()), "tshark has decoded the last one", 30)
        uvmount.wait_until(lambda: "Last-" in lines.read_text() and lines.read_text().endswith("\n"),
                           "the line of the last one")
        rows = tshark.rows()
        seen = requests_of(rows)
        self.assertEqual(seen, requests_told(lines))
        name = f"Greeting-{uv.TEST}"
        self.assertEqual([entry for entry in seen if entry[1] in (name, f"There-{uv.TEST}") and
                          entry[0] != "GetNextVariableName"],
                         [("GetVariable", f"There-{uv.TEST}", 0), ("SetVariable", name, 0),
                          ("GetVariable", name, 0), ("SetVariable", name, 0),
                          ("GetVariable", name, NOT_FOUND)])
        functions = [entry[0] for entry in seen]
        self.assertEqual(functions[0], "reset")
        after_exit = functions[functions.index("EventExitBootServices"):]
        self.assertLess(after_exit.index("reset"), after_exit.index("SetVariable"))
        written = next(row for row in rows if row["function"] == "SetVariable")
        self.assertEqual((written["attributes"], written["data"]), ("0x00000007", data.hex()))


if __name__ == "__main__":
    need()
    need_guest("x86_64")
    uvmount.need_mount()
    uvmount.need("tshark")
    unittest.main()
