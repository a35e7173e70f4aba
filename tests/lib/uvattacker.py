# SPDX-License-Identifier: GPL-2.0-or-later
"""Somebody else on the machine, who does not stop."""

import contextlib
import ctypes
import os
import signal

ATTACKER = 4242


@contextlib.contextmanager
def attacker(function, *args, uid=ATTACKER):
    """Calls it again and again, as this user, until the end."""
    child = os.fork()
    if child == 0:
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            while True:
                function(*args)
        finally:
            os._exit(1)
    try:
        yield child
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
