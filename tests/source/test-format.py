#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every C file is as the clang-format named on the command line would write it."""

import pathlib
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]


def main():
    files = [path for folder in ("vars", "fusefs", "descriptors", "qemu-glue", "tests")
             for path in sorted((TOP / folder).rglob("*.[ch]"))]
    if len(files) < 100:
        sys.exit(f"only {len(files)} files were found")
    sys.exit(subprocess.run([sys.argv[1], "--dry-run", "-Werror", *files], check=False).returncode)


main()
