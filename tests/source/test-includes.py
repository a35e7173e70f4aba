#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may include whom: HACKING.md's rooms. An include that follows no arrow is a failure, and so is an
arrow that closes a circle, and a folder with code that is no room."""

import os
import pathlib
import re
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]

# Room: the rooms that it may include; and with them, what those may include.
ARROWS = {
    "vars/lib": [],
    "vars/model": ["vars/lib"],
    "vars/wire": ["vars/lib"],
    "vars/rules": ["vars/model"],
    "vars/auth": ["vars/rules"],
    "vars/store": ["vars/model"],
    "vars/store/json": ["vars/store"],
    "vars/store/flash": ["vars/store"],
    "vars/store/uboot": ["vars/store"],
    "vars/service": ["vars/rules", "vars/auth", "vars/store/store.h"],
    "vars/confine": ["vars/model"],
    "vars/engine": ["vars/confine", "vars/service", "vars/store/json", "vars/store/flash",
                    "vars/store/uboot", "vars/wire"],
    "descriptors": ["vars/lib"],
    "fusefs/broker": ["vars/lib", "vars/wire/packet-link.h", "vars/wire/packet.h",
                      "vars/wire/questions.h", "vars/wire/domains.h", "vars/wire/told.h",
                      "vars/model"],
    "fusefs/monitor": ["vars/lib", "vars/wire/packet-link.h", "vars/wire/packet.h",
                       "vars/wire/questions.h", "vars/wire/told.h", "vars/model"],
    "fusefs/fleet": ["vars/wire", "vars/model"],
    "fusefs/firmware": ["fusefs/fleet", "descriptors"],
    "fusefs/tree": ["fusefs/fleet", "fusefs/firmware"],
    "fusefs/libvirt": ["vars/wire", "vars/model", "vars/confine"],
    # The front confines itself.
    "fusefs/program": ["fusefs/broker", "fusefs/monitor", "fusefs/fleet", "fusefs/firmware",
                       "fusefs/tree", "vars/confine"],
    "qemu-glue": ["vars/wire/wire.h"],
}
# Who holds authority parses nothing.
NO_CONTENT = re.compile(r"json|fuse|frame|bytes\.h|libvirt|xml")
NEVER = {"fusefs/monitor": NO_CONTENT, "fusefs/broker": NO_CONTENT}
FOLDERS = ("vars", "fusefs", "descriptors", "qemu-glue")


def room_of(path):
    """The folder of a file, from the top."""
    return str(path.parent.relative_to(TOP))


def reachable(room, seen=()):
    """Rooms and headers that a room may include; raises where the arrows come back to it."""
    if room in seen:
        raise SystemExit(f"a circle: {' -> '.join([*seen, room])}")
    found = {room}
    for target in ARROWS.get(room, []):
        found |= {target} if target.endswith(".h") else reachable(target, (*seen, room))
    return found


def included(path, headers):
    """The project's headers that a file includes: beside it, or by the path's end from anywhere."""
    for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(), re.M):
        beside = pathlib.Path(os.path.normpath(path.parent / name))
        if beside in headers:
            yield name, [beside]
        else:
            yield name, [h for h in headers if h.parts[-len(pathlib.PurePath(name).parts):] ==
                         pathlib.PurePath(name).parts]


def violations():
    files = [path for folder in FOLDERS for path in sorted((TOP / folder).rglob("*.[ch]"))]
    headers = {path for path in files if path.suffix == ".h"}
    count = 0
    for path in files:
        room = room_of(path)
        if room not in ARROWS:
            yield f"{path.relative_to(TOP)}: {room} is no room"
            continue
        allowed = reachable(room)
        for name in re.findall(r'^\s*#\s*include\s+["<]([^">]+)[">]', path.read_text(), re.M):
            if room in NEVER and NEVER[room].search(name):
                yield f"{path.relative_to(TOP)} includes {name}"
        for name, found in included(path, headers):
            count += 1
            if len(found) > 1:
                yield f"{path.relative_to(TOP)}: {name} may be any of {[*map(str, found)]}"
            for header in found[:1]:
                if not {room_of(header), str(header.relative_to(TOP))} & allowed:
                    yield f"{path.relative_to(TOP)} includes {header.relative_to(TOP)}"
    if count < 500:
        yield f"only {count} includes were found"


def main():
    found = set(violations())
    for line in sorted(found):
        print(line)
    if found:
        sys.exit(1)
    print("every include follows an arrow")


main()
