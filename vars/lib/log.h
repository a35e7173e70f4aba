/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The log of an engine: stderr in the foreground, syslog otherwise. Opened before confinement, so
 * that nothing has to be opened or connected later. A line is one line, whatever is in the texts
 * that it is made of; names that clients and guests chose go through uv_log_escape(), which also
 * keeps them short. Contents of variables never come here.
 */

#include <glib.h>
#include <stdbool.h>

/* `who` is put in front of each line (the store). */
void uv_log_open(const char *who, bool to_syslog);
/* `priority` is LOG_ERR, LOG_WARNING, LOG_NOTICE or LOG_INFO of <syslog.h>. */
void uv_log(int priority, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* What others wrote, made printable: control and format characters and broken UTF-8 as \xHH, ended
 * behind `max_bytes` of that. */
#define UV_LOG_LINE_MAX 4096
char *uv_log_printable(const char *text, size_t max_bytes);
/* The same for a name inside a line: 256 bytes. */
char *uv_log_escape(const char *text);

/* For lines that a guest or a client can cause: `burst` at once, then one a second. How many were
 * left out is said with the next one. */
typedef struct {
    unsigned burst;
    const char *what; /* "refused changes", as in "7 refused changes not logged"; static */
    int64_t next_us;  /* when the bucket is empty no more */
    unsigned suppressed;
} UvLogRate;
void uv_log_limited(UvLogRate *rate, int priority, const char *format, ...) G_GNUC_PRINTF(3, 4);
