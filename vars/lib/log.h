/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The log of an engine: stderr in the foreground, otherwise systemd's journal, or syslog where
 * there is none. Opened before confinement, so that nothing has to be opened or connected later.
 * All of it goes through g_log_structured_array() and the writer that is set here; in the journal
 * each entry has UEFIVARSFS_GUEST, and what else the caller gives it. A line is one line, whatever
 * is in the texts that it is made of; names that clients and guests chose go through
 * uv_log_escape(), which also keeps them short. Contents of variables never come here.
 */

#include <glib.h>
#include <stdbool.h>

/* `who` is put in front of each line, and is UEFIVARSFS_GUEST (the guest, or its store).
 * `to_syslog`: to the journal, or syslog. */
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
#define uv_log_limited(rate, priority, ...) uv_log_event(rate, priority, NULL, 0, __VA_ARGS__)

/* The same of an event, with the fields (texts of one line) that journalctl finds it by. LOG_DEBUG
 * goes to the journal alone. */
#define UV_LOG_FIELDS_MAX 12u
void uv_log_event(UvLogRate *rate, int priority, const GLogField *fields, gsize n_fields,
                  const char *format, ...) G_GNUC_PRINTF(5, 6);
/* Whether LOG_DEBUG goes anywhere, and whether the next line is not left out (counted as such where
 * it is): what it would take to make the line can be saved. */
bool uv_log_has_debug(void);
bool uv_log_has_room(UvLogRate *rate);
