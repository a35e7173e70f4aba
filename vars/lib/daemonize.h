/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Going to the background, the way mount(8) and service managers need it: the program that was
 * started, the starter, waits for its child, the daemon, and ends when the daemon is ready (status
 * 0) or has failed (status 1, with the daemon's line on stderr).
 */

#include <glib.h>
#include <stdbool.h>

typedef struct {
    int starter_fd; /* in the daemon, until the starter knows; else -1 */
} UvDaemon;

#define UV_DAEMON_FOREGROUND ((UvDaemon){.starter_fd = -1})

/* Forks. Returns in the daemon only, and in the starter where that fails. `program` begins the
 * starter's line about a daemon that ended without a word. */
bool uv_daemon_start(UvDaemon *daemon, const char *program, GError **error);
/* /dev/null becomes stdin, stdout and stderr. */
void uv_daemon_leave_terminal(void);
/* The starter ends with status 0. In the foreground this does nothing. */
void uv_daemon_ready(UvDaemon *daemon);
/* The starter prints `line` and ends with status 1. false: there is no reader (this is the
 * foreground, the starter was let go, or it is gone). */
bool uv_daemon_failed(UvDaemon *daemon, const char *line);
