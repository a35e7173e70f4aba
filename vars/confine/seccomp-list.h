/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The system calls that a confined engine and its keeper may make, and those that the server of a
 * qcow2 image may not: the lists of uefivarsd(8). What is not allowed fails with EPERM.
 *
 * Nothing here but the lists: they are compiled into filters when the project is built
 * (seccomp-compile.c), so that no engine carries a compiler of filters along.
 */

#include <stdint.h>

/* NULL-terminated, sorted. */
extern const char *const uv_seccomp_engine[];
extern const char *const uv_seccomp_keeper[];
/* Of the front of a mount (uefivarsfs), which has threads and no files but those it may read. */
extern const char *const uv_seccomp_front[];

/* Of uefivars-libvirt, which has two sockets, and of uefivars-folders, which has one and folders to
 * list; they start no thread. */
extern const char *const uv_seccomp_libvirt[];

/* What qemu-storage-daemon may not call; NULL-terminated, sorted. It is others' and large: a list
 * of what it may would break with its next version. */
extern const char *const uv_seccomp_qcow2_denied[];
/* Likewise what a mount's broker may not: its work is with files, and all that files are for. */
extern const char *const uv_seccomp_broker_denied[];

/* The commands of fcntl that engine and keeper may give, and the front; a NULL name ends them. */
typedef struct {
    const char *name;
    uint32_t command;
} UvFcntlCommand;
extern const UvFcntlCommand uv_seccomp_fcntl[];
extern const UvFcntlCommand uv_seccomp_fcntl_front[];

/* Of fchmod's mode: no guest gets a set-user-id file out of an engine. */
#define UV_SECCOMP_MODE_MASK 0777u
