#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every rule of the variable service, one row each, through the MM socket and, where it applies, from
the host.

    test-conformance.py socket|mount [PREFIX]

`socket`: stand-alone engines, the host door being their host socket. `mount`: guests of one mount,
the host door being files. PREFIX runs the rows whose rule begins so.
"""

import pathlib
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import uvmount  # noqa: E402
import uvproto  # noqa: E402

uvmount.need("openssl", uvmount.UEFIVARSD)

import rules  # noqa: E402
import rules_set  # noqa: E402,F401
import rules_auth  # noqa: E402,F401
import rules_checks  # noqa: E402,F401
import world  # noqa: E402


def try_write(w, row, door):
    """One write through one door: its result, that a refusal changed nothing, what came after."""
    before = w.files()
    name, guid, attributes, data = row.write
    if door == "guest":
        got = w.guest.set(name, guid, attributes, data)
        assert got == row.expect, f"got {uvproto.status_name(got)}"
    else:
        got = w.write(name, guid, attributes, data)
        wanted = row.errno or world.ERRNO[row.expect]
        assert got == wanted, f"got errno {got}, wanted {wanted}"
    if row.expect != uvproto.SUCCESS:
        after = w.files()
        assert after == before, f"changed: {sorted(after.items() ^ before.items())}"


def run(w, row, door):
    if row.before:
        row.before(w)
    if row.call:
        row.call(w)
    else:
        try_write(w, row, door)
    if row.after:
        row.after(w)


def doors_of(row, how):
    """Functions run once, with both doors at hand; on the mount those that use the host door."""
    if row.call:
        return ["both"] if how == "socket" or "h" in row.doors else []
    names = {"g": "guest", "h": "host"}
    doors = [names[d] for d in row.doors]
    return [d for d in doors if how == "socket" or d == "host"]


def make(scratch, how, mount, index, row, door):
    if how == "socket":
        return world.SocketWorld(scratch, f"r{index}{door}", row.store, row.arguments)
    return world.MountWorld(mount, f"r{index}{door}", row.arguments)


def main():
    how = sys.argv[1]
    prefix = sys.argv[2] if len(sys.argv) > 2 else ""
    chosen = [(i, row) for i, row in enumerate(rules.ROWS) if row.rule.startswith(prefix)]
    failed, tried, start = 0, 0, time.monotonic()
    with uvmount.Scratch() as scratch:
        mount = None
        if how == "mount":
            uvmount.need_mount()
            source = scratch.path / "store"
            source.mkdir()
            for index, row in chosen:
                for door in doors_of(row, how):
                    text = uvmount.store_text(*world.STORES[row.store])
                    (source / f"r{index}{door}.json").write_text(text)
            mount = scratch.mount(source, "engines=512")
        for index, row in chosen:
            for door in doors_of(row, how):
                tried += 1
                w = None
                try:
                    w = make(scratch, how, mount, index, row, door)
                    run(w, row, door)
                except Exception as error:  # a row's failure is not the table's
                    failed += 1
                    print(f"not ok {row} ({door}): {error!r}")
                    if not isinstance(error, AssertionError):
                        traceback.print_exc()
                finally:
                    if w:
                        w.close()
    numbers = {row.rule for _, row in chosen}
    print(f"{tried} tries of {len(chosen)} rows for {len(numbers)} rules through the {how}, "
          f"{failed} failed, {time.monotonic() - start:.1f} s")
    return 1 if failed or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
