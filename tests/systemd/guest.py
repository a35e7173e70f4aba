#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""guest.py LIB SOCKET LOG: a guest that sets a counter five times a second and keeps a volatile
variable, over whatever becomes of its engine. The log has the last count that was acknowledged."""

import os
import sys
import time

sys.path.insert(0, sys.argv[1])
import uvproto as p  # noqa: E402

SESSION = os.urandom(16)


def connect(flags):
    while True:
        try:
            return p.Guest(sys.argv[2], timeout=15).hello(session=SESSION, flags=flags)
        except (OSError, p.ProtocolError):
            time.sleep(0.2)


def main():
    count = 0
    guest = connect(0)
    guest.set("Volatile", p.TEST, p.BS_RT, b"x")
    while True:
        try:
            status = guest.set("Count", p.TEST, p.NV_BS_RT, (count + 1).to_bytes(4, "little"))
            kept = guest.get("Volatile", p.TEST)[0]
        except (OSError, p.ProtocolError):
            guest = connect(p.HELLO_RESUME)
            continue
        if (status, kept) != (p.SUCCESS, p.SUCCESS):
            sys.exit(f"set: {p.status_name(status)}, get: {p.status_name(kept)}")
        count += 1
        with open(sys.argv[3] + ".new", "w", encoding="ascii") as log:
            print(count, file=log)
        os.rename(sys.argv[3] + ".new", sys.argv[3])
        time.sleep(0.2)


main()
