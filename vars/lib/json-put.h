/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Writes JSON into a string, without white space. A member or element that is not the first one of
 * what was begun gets a comma before it. `name` is the member's, which needs no escapes; NULL for
 * elements and for the outermost value, which begins on a line of its own.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void uv_json_begin(GString *out, const char *name, char bracket /* '{' or '[' */);
void uv_json_end(GString *out, char bracket /* '}' or ']' */);
/* NULL becomes null; what is no UTF-8 is replaced. Control characters, and what some readers take
 * for the end of a line, are escaped. */
void uv_json_put_text(GString *out, const char *name, const char *text);
/* Microseconds since 1970, as "2026-01-31T12:00:00.000000Z": in UTC, always as long. */
void uv_json_put_time(GString *out, const char *name, int64_t time_us);
void uv_json_put_number(GString *out, const char *name, int64_t value);
void uv_json_put_bool(GString *out, const char *name, bool value);
void uv_json_put_null(GString *out, const char *name);
/* A string of lower-case hex digits. */
void uv_json_put_hex(GString *out, const char *name, const void *bytes, size_t size);

/* The value alone, as the two above write it: for texts with a layout of their own. */
void uv_json_add_text(GString *out, const char *text /* not NULL */);
void uv_json_add_hex(GString *out, const void *bytes, size_t size);
