# SPDX-License-Identifier: GPL-2.0-or-later
"""A FUSE file system that takes requests and answers none, for tests: as a server that is gone."""

import ctypes
import os
import signal
import stat
import struct
import subprocess
import time

INIT = 26
HEADER = struct.Struct("<IIQQIIII")
REPLY = struct.Struct("<IiQ")
INIT_REPLY = struct.Struct("<IIIIHHIIHH32x")
REQUEST_BYTES = 1 << 20


class DeafFs:
    """Mounted on `path`, a folder or a file, until the end of the block. A caller waits for its
    server for ever, or until it is gone; also one that is killed."""

    def __init__(self, path):
        self.path = str(path)
        self.fd = os.open("/dev/fuse", os.O_RDWR)
        mode = stat.S_IFMT(os.stat(path).st_mode)
        options = f"fd={self.fd},rootmode={mode:o},user_id=0,group_id=0,allow_other"
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
            while True:
                request = os.read(self.fd, REQUEST_BYTES)
                _, kind, unique, *_ = HEADER.unpack_from(request)
                if kind == INIT:
                    body = INIT_REPLY.pack(7, 31, 4096, 0, 12, 9, 4096, 1, 1, 0)
                    os.write(self.fd, REPLY.pack(REPLY.size + len(body), 0, unique) + body)
        finally:
            os._exit(1)

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
