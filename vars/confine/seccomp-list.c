/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "seccomp-list.h"

#include <fcntl.h>
#include <stddef.h>

const char *const uv_seccomp_engine[] = {
    "accept4",
    "brk",
    "clock_gettime",
    "clock_nanosleep",
    "close",
    "exit_group",
    "fallocate",
    "fchmod",
    "fchown",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fsync",
    "ftruncate",
    "futex",
    "getpid",
    "getrandom",
    "getsockopt",
    "lseek",
    "madvise",
    "mmap",
    "mremap",
    "munmap",
    "newfstatat",
    "poll",
    "ppoll",
    "pread64",
    "pwrite64",
    "read",
    "recvfrom",
    "recvmsg",
    "restart_syscall",
    "sched_yield",
    "sendmsg",
    "sendto",
    "shutdown",
    "statx",
    "wait4",
    "write",
    NULL,
};

const char *const uv_seccomp_keeper[] = {
    "brk",     "close",      "dup",      "exit_group", "fchmod",   "fchown",    "fchownat",
    "fcntl",   "fstat",      "fsync",    "ftruncate",  "geteuid",  "mkdirat",   "mmap",
    "munmap",  "newfstatat", "openat",   "recvmsg",    "renameat", "renameat2", "restart_syscall",
    "sendmsg", "syncfs",     "unlinkat", NULL,
};

/* None that makes the kernel signal whom we name: F_SETOWN, F_SETOWN_EX, F_SETSIG, F_NOTIFY. */
const UvFcntlCommand uv_seccomp_fcntl[] = {
    {"F_DUPFD_CLOEXEC", F_DUPFD_CLOEXEC},
    {"F_GETFD", F_GETFD},
    {"F_GETFL", F_GETFL},
    {"F_GETLEASE", F_GETLEASE},
    {"F_OFD_GETLK", F_OFD_GETLK},
    {"F_OFD_SETLK", F_OFD_SETLK},
    {"F_SETFD", F_SETFD},
    {"F_SETFL", F_SETFL},
    {"F_SETLEASE", F_SETLEASE},
    {NULL, 0},
};
