#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: coverage-table.py BUILD

Prints which share of the lines and branches of each folder of the programs the tests have run, from
what a build with -Db_coverage=true has left in BUILD. For each folder the file with the most lines
that no test ran is named."""

import collections
import json
import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("vars", "fusefs", "descriptors", "qemu-glue")


def measured(build):
    """One dictionary a file, as `gcovr --json-summary` makes them."""
    command = ["gcovr", "--root", TOP, "--object-directory", build, "--json-summary", "-",
               "--exclude-unreachable-branches", "--exclude-throw-branches"]
    for folder in FOLDERS:
        command += ["--filter", f"{TOP}/{folder}/"]
    text = subprocess.run(command + [build], check=True, stdout=subprocess.PIPE, text=True,
                          cwd=TOP).stdout
    return json.loads(text)["files"]


def percent(covered, total):
    return f"{100 * covered / total:6.1f} %" if total else "       -"


def row(name, files, note=""):
    def total(key):
        return sum(file[key] for file in files)
    print(f"{name:18} {total('line_total'):6} {percent(total('line_covered'), total('line_total'))}"
          f" {total('branch_total'):8} "
          f"{percent(total('branch_covered'), total('branch_total'))}  {note}")


def main():
    rooms = collections.defaultdict(list)
    files = measured(pathlib.Path(sys.argv[1]).resolve())
    for file in files:
        rooms[str(pathlib.PurePath(file["filename"]).parent)].append(file)
    print(f"{'folder':18} {'lines':>6} {'run':>8} {'branches':>8} {'run':>8}   most lines not run")
    for name in sorted(rooms):
        worst = max(rooms[name], key=lambda file: file["line_total"] - file["line_covered"])
        missed = worst["line_total"] - worst["line_covered"]
        row(name, rooms[name],
            f"{pathlib.PurePath(worst['filename']).name} ({missed})" if missed else "")
    row("all", files)


if len(sys.argv) != 2:
    sys.exit(__doc__.partition("\n")[0])
main()
