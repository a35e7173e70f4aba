#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The monitor holds authority: it stays small, and calls nothing that parses. test-includes.py has
what it may include; this is what its code uses in the end."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
ROOM = TOP / "fusefs" / "monitor"
BUILD = pathlib.Path(os.environ.get("UV_BUILD", TOP / "build"))
# Lines with code of its .c and .h files. It is to become less: 1500.
LINES_MAX = 2754
# Of these those that take what a libvirt is said to be (domain-folders.c, domains.c), beside the others.
DOMAINS_MAX = 448
PARSERS = re.compile(r"(json_|uv_json|g_scanner|g_markup|g_key_file|g_variant_parse|fuse_|gnutls_|"
                     r"uv_frame|uv_reader|uv_read_|desc_)")

STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|/\*.*?\*/|//[^\n]*', re.S)


def code_lines(text):
    """Those that are not blank, nor a comment, nor an include."""
    text = STRING_OR_COMMENT.sub(
        lambda m: m[0] if m[0][0] in "\"'" else re.sub(r"[^\n]", "", m[0]), text)
    return [line for line in text.splitlines()
            if line.strip() and not re.match(r"\s*#\s*(include|pragma)\b", line)]


def counted():
    return {path.name: len(code_lines(path.read_text())) for path in sorted(ROOM.glob("*.[ch]"))}


def used():
    """Functions of others that its objects want."""
    if not shutil.which("nm"):
        return set()
    listed = subprocess.run(["nm", "-u", BUILD / "fusefs" / "monitor" / "libfs-monitor.a"],
                            capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in listed.splitlines() if " U " in line}


def main():
    assert len(code_lines('int a; /* b\n c */ int d;\n\n// e\n#include "f"\nchar *g = "/*";\n')) == 3
    lines = counted()
    domains = sum(n for name, n in lines.items() if name.startswith("domain"))
    total = sum(lines.values()) - domains
    names = used()
    wrong = sorted(name for name in names if PARSERS.match(name))
    print(f"{total} lines of code, {LINES_MAX} at most; of domains {domains}, {DOMAINS_MAX} at most; "
          f"{len(names)} functions of others")
    large = total > LINES_MAX or domains > DOMAINS_MAX
    if large:
        print("\n".join(f"{n:6} {name}" for name, n in lines.items()))
    if wrong:
        print(f"who holds authority parses nothing, but calls {', '.join(wrong)}")
    if names and "renameat2" not in names:
        print("nm says nothing of what the monitor is known to call")
    sys.exit(large or bool(wrong) or bool(names and "renameat2" not in names))


main()
