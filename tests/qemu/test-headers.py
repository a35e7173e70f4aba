#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The module builds without a warning with other QEMU's headers, by gcc and clang. The trees are named
in UEFIVARS_QEMU_TREES, as `qemu-glue/get-headers.sh DIR VERSION` makes them, with a colon between two;
without it the test is skipped: each is a download of 40 MB."""

import os
import pathlib
import shutil
import subprocess
import unittest

from machines import folder_of
from qemu import MODULE_DIR, need, skip

SOURCE = pathlib.Path(__file__).resolve().parents[2]
TREES = [tree for tree in os.environ.get("UEFIVARS_QEMU_TREES", "").split(":") if tree]


def run(command, **environment):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, **environment})


class Headers(unittest.TestCase):
    def build(self, tree, compiler):
        folder = folder_of(self)
        # Which QEMU the stamp is of does not matter: nothing loads this module.
        result = run(["meson", "setup", folder, SOURCE, "-Dwerror=true", f"-Dqemu_source={tree}",
                      f"-Dqemu_module={MODULE_DIR}/hw-uefi-vars.so"], CC=compiler)
        self.assertEqual(result.returncode, 0, result.stdout)
        result = run(["ninja", "-C", folder, "qemu-glue/hw-uefi-vars.so",
                      "qemu-glue/hw-uefi-vars-engine.so"])
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_builds(self):
        for tree in TREES:
            for compiler in "gcc", "clang":
                if shutil.which(compiler):
                    with self.subTest(tree=tree, compiler=compiler):
                        self.build(os.path.abspath(tree), compiler)


if __name__ == "__main__":
    need()
    if not TREES:
        skip("UEFIVARS_QEMU_TREES names no tree of QEMU's headers")
    unittest.main()
