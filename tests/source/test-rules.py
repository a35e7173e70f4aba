#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rule that the engine logs, that a test has a row for, or that a comment names as "rule 2.1.9" or
"rules 2.1 to 2.3" is in the list of uefivarsd(8)."""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
NUMBER = r"[12]\.\d+(?:\.\d+)?"
CITED = re.compile(rf"\b[Rr]ules?[\s*#]+({NUMBER}(?:(?:, | and | to |,?[\s*#]+){NUMBER})*)")


def sources(*folders):
    for folder in folders:
        for ending in ("*.c", "*.h", "*.py"):
            yield from sorted((TOP / folder).rglob(ending))


def in_manual():
    text = (TOP / "man" / "uefivarsd.8").read_text()
    section = text[text.index(".Ss Rules"):]
    found, head = set(), None
    for line in section[:section.index(".El")].splitlines():
        if line.startswith(".It "):
            numbers = re.findall(NUMBER, line)
            found |= set(numbers)
            head = numbers[0]
        elif line.startswith(".Pq "):
            found.add(f"{head}.{line.split()[1]}")
    return found


def named():
    """(number, who names it)."""
    for path in sources("vars", "tests/conformance"):
        for number in re.findall(rf'"({NUMBER})"', path.read_text()):
            yield number, path
    for path in sources("vars", "fusefs", "descriptors", "qemu-glue", "tests"):
        for citation in CITED.findall(path.read_text()):
            for number in re.findall(NUMBER, citation):
                yield number, path


def main():
    rules = in_manual()
    names = set(named())
    missing = sorted((number, path) for number, path in names if number not in rules)
    for number, path in missing:
        print(f"{path.relative_to(TOP)}: rule {number} is not in uefivarsd(8)")
    for path in sources("vars", "fusefs", "descriptors", "qemu-glue", "tests"):
        if path != pathlib.Path(__file__).resolve() and re.search(r"semantics(\.md| [1-4]\.|, part)",
                                                                 path.read_text()):
            print(f"{path.relative_to(TOP)}: names a list that is not here")
            missing.append(path)
    if missing or len(names) < 100:
        sys.exit(1)
    print(f"{len(rules)} rules, named {len(names)} times")


main()
