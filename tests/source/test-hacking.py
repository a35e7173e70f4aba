#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every path and every function that HACKING.md names is there."""

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


def main():
    text = (TOP / "HACKING.md").read_text()
    sources = "\n".join(path.read_text() for folder in ("vars", "fusefs", "descriptors", "qemu-glue")
                        for path in sorted((TOP / folder).rglob("*.c")))
    missing = [path for path in paths(text) if not (TOP / path).exists() and "NAME" not in path]
    missing += [name + "()" for name in sorted(functions(text))
                if not re.search(rf"^[\w* ]*\b{name}\(", sources, re.M)]
    if missing:
        print("HACKING.md names what is not there:", *missing, sep="\n  ")
        return 1
    print(f"{len(set(paths(text)))} paths and {len(functions(text))} functions, all there")
    return 0


sys.exit(main())
