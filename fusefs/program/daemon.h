/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Going to the background, the way mount(8) needs it: the program that was started waits for the
 * daemon's word, and ends with status 0 when the mount is usable, or with 1 and one line on stderr.
 */

#include <glib.h>
#include <stdbool.h>

/* In the daemon: true. In the program that was started: does not return. */
void fs_daemon_start(void);
/* The mount is usable: tells a service manager, or lets the starter go, leaves the terminal and
 * logs to syslog from now on. */
void fs_daemon_ready(void);
/* The way to syslog, at once: who is confined later can't connect then. */
void fs_daemon_open_log(void);
/* In another process of the daemon: a session of its own, no terminal, and log lines to syslog.
 * What it fails with still goes to the starter. */
void fs_daemon_join(void);
/* One line for the starter's stderr (or ours, in the foreground), and the end. */
G_NORETURN void fs_daemon_fail(const char *text);
/* Log lines of GLib: with the program's name to stderr, or to syslog in the daemon and where stderr
 * is the journal. */
void fs_daemon_set_log(void);

/* Collects what is written to stderr meanwhile (fusermount3 does); the text is the caller's, one
 * line of it, or NULL. */
int fs_stderr_take(void);
char *fs_stderr_give_back(int token);
