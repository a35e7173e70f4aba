#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine loads: every guest's process has it, and every start waits for it. What verifies
signatures comes with a module, for engines that are not only looked at."""

import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402

# What they bring is for the front, for the maker of stores and for the server of qcow2 images.
NOT_FOR_ENGINES = {"json-glib-1.0", "gobject-2.0", "gio-2.0", "gmodule-2.0", "mount", "blkid",
                   "selinux", "fuse3", "nbd", "xml2", "icuuc", "icudata", "seccomp"}
VERIFIES = {"gnutls", "p11-kit", "hogweed", "gmp", "tasn1", "idn2", "unistring"}
MODULE = pathlib.Path(uvengine.program()).parent / "uefivars-verify.so"


def libraries(path):
    text = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"^\s*lib(\S+?)\.so\S* =>", text, re.M))



class Libraries(unittest.TestCase):
    def test_none_for_others(self):
        loaded = libraries(uvengine.program())
        self.assertLessEqual({"glib-2.0", "c"}, loaded)
        self.assertEqual(loaded & (NOT_FOR_ENGINES | VERIFIES), set())
        self.assertLessEqual(len(loaded), 14)

    def test_what_verifies(self):
        loaded = libraries(MODULE)
        self.assertIn("gnutls", loaded)
        self.assertEqual(loaded & NOT_FOR_ENGINES, set())


if __name__ == "__main__":
    unittest.main()
