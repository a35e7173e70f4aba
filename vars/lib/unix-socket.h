/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Stream sockets with a name, close-on-exec and non-blocking. All return a descriptor or -errno. */

#include <sys/types.h>

/* Bound, with this mode from its first moment on; it does not listen yet. -EADDRINUSE: there is a
 * file of that name. */
int uv_unix_bind(const char *path, mode_t mode);
/* Listening under a name that no other process knows. */
int uv_unix_listen_unnamed(void);
/* -ECONNREFUSED: no process listens there. -EAGAIN: too many wait there. */
int uv_unix_connect(const char *path);
