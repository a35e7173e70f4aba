# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a piece of work again and again, while one call of a program's after the other fails
(failing-calls.c):

    for fault in uvfail.faults(folder, "openat", errno.EMFILE):
        program = subprocess.Popen(fault.wrapper() + [...])

ends with the first run in which the program made no such call any more, which is without a fault."""

import errno
import os

import uvengine
from uvskip import skip

# What each call of the programs can say when the machine has a bad day.
CALLS = (
    ("openat", errno.EMFILE), ("openat", errno.EACCES), ("open", errno.ENFILE), ("stat", errno.EACCES),
    ("fstat", errno.EIO), ("fstatat", errno.EACCES), ("lstat", errno.EACCES), ("statx", errno.ENOSYS),
    ("read", errno.EIO), ("read", errno.EINTR), ("pread", errno.EIO), ("pwrite", errno.ENOSPC),
    ("pwrite", errno.EROFS), ("pwrite", errno.EINTR), ("write", errno.EIO), ("write", errno.EINTR),
    ("writev", errno.EIO), ("ftruncate", errno.EIO), ("fallocate", errno.EDQUOT), ("fsync", errno.EIO),
    ("fdatasync", errno.EIO), ("lseek", errno.EIO), ("rename", errno.EACCES), ("renameat", errno.EACCES),
    ("renameat2", errno.EINVAL), ("renameat2", errno.EACCES), ("unlink", errno.EACCES),
    ("unlinkat", errno.EACCES), ("mkdirat", errno.ENOSPC), ("chmod", errno.EPERM), ("fchmod", errno.EPERM),
    ("fchown", errno.EPERM), ("fchownat", errno.EPERM), ("fgetxattr", errno.EIO), ("flistxattr", errno.EIO),
    ("flock", errno.ENOLCK), ("fcntl", errno.EAGAIN), ("fcntl", errno.ENOLCK), ("fork", errno.EAGAIN),
    ("pipe2", errno.EMFILE), ("dup", errno.EMFILE), ("dup2", errno.EBUSY), ("socket", errno.EMFILE),
    ("socketpair", errno.EMFILE), ("bind", errno.EADDRINUSE), ("listen", errno.EOPNOTSUPP),
    ("connect", errno.ECONNREFUSED), ("connect", errno.EINTR), ("accept4", errno.EMFILE),
    ("accept4", errno.ECONNABORTED), ("setsockopt", errno.EPERM), ("getsockopt", errno.ENOPROTOOPT),
    ("send", errno.EPIPE), ("sendmsg", errno.EPIPE), ("sendmsg", errno.EINTR), ("recv", errno.ECONNRESET),
    ("recv", errno.EINTR), ("recvmsg", errno.ECONNRESET), ("recvmsg", errno.EINTR), ("poll", errno.EINTR),
    ("ppoll", errno.EINTR), ("epoll_create1", errno.EMFILE), ("epoll_ctl", errno.ENOSPC),
    ("epoll_wait", errno.EINTR), ("signalfd", errno.EMFILE), ("memfd_create", errno.EMFILE),
    ("getrandom", errno.ENOSYS), ("getrlimit", errno.EINVAL), ("setrlimit", errno.EPERM),
    ("prctl", errno.EINVAL), ("setgroups", errno.EPERM), ("setresgid", errno.EPERM),
    ("setresuid", errno.EPERM), ("syscall", errno.ENOSYS), ("waitpid", errno.EINTR),
    ("umount2", errno.EBUSY),
)


class Fault:
    def __init__(self, text, path):
        self.text = text
        self.path = path
        with open(path, "wb") as file:
            file.write(b"\0")
        os.chmod(path, 0o666)

    def wrapper(self):
        """What comes before the program's name."""
        return ["env", f"LD_PRELOAD={os.environ['UV_FAILING_CALLS']}", f"UV_FAIL={self.text}:{self.path}"]

    def was_reached(self):
        with open(self.path, "rb") as file:
            return file.read(1) == b"\1"

    def __str__(self):
        return self.text


def faults(folder, call, error, most=200):
    for number in range(1, most + 1):
        fault = Fault(f"{call}:{number}:{error}", os.path.join(folder, "reached"))
        yield fault
        if not fault.was_reached():
            return


def need():
    if not os.path.exists(os.environ.get("UV_FAILING_CALLS", "")):
        skip("nothing to preload was built")
    if uvengine.sanitized():
        skip("a sanitizer wants to be the first library")
