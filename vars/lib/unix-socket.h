/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Stream sockets with a name, close-on-exec and non-blocking. All return a descriptor or -errno. */

#include <stdbool.h>
#include <sys/types.h>

/* Bound, with this mode from its first moment on; it does not listen yet. -EADDRINUSE: there is a
 * file of that name. */
int uv_unix_bind(const char *path, mode_t mode);
/* 0, or -ENAMETOOLONG: no client could connect to a socket of that name. */
int uv_unix_check(const char *path);
/* Listening; whatever had the name is replaced. */
int uv_unix_listen(const char *path, mode_t mode);
/*
 * The same for others to find: made as `aside`, it has its name once it listens, so that who finds
 * it is not refused, and what had the name is there until then. Nothing is left aside.
 */
int uv_unix_publish(const char *aside, const char *path, mode_t mode, uid_t uid, gid_t gid);
/* Gives it another owner, and is no error for an ordinary user, whose it stays. 0 or -errno. */
int uv_unix_give(const char *path, uid_t uid, gid_t gid);
bool uv_unix_is_listening(int fd);
/* Listening under a name that no other process knows. */
int uv_unix_listen_unnamed(void);
/* -ECONNREFUSED: no process listens there. -EAGAIN: too many wait there. */
int uv_unix_connect(const char *path);
