#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rule number that the engine can log is explained in uefivarsd(8)."""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]


def in_program():
    found = set()
    for path in (TOP / "vars").rglob("*.c"):
        found |= set(re.findall(r'"([12]\.\d+(?:\.\d+)?)"', path.read_text()))
    return found


def in_manual():
    text = (TOP / "man" / "uefivarsd.8").read_text()
    section = text[text.index(".Ss Rules"):]
    found, head = set(), None
    for line in section[:section.index(".El")].splitlines():
        if line.startswith(".It "):
            numbers = re.findall(r"\d+\.\d+(?:\.\d+)?", line)
            found |= set(numbers)
            head = numbers[0]
        elif line.startswith(".Pq "):
            found.add(f"{head}.{line.split()[1]}")
    return found


missing = in_program() - in_manual()
if missing or not in_program():
    print("not explained in uefivarsd(8):", *sorted(missing))
    sys.exit(1)
print(f"{len(in_program())} numbers, all explained")
