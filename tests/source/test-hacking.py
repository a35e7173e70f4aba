#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every path, function and test that HACKING.md names is there."""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILT = ("build/", "/tmp/", "/mnt/", "/dev/")


def paths(text):
    for word in re.findall(r"`([\w./-]+/[\w./-]*)`", text):
        if not word.startswith(BUILT):
            yield word


def functions(text):
    return set(re.findall(r"`(\w+)\(\)`", text))


def tests_of_attacks(text):
    """(file, test) of the table: each test is named behind its file, or "the same" as in the row above."""
    file = None
    for row in text.partition("## The attacks")[2].partition("\n## ")[0].splitlines():
        for word in re.findall(r"tests/[\w/-]+\.py|test_\w+", row):
            if word.startswith("tests/"):
                file = word
            else:
                yield file, word


def main():
    text = (TOP / "HACKING.md").read_text()
    sources = "\n".join(path.read_text() for folder in ("vars", "fusefs", "descriptors", "qemu-glue")
                        for path in sorted((TOP / folder).rglob("*.c")))
    missing = [path for path in paths(text) if not (TOP / path).exists() and "NAME" not in path]
    missing += [name + "()" for name in sorted(functions(text))
                if not re.search(rf"^[\w* ]*\b{name}\(", sources, re.M)]
    attacks = list(tests_of_attacks(text))
    missing += [f"{file}: {test}" for file, test in attacks
                if f"def {test}(" not in (TOP / file).read_text()]
    if missing:
        print("HACKING.md names what is not there:", *missing, sep="\n  ")
        return 1
    print(f"{len(set(paths(text)))} paths and {len(functions(text))} functions, "
          f"{len(attacks)} tests of attacks, all there")
    return 0


sys.exit(main())
