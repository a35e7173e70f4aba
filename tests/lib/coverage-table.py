#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: coverage-table.py BUILD [FILE...]

Prints which share of the lines and branches of each folder of the programs the tests have run, from
what they have left in BUILD, a build with -Dcounting=true; for each folder the file with the most
lines that no test ran is named. Exits with 1 if a folder is below the bar.

With FILEs: prints these with what was not run marked, instead."""

import collections
import json
import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("vars", "fusefs", "descriptors", "qemu-glue")
# The least share of lines, and of branches, in each folder.
BAR = {"lines": 93, "branches": 82}


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=TOP).stdout


def programs(build):
    """All that may have counted: programs, and modules that programs load."""
    for target in json.loads(output("meson", "introspect", "--targets", build)):
        if target["type"] in ("executable", "shared module", "shared library"):
            for name in target["filename"]:
                if pathlib.Path(name).exists():
                    yield name


def counted(build):
    """What llvm-cov is told: the counts of all programs in one file, and the programs."""
    counts = sorted(str(path) for path in (build / "counts").glob("*.profraw"))
    if not counts:
        sys.exit(f"{build}: nothing was counted; build it with -Dcounting=true, and run tests")
    merged = str(build / "counts.profdata")
    output("llvm-profdata", "merge", "-sparse", "-failure-mode=all", "-o", merged, *counts)
    first, *others = programs(build)
    return [first, *(f"-object={name}" for name in others), f"-instr-profile={merged}"]


def measured(build):
    """The summary of each file of the programs, by its name."""
    told = output("llvm-cov", "export", "-summary-only", *counted(build))
    files = {}
    for file in json.loads(told)["data"][0]["files"]:
        path = pathlib.Path(os.path.normpath(build / file["filename"]))
        if path.is_relative_to(TOP) and path.relative_to(TOP).parts[0] in FOLDERS:
            files[path.relative_to(TOP)] = file["summary"]
    return files


def show(build, names):
    """Each file's lines, with "-" before one that was not run, and how many of its branches were not."""
    wanted = {os.path.normpath(TOP / name): name for name in names}
    name, lines, missed = None, {}, collections.Counter()
    for record in output("llvm-cov", "export", "-format=lcov", *counted(build)).splitlines():
        kind, _, value = record.partition(":")
        if kind == "SF":
            name = wanted.get(os.path.normpath(build / value))
            lines.clear(), missed.clear()
        elif kind == "DA":
            line, count = value.split(",")
            lines[int(line)] = count
        elif kind == "BRDA":
            line, _, _, count = value.split(",")
            missed[int(line)] += count in ("-", "0")
        elif kind == "end_of_record" and name:
            for at, text in enumerate((TOP / name).read_text().splitlines(), 1):
                print(f"{name}:{at:<4} {'-' if lines.get(at) == '0' else ' '} {missed[at] or '':>2} {text}")


class Row:
    def __init__(self, name):
        self.name = name
        self.count = collections.Counter()
        self.covered = collections.Counter()
        self.missed = {}

    def add(self, path, summary):
        for kind in BAR:
            self.count[kind] += summary[kind]["count"]
            self.covered[kind] += summary[kind]["covered"]
        self.missed[path.name] = summary["lines"]["count"] - summary["lines"]["covered"]

    def share(self, kind):
        return 100 * self.covered[kind] / self.count[kind] if self.count[kind] else 100.0

    def is_below(self):
        return any(self.share(kind) < least for kind, least in BAR.items())

    def print(self):
        worst = max(self.missed, key=self.missed.get)
        notes = [f"{worst} ({self.missed[worst]})"] if self.missed[worst] else []
        if self.is_below():
            notes.append("below the bar")
        print(f"{self.name:20} {self.count['lines']:6} {self.share('lines'):6.1f} % "
              f"{self.count['branches']:8} {self.share('branches'):6.1f} %   {', '.join(notes)}")


def table(build):
    rows, everything = {}, Row("all")
    for path, summary in measured(build).items():
        folder = str(path.parent)
        rows.setdefault(folder, Row(folder)).add(path, summary)
        everything.add(path, summary)
    print(f"{'folder':20} {'lines':>6} {'run':>8} {'branches':>8} {'run':>8}   most lines not run")
    for name in sorted(rows):
        rows[name].print()
    everything.print()
    return 1 if any(row.is_below() for row in rows.values()) else 0


if len(sys.argv) < 2:
    sys.exit(__doc__.partition("\n")[0])
if len(sys.argv) > 2:
    show(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:])
else:
    sys.exit(table(pathlib.Path(sys.argv[1]).resolve()))
