#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the house's rules ask of single words: sizeof is written with parentheses, descriptors close
themselves (vars/lib/fd.h), and comments name who acts."""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("vars", "fusefs", "descriptors", "qemu-glue")

# Files that may call close(), and why.
CLOSERS = {
    "vars/lib/fd.h": "what closes all others",
    "qemu-glue/by-store.c": "a module of QEMU's, which has nothing of vars/lib/",
    "qemu-glue/glue-link.c": "the same",
    "qemu-glue/pcap.c": "the same",
    "qemu-glue/store-open.c": "the same",
}

COMMENT = re.compile(r"/\*.*?\*/", re.S)
LITERAL = re.compile(r'"(\\.|[^"\\\n])*"')
SIZEOF = re.compile(r"\bsizeof\b(?!\()")
CLOSE = re.compile(r"(?<![\w.>])close\(")
WHO = re.compile(r"\b(nobody|somebody|anybody|whoever|he|him|his)\b", re.I)


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def complaints(name, text):
    code = LITERAL.sub(blank, COMMENT.sub(blank, text))

    def found(pattern, where, what):
        for match in pattern.finditer(where):
            yield f"{name}:{where.count(chr(10), 0, match.start()) + 1}: {what}"
    yield from found(SIZEOF, code, "sizeof without parentheses")
    if name not in CLOSERS:
        yield from found(CLOSE, code, "close(), where uv_autofd or uv_fd_clear() would do")
    for comment in COMMENT.finditer(text):
        for match in WHO.finditer(comment[0]):
            line = text.count("\n", 0, comment.start() + match.start()) + 1
            yield f"{name}:{line}: '{match[0]}': name who acts"


def main():
    wrong, closing = [], set()
    for folder in FOLDERS:
        for path in sorted((TOP / folder).rglob("*.[ch]")):
            name, text = str(path.relative_to(TOP)), path.read_text()
            wrong += complaints(name, text)
            if CLOSE.search(COMMENT.sub("", text)):
                closing.add(name)
    wrong += [f"{name} closes nothing, and is on the list of those that may" for name in
              sorted(set(CLOSERS) - closing)]
    sys.exit("\n".join(wrong) or 0)


main()
