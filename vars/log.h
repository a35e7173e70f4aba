/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The log of an engine: stderr in the foreground, syslog otherwise. Opened before confinement, so
 * that nothing has to be opened or connected later. Texts of clients and guests go through
 * uv_log_escape(); contents of variables never come here.
 */

#include <glib.h>
#include <stdbool.h>

/* `who` is put in front of each line (the store). */
void uv_log_open(const char *who, bool to_syslog);
/* `priority` is LOG_ERR, LOG_WARNING, LOG_NOTICE or LOG_INFO of <syslog.h>. */
void uv_log(int priority, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* What others wrote, made printable: control characters and broken UTF-8 as \xHH, at most 256
 * bytes. */
char *uv_log_escape(const char *text);

/* For lines that a guest can cause: `burst` at once, then one a second. */
typedef struct {
    int64_t next_us; /* when the bucket is empty no more */
    unsigned suppressed;
} UvLogRate;
/* true: log it; `ret_suppressed` says how many lines were left out before. */
bool uv_log_allowed(UvLogRate *rate, unsigned burst, int64_t now_us, unsigned *ret_suppressed);
