# SPDX-License-Identifier: GPL-2.0-or-later
"""What a test can't do here is skipped, wherever that is found out: before the tests, the program ends
with 77, as meson wants it; inside of one, unittest skips that one."""

import unittest


class Skipped(unittest.SkipTest, SystemExit):
    def __init__(self, why):
        super().__init__(why)
        self.code = 77


def skip(why):
    print(f"skipped: {why}", flush=True)
    raise Skipped(why)
