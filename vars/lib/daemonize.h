/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * --daemon: the parent stays until the child is ready or has failed, passes its message on and
 * exits with 0 or 1.
 */

#include <glib.h>
#include <stdbool.h>

typedef struct {
    int fd; /* the child's end of a pipe to the parent; -1: in the foreground */
} UvBackground;

/* Returns in the child; the parent never returns. */
bool uv_background_start(UvBackground *background, GError **error);
void uv_background_ready(UvBackground *background);
/* In the foreground the line goes to nobody: the log has it. */
void uv_background_failed(UvBackground *background, const char *line);
