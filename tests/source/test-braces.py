#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An if, a loop and what belongs to it have braces only where one of their bodies is more than one
statement. clang-format 14 leaves that to us."""

import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
KEYWORD = re.compile(r"(if|for|while|do|switch|else|case|default|goto)\b|/\*|#|\{")
DECLARATION = re.compile(r"(const |static |struct |g_auto|uv_autofd |\w+ \**\w+( =|;|\[))")
LITERAL = re.compile(r'"(\\.|[^"\\])*"|' + r"'(\\.|[^'\\])'")


def is_statement(lines):
    """These lines are one statement, and could stand without braces."""
    first = lines[0].lstrip() if lines else ""
    if not first or KEYWORD.match(first):
        return False
    if DECLARATION.match(first) and not first.startswith("return"):
        return False
    text = LITERAL.sub("0", "".join(lines))
    return text.endswith(";") and text.count(";") == 1 and "{" not in text and "/*" not in text


def head_end(lines, at):
    """The line that ends the parentheses of the head that begins there, if a brace follows."""
    depth = 0
    while at < len(lines):
        depth += lines[at].count("(") - lines[at].count(")")
        if depth <= 0:
            return at if lines[at].endswith("{") else None
        at += 1
    return None


def bodies(lines, at):
    """What is between the braces of an if and each of its elses, or of a loop; None: no braces."""
    indent = re.match(r"\s*", lines[at])[0]
    found = []
    brace = head_end(lines, at)
    while brace is not None:
        end = brace + 1
        while end < len(lines) and not lines[end].startswith(indent + "}"):
            end += 1
        found.append(lines[brace + 1:end])
        if end >= len(lines) or lines[end] == indent + "}":
            return found
        brace = end if lines[end] == indent + "} else {" else head_end(lines, end)
    return None


def main():
    wrong, seen = [], 0
    for folder in ("vars", "fusefs", "descriptors", "qemu-glue"):
        for path in sorted((TOP / folder).rglob("*.[ch]")):
            name = str(path.relative_to(TOP))
            lines = path.read_text().splitlines()
            for at, line in enumerate(lines):
                if not re.match(r"\s*(if|for|while)\b", line):
                    continue
                seen += 1
                found = bodies(lines, at)
                if found and all(map(is_statement, found)):
                    wrong.append(f"{name}:{at + 1}: braces around one statement")
    if seen < 3000:
        sys.exit(f"only {seen} ifs and loops were found")
    sys.exit("\n".join(wrong) or 0)


main()
