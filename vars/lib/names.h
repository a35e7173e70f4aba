/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>

/*
 * The names that are in a folder, so that what is not there need not be looked for. They are noted
 * while the folder is read anyway, and count as long as its times are the same: each name that
 * comes changes them, in a file system that has no server.
 */
typedef struct UvNames UvNames;

/* The folder is read from now on. NULL: it has a server, or was changed just now. */
UvNames *uv_names_new(int folder_fd);
/* NULL is fine. */
void uv_names_free(UvNames *names);
void uv_names_add(UvNames *names, const char *name);
/* They are of this folder, all were added, and it is as it was then. */
bool uv_names_serve(UvNames *names, int folder_fd);
/* false: it certainly is not there. */
bool uv_names_may_have(const UvNames *names, const char *name);
