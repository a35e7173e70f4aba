/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Other users of a file: the lock between engines, and a look for programs that take none.
 */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* How long a successor waits for its predecessor's keeper to end. */
#define UV_FILELOCK_WAIT_MS 2000
/* How long what has the file open, and takes no lock, is given to close it. */
#define UV_FILELOCK_SETTLE_MS 300

/*
 * An OFD write lock on all of `fd`. Tries again for `wait_ms`. 0, -EAGAIN if another process has it
 * all that time, or another -errno if the file system knows no locks.
 */
int uv_filelock_take(int fd, unsigned wait_ms);
void uv_filelock_drop(int fd);
/* Another process has a lock there; false also where that can't be told. */
bool uv_filelock_is_taken(int fd);

typedef enum {
    UV_FILELOCK_ALONE,
    UV_FILELOCK_SHARED,  /* another process, or another descriptor of this one, has it open */
    UV_FILELOCK_UNKNOWN, /* the file system or the file's owner keeps this from being found out */
} UvFilelockSharing;

/*
 * Whether others use the file of `fd`: opened for reading and writing, whether it is the only open
 * description of the file; opened for reading, whether no other process has it open for writing
 * (readers do not count). The file must belong to the caller, or the caller must have CAP_LEASE.
 * The other processes notice nothing: the lease is given back at once.
 */
UvFilelockSharing uv_filelock_sharing(int fd);

/*
 * The same, but asks again for `wait_ms` while it is shared: a predecessor that was killed, or
 * the monitor, which starts engines, may have it open for a moment yet.
 */
UvFilelockSharing uv_filelock_settled(int fd, unsigned wait_ms);

/*
 * Text for people: which processes, but this one, have the file of this (real) path open, as far as
 * /proc tells: "qemu-system-x86 (pid 4711)". NULL if it does not.
 */
char *uv_filelock_who(const char *path, pid_t except);
