#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""examples/prometheus.sh: its text format, and whom it asks."""

import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402

SCRIPT = uvmount.TOP / "examples" / "prometheus.sh"
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})\{{({LABEL}(?:,{LABEL})*)\}} (-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)")
ODD = 'o"dd\\na me'


def labels(text):
    unescaped = {r"\\": "\\", r"\"": '"', r"\n": "\n"}
    return {name: re.sub(r"\\.", lambda m: unescaped[m[0]], value)
            for name, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', text)}


def parse(text):
    """As the format's description has it: each metric's HELP and TYPE, then all its samples, once."""
    metrics, name = {}, None
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("# HELP "):
            name = re.fullmatch(rf"# HELP ({NAME}) [^\\]+", line)[1]
            if name in metrics:
                raise ValueError(f"{name} comes twice")
            kind = re.fullmatch(rf"# TYPE {name} (counter|gauge)", next(lines))[1]
            if (kind == "counter") != name.endswith("_total"):
                raise ValueError(f"{name} is a {kind}")
            metrics[name] = {}
            continue
        sample = SAMPLE.fullmatch(line)
        if not sample or sample[1] != name:
            raise ValueError(f"no sample of {name}: {line}")
        key = frozenset(labels(sample[2]).items())
        if key in metrics[name]:
            raise ValueError(f"comes twice: {line}")
        metrics[name][key] = float(sample[3])
    return metrics


class Prometheus(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        for name in ("runs", "off", ODD):
            (self.source / f"{name}.json").write_text(uvmount.store_text(uvmount.variable("A")))
        self.mount = self.scratch.mount(self.source)

    def run_script(self, *guests, status=0):
        result = subprocess.run([SCRIPT, self.mount.path, *guests], capture_output=True, text=True)
        self.assertEqual(result.returncode, status, result.stderr)
        return parse(result.stdout)

    def machine(self, name):
        guest = p.Guest(self.mount.socket(name))
        self.addCleanup(guest.close)
        return guest.hello()

    def test_format(self):
        for name in ("runs", ODD):
            guest = self.machine(name)
            self.assertEqual(guest.set("B", p.TEST, 7, b"x"), 0)
            guest.set("SetupMode", p.GLOBAL, 6, b"\0")
            guest.get("B", p.TEST)
        metrics = self.run_script()
        self.assertEqual({dict(key)["guest"] for samples in metrics.values() for key in samples},
                         {"runs", ODD})

        def value(name, **also):
            return metrics[f"uefivars_{name}"][frozenset({"guest": ODD, **also}.items())]
        self.assertEqual(value("requests_total", function="SetVariable"), 2)
        self.assertEqual(value("requests_total", function="GetVariable"), 1)
        self.assertEqual(value("refusals_total"), 1)
        self.assertGreater(value("bytes_total", direction="in"), 100)
        self.assertGreater(value("bytes_total", direction="out"), 100)
        self.assertGreater(value("seconds_total"), 0)
        self.assertLessEqual(value("longest_seconds"), value("seconds_total"))
        self.assertEqual((value("connected"), value("secure_boot"), value("warnings")), (1, 0, 0))
        self.assertEqual(value("storage_bytes"), 262144)
        self.assertEqual(len(self.mount.engines()), 2, "one was started to look")

    def test_named(self):
        metrics = self.run_script("off")
        (connected,) = metrics["uefivars_connected"].values()
        self.assertEqual(connected, 0)
        self.run_script("off", "not there", status=1)

    def test_nobody(self):
        self.assertFalse(any(self.run_script().values()))
        self.assertEqual(self.mount.engines(), [])


if __name__ == "__main__":
    uvmount.need_mount()
    uvmount.need("jq")
    unittest.main()
