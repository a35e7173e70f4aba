/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "seccomp-list.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

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

/* mmap: without PROT_EXEC only. */
static int allow(scmp_filter_ctx filter, const char *name)
{
    const int number = seccomp_syscall_resolve_name(name);

    if (number == __NR_SCMP_ERROR)
        return 0;
    if (strcmp(name, "mmap") == 0)
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
                                SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

int uv_seccomp_load(const char *const *allowed)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result = 0;

    if (!filter)
        return ENOSYS;
    for (size_t i = 0; allowed[i] && result == 0; i++)
        result = allow(filter, allowed[i]);
    if (result == 0)
        result = seccomp_load(filter);
    seccomp_release(filter);
    return -result;
}
