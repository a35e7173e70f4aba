#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for uefivarsd on the host socket, for tests of the fleet: spawned with the same
descriptors, it serves the JSON store as opaque entries, and misbehaves as the store's name asks:

  fails*      answers its first frame with ERROR and exits
  replaced*   as fails, with E_CHANGED, the first twenty times (replaced-always: each time)
  dies*       is gone at the first SET
  garbage*    answers the first SET with a frame that can't be
  mute*       answers nothing after the snapshot
  other*      speaks version 2, once the file "SOURCE/upgraded" is there
  guest*      says that a guest's session is alive
  leaves*     hangs up when asked for its status, listens no more, and lives on for a while
  stuck*      gives the file SOURCE/never-closed with its snapshot
  flood*      sends changes without end once it was asked for its snapshot
"""

import array
import json
import os
import select
import socket
import struct
import sys
import time

HEADER = struct.Struct("<IHHQ")
NO_REPLY = (0x4E, 0x53, 0x55)  # ACTOR, FOLLOW, REFUSED


class Engine:
    def __init__(self, store):
        self.name = store
        self.dir = 3
        self.guests = socket.socket(fileno=4)
        self.hosts = socket.socket(fileno=5)
        self.hosts.setblocking(True)
        self.entries = {}
        self.conns = []
        self.subscribed = set()
        self.kept = []
        self.reads = 0  # of views
        self.load()

    def path(self):
        return f"/proc/self/fd/{self.dir}/{self.name}"

    def load(self):
        try:
            with open(self.path()) as file:
                text = file.read()
        except FileNotFoundError:
            text = ""
        self.entries = {f"{v['name']}-{v['guid']}": struct.pack("<I", v["attr"]) +
                        bytes.fromhex(v["data"])
                        for v in json.loads(text)["variables"]} if text.strip() else {}

    def save(self):
        variables = [{"name": n[:-37], "guid": n[-36:], "attr": struct.unpack("<I", c[:4])[0],
                      "data": c[4:].hex()} for n, c in self.entries.items()]
        temporary = f"/proc/self/fd/{self.dir}/.{self.name}.tmp"
        with open(temporary, "w") as file:
            json.dump({"version": 2, "variables": variables}, file)
        os.rename(temporary, self.path())

    def identity(self):
        try:
            st = os.stat(self.path())
        except FileNotFoundError:
            return bytes(40)
        return struct.pack("<QQQqq", st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns,
                           st.st_ctime_ns)

    def report(self):
        state = 1 if self.name.startswith("guest") else 0
        return struct.pack("<IQQQ", state, 262144, 200000, 65000) + self.identity()

    @staticmethod
    def entry(name, content):
        return (struct.pack("<H", len(name)) + name.encode() +
                struct.pack("<qI", 0, len(content)) + content)

    def snapshot(self):
        return (self.report() + struct.pack("<I", len(self.entries)) +
                b"".join(self.entry(n, c) for n, c in self.entries.items()))

    def set(self, payload):
        if self.name.startswith("dies"):
            os._exit(3)
        flags, _, size = struct.unpack_from("<IqH", payload)
        name = payload[14:14 + size].decode()
        content = payload[14 + size:]
        there = name in self.entries
        if flags & 1:
            if not there:
                return [], struct.pack("<QI", (1 << 63) | 14, 0) + b"not there"
            del self.entries[name]
            change = struct.pack("<B", 0) + struct.pack("<H", size) + name.encode()
        else:
            self.entries[name] = content
            change = struct.pack("<B", 1) + self.entry(name, content)
        self.save()
        return [(0x50, self.report() + struct.pack("<I", 1) + change)], struct.pack("<QI", 0, 0)

    def replaced(self):
        with open(f"/proc/self/fd/{self.dir}/{self.name}.started", "a+b") as marker:
            marker.write(b".")
            return marker.tell() <= 20 or "always" in self.name

    def handle(self, conn, type_, cookie, payload):
        if self.name.startswith("fails"):
            self.send(conn, 0x80FF, cookie, struct.pack("<I", 6) + b"no good: line 1")
            sys.exit(1)
        if self.name.startswith("replaced") and self.replaced():
            self.send(conn, 0x80FF, cookie, struct.pack("<I", 8) + b"another file")
            sys.exit(1)
        if self.name.startswith("mute") and type_ not in (0x40, 0x41) or type_ in NO_REPLY:
            return
        if type_ == 0x40:
            other = self.name.startswith("other") and os.path.exists(
                f"/proc/self/fd/{self.dir}/upgraded")
            reply = struct.pack("<III", 2 if other else 1, 0, os.getpid()) + self.identity() + b"fake"
        elif type_ == 0x41:
            self.subscribed.add(conn)
            reply = self.snapshot()
        elif type_ == 0x42:
            if self.name.startswith("garbage"):
                self.send(conn, 0x8042, cookie, b"", flags=9)
                return
            events, reply = self.set(payload)
            for one in self.subscribed:
                for event, body in events:
                    self.send(one, event, 0, body)
        elif type_ == 0x47:
            header = HEADER.pack(0, 0x8047, 0, cookie)
            conn.sendmsg([header], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                     array.array("i", [self.guests.fileno()]))])
            return
        elif type_ == 0x48:
            before = dict(self.entries)
            self.load()
            changes = [struct.pack("<B", 1) + self.entry(n, c) for n, c in self.entries.items()
                       if before.get(n) != c]
            changes += [struct.pack("<BH", 0, len(n)) + n.encode() for n in before
                        if n not in self.entries]
            self.send(conn, 0x50, 0, self.report() + struct.pack("<I", len(changes)) +
                      b"".join(changes))
            reply = self.report()
        elif type_ == 0x49:
            self.send(conn, 0x8049, cookie, struct.pack("<I", 1) + self.identity())
            sys.exit(0)
        elif type_ == 0x43 and self.name.startswith("leaves"):
            conn.close()
            self.hosts.close()
            time.sleep(5)
            sys.exit(0)
        elif type_ == 0x43:
            reply = b'{"fake": true}'
        elif type_ == 0x4B:
            reply = struct.pack("<IIQH", 1, 0o100444, 6, 1) + b"f"
        elif type_ == 0x4C:
            self.reads += 1
            reply = bytes(12) + b"read %d" % self.reads
        else:
            self.send(conn, 0x80FF, cookie, struct.pack("<I", 3) + b"unknown")
            return
        self.send(conn, type_ | 0x8000, cookie, reply, given=self.given(type_))
        while type_ == 0x41 and self.name.startswith("flood"):
            self.send(conn, 0x50, 0, self.report() + self.changes())

    @staticmethod
    def changes():
        """Nearly 32 MiB: entries that come and go."""
        guid = "-12345678-9abc-def0-1122-334455667788"
        many = 8000
        body = b"".join(
            struct.pack("<B", 1) + Engine.entry(f"N{i}{guid}", b"\7\0\0\0" + bytes(1800)) +
            struct.pack("<BH", 0, len(f"N{i}{guid}")) + f"N{i}{guid}".encode() for i in range(many))
        return struct.pack("<I", 2 * many) + body

    def given(self, type_):
        if type_ != 0x41 or not self.name.startswith("stuck"):
            return []
        return [os.open(f"/proc/self/fd/{self.dir}/never-closed", os.O_RDWR)]

    @staticmethod
    def send(conn, type_, cookie, payload, flags=0, given=()):
        if given:
            header = HEADER.pack(len(payload), type_, flags, cookie)
            conn.sendmsg([header], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", given))])
        else:
            conn.sendall(HEADER.pack(len(payload), type_, flags, cookie))
        conn.sendall(payload)

    @staticmethod
    def exactly(conn, size):
        out = b""
        while len(out) < size:
            data = conn.recv(size - len(out))
            if not data:
                raise EOFError
            out += data
        return out

    def serve_one(self, conn):
        try:
            size, type_, _, cookie = HEADER.unpack(self.exactly(conn, 16))
            self.handle(conn, type_, cookie, self.exactly(conn, size))
        except (EOFError, ConnectionError):
            self.conns.remove(conn)
            self.subscribed.discard(conn)
            conn.close()

    def run(self):
        while True:
            wait = [self.hosts] + self.conns
            if not self.name.startswith("fails"):
                wait.append(self.guests)
            ready, _, _ = select.select(wait, [], [], None if self.conns else 5)
            if not ready:
                return
            for one in ready:
                if one is self.hosts:
                    self.conns.append(one.accept()[0])
                elif one is self.guests:
                    self.kept.append(one.accept()[0])
                    self.kept[-1].sendall(b"hello")
                else:
                    self.serve_one(one)


if __name__ == "__main__":
    Engine(next(a[len("--store="):] for a in sys.argv if a.startswith("--store="))).run()
