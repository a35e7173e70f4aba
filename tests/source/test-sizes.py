#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""No file of ours is over 450 lines, no function over 60. What grows past that has two jobs."""

import pathlib
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
FILE_LINES = 450
FUNCTION_LINES = 60


def functions(lines):
    """Where each begins, and how many lines its body has with its braces; as clang-format writes
    them, a function's braces are alone in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start:
            yield start, number - start + 1
            start = None


def main():
    wrong, found = [], 0
    files = [path for folder in ("vars", "fusefs", "descriptors", "qemu-glue")
             for path in sorted((TOP / folder).rglob("*.[ch]"))]
    for path in files:
        lines = path.read_text().splitlines()
        if len(lines) > FILE_LINES:
            wrong.append(f"{path.relative_to(TOP)}: {len(lines)} lines")
        for start, length in functions(lines):
            found += 1
            if length > FUNCTION_LINES:
                wrong.append(f"{path.relative_to(TOP)}:{start}: a function of {length} lines")
    if len(files) < 100 or found < 1000:
        sys.exit(f"only {len(files)} files and {found} functions were found")
    sys.exit("\n".join(wrong) or 0)


main()
