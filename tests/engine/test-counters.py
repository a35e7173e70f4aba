#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What status.json counts of a guest's requests."""

import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
from uvengine import EngineTest  # noqa: E402


class Counters(EngineTest):
    def requests(self):
        return self.host.status()["requests"]

    def setUp(self):
        super().setUp()
        self.e = self.engine()
        self.host = super().host(self.e)

    def test_functions(self):
        before = self.requests()
        self.assertEqual((before["count"], before["functions"], before["refusals"]), (0, {}, 0))
        self.assertLess(abs(before["since-us"] / 1e6 - time.time()), 60)
        guest = self.guest(self.e)
        for i in range(3):
            self.assertEqual(guest.set("A", p.TEST, 7, b"%d" % i), 0)
            guest.get("A", p.TEST)
        guest.names()
        guest.query()
        guest.end_of_dxe()
        guest.policy(5)
        guest.mm(b"short")
        guest.mm(bytes(100))
        guest.variable(99)
        after = self.requests()
        functions = after["functions"]
        self.assertEqual((functions["SetVariable"], functions["GetVariable"],
                          functions["QueryVariableInfo"], functions["EventEndOfDxe"],
                          functions["VariablePolicy"], functions["Malformed"],
                          functions["Unknown"]), (3, 3, 1, 1, 1, 1, 2))
        self.assertGreater(functions["GetNextVariableName"], 3)
        self.assertEqual(after["count"], sum(functions.values()))

    def test_refusals(self):
        """Of both doors."""
        guest = self.guest(self.e)
        self.assertNotEqual(guest.set("SetupMode", p.GLOBAL, 6, b"\0"), 0)
        self.host.set_variable("SetupMode", data=b"\0", attributes=6)
        self.host.set("no name", b"")
        self.assertEqual(self.requests()["refusals"], 3)

    def test_bytes_and_time(self):
        guest = self.guest(self.e)
        message = p.mm_get("Nothing", p.TEST, 1000)
        for _ in range(10):
            guest.mm(message)
        counted = self.requests()
        self.assertEqual((counted["bytes-in"], counted["bytes-out"]),
                         (10 * len(message), 10 * len(message)))
        self.assertGreater(counted["time-us"], 0)
        self.assertLessEqual(counted["longest-us"], counted["time-us"])
        self.assertGreaterEqual(10 * counted["longest-us"], counted["time-us"])


if __name__ == "__main__":
    unittest.main()
