# SPDX-License-Identifier: GPL-2.0-or-later
"""FUSE file systems for tests: one that takes requests and answers none, as a server that is gone, and one
whose file can be opened and is never closed."""

import ctypes
import os
import signal
import stat
import struct
import subprocess
import time

INIT, GETATTR, OPEN = 26, 3, 14
HEADER = struct.Struct("<IIQQIIII")
REPLY = struct.Struct("<IiQ")
INIT_REPLY = struct.Struct("<IIIIHHIIHH32x")
ATTR_REPLY = struct.Struct("<QI4x6Q3I7I")
OPEN_REPLY = struct.Struct("<QI4x")
REQUEST_BYTES = 1 << 20


class DeafFs:
    """Mounted on `path`, a folder or a file, until the end of the block. A caller waits for its
    server for ever, or until it is gone; also one that is killed."""

    user, others = 0, ",allow_other"
    most_seconds = 0  # none

    def __init__(self, path):
        self.path = str(path)
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        mode = stat.S_IFMT(os.stat(path).st_mode)
        options = f"fd={self.fd},rootmode={mode:o},user_id={self.user},group_id={self.user}{self.others}"
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"deaf", self.path.encode(), b"fuse.deaf", 0, options.encode()) < 0:
            raise OSError(ctypes.get_errno(), "mount", self.path)
        self.pid = os.fork()
        if self.pid == 0:
            self.serve()
        os.close(self.fd)

    def serve(self):
        try:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            os.setsid()
            signal.alarm(self.most_seconds)
            while True:
                request = os.read(self.fd, REQUEST_BYTES)
                _, kind, unique, *_ = HEADER.unpack_from(request)
                body = self.answer(kind)
                if body:
                    os.write(self.fd, REPLY.pack(REPLY.size + len(body), 0, unique) + body)
        finally:
            os._exit(1)

    def answer(self, kind):
        return INIT_REPLY.pack(7, 31, 4096, 0, 12, 9, 4096, 1, 1, 0) if kind == INIT else None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        """Whoever waits gets an error now."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        for _ in range(50):
            if subprocess.run(["umount", "-l", self.path], stderr=subprocess.DEVNULL,
                              check=False).returncode == 0:
                return
            time.sleep(0.1)


class NoCloseFs(DeafFs):
    """Mounted on a file by one user, for himself, as anybody may with fusermount3: who opened it, or was
    given it, and closes it waits."""

    others = ""
    most_seconds = 60  # else a test that fails would wait for itself, and could not be killed

    def __init__(self, path, user):
        self.user = user
        super().__init__(path)

    def answer(self, kind):
        if kind == GETATTR:
            mode = stat.S_IFREG | 0o600
            return ATTR_REPLY.pack(0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, self.user, self.user, 0, 4096, 0)
        return OPEN_REPLY.pack(0, 0) if kind == OPEN else super().answer(kind)
