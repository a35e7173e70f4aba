# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits of time on machines that are slow, or busy with something else. A limit is told as an idle
machine would need it, and scaled by how long a program takes now that does nothing."""

import functools
import statistics
import subprocess
import time

IDLE_SECONDS = 0.002  # of /bin/true, started from Python


def factor():
    """At least 1; takes about 20 ms where it is 1."""
    took = []
    for _ in range(9):
        begun = time.perf_counter()
        subprocess.run(["/bin/true"], check=True)
        took.append(time.perf_counter() - begun)
    # The mean: a machine that stops now and then is a busy one.
    return max(1.0, statistics.fmean(took) / IDLE_SECONDS)


@functools.lru_cache(1)
def factor_in_second(second):
    return factor()


class Limit:
    """With `within(8):` what is done inside takes 8 seconds at most, on an idle machine."""

    def __init__(self, seconds, what=""):
        self.seconds = seconds
        self.what = what

    def __enter__(self):
        self.before = factor_in_second(int(time.monotonic()))
        self.begun = time.monotonic()
        return self

    def __exit__(self, kind, *unused):
        took = time.monotonic() - self.begun
        if kind is None and took > self.seconds:
            allowed = self.seconds * max(self.before, factor())
            if took > allowed:
                raise AssertionError(f"took {took:.2f} s, {allowed:.2f} s at most: {self.what}")


def within(seconds, what=""):
    return Limit(seconds, what)
