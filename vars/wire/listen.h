/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Listening unix sockets. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A listening socket with this mode, made under its final mode; it has its name from when it
 * listens on. A socket file on which no process listens any more is replaced; one that is in use,
 * or a file of another kind, is an error. -1 with an error that names the path.
 */
int uv_listen(const char *path, mode_t mode, GError **error);
/* Takes `fd` and closes it, with ERROR as the answer to whatever its client sends; nothing of that,
 * and no descriptor, is read. */
void uv_turn_away(int fd, uint32_t code, const char *text);
/*
 * For an engine that could not start: waits (at most 10 s) for the front, reads its first frame and
 * answers it with ERROR. Blocks.
 */
void uv_listen_report_failure(int listener, uint32_t code, const char *text);
