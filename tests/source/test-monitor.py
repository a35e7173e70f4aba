#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The monitor and its broker hold authority: they stay small, and call nothing that parses, and the
broker is given no way to processes and sockets. test-includes.py has what they may include; this is
what their code uses in the end."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
ROOMS = TOP / "fusefs"
BUILD = pathlib.Path(os.environ.get("UV_BUILD", TOP / "build"))
# Lines with code of their .c and .h files, at most, and what they are known to call.
LINES_MAX = {"monitor": 1500, "broker": 2235}
KNOWN = {"monitor": "accept4", "broker": "renameat2"}
PARSERS = re.compile(r"(json_|uv_json|g_scanner|g_markup|g_key_file|g_variant_parse|fuse_|gnutls_|"
                     r"uv_frame|uv_reader|uv_read_|desc_)")
# Who may become the owner of any folder starts nothing but uefivars-make, and signals nobody.
PROCESSES = re.compile(r"(kill$|pthread_kill|sigqueue|uv_program_start|accept|bind$|connect$|listen$|"
                       r"socket$|ptrace|mount|umount|uv_unix_)")
FORBIDDEN = {"monitor": [PARSERS], "broker": [PARSERS, PROCESSES]}

STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|/\*.*?\*/|//[^\n]*', re.S)


def code_lines(text):
    """Those that are not blank, nor a comment, nor an include."""
    text = STRING_OR_COMMENT.sub(
        lambda m: m[0] if m[0][0] in "\"'" else re.sub(r"[^\n]", "", m[0]), text)
    return [line for line in text.splitlines()
            if line.strip() and not re.match(r"\s*#\s*(include|pragma)\b", line)]


def counted(room):
    return {path.name: len(code_lines(path.read_text()))
            for path in sorted((ROOMS / room).glob("*.[ch]"))}


def used(room):
    """Functions of others that its objects want."""
    if not shutil.which("nm"):
        return set()
    listed = subprocess.run(["nm", "-u", BUILD / "fusefs" / room / f"libfs-{room}.a"],
                            capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in listed.splitlines() if " U " in line}


def check(room):
    """What is wrong with it."""
    lines = counted(room)
    total = sum(lines.values())
    names = used(room)
    print(f"{room}: {total} lines of code, {LINES_MAX[room]} at most; {len(names)} functions of others")
    if total > LINES_MAX[room]:
        yield "too large:\n" + "\n".join(f"{n:6} {name}" for name, n in lines.items())
    for name in sorted(names):
        if any(pattern.match(name) for pattern in FORBIDDEN[room]):
            yield f"it calls {name}"
    if names and KNOWN[room] not in names:
        yield f"nm does not say that it calls {KNOWN[room]}"


def main():
    assert len(code_lines('int a; /* b\n c */ int d;\n\n// e\n#include "f"\nchar *g = "/*";\n')) == 3
    wrong = [f"{room}: {what}" for room in LINES_MAX for what in check(room)]
    print("\n".join(wrong))
    sys.exit(bool(wrong))


main()
