/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The file name that a variable is listed under: its own (uv_file_name_format()) where that fits
 * into a file's name, else the beginning of it, '~', and 16 hexadecimal digits of the own name's
 * SHA-256, then "-GUID". It is short enough for the temporary names that programs derive from it.
 */

#include "varset.h"

/* At most UV_FILE_NAME_MAX bytes; the caller's. */
char *uv_shown_name_format(const UvName *name, const UvGuid *guid);
/* Whether it is listed under another name than its own. */
bool uv_shown_name_is_shortened(const UvVariable *variable);

typedef enum {
    UV_SHOWN_NAME,    /* a variable's, in the set or not */
    UV_SHOWN_NO_NAME, /* no "Name-GUID" at all */
    UV_SHOWN_UNKNOWN, /* a shortened one of a variable that is not in the set */
} UvShownName;

/* The variable that `file_name` stands for; `ret_name` and `ret_guid` are set for UV_SHOWN_NAME. */
UvShownName uv_shown_name_parse(const UvVarset *set, const char *file_name, UvName **ret_name,
                                UvGuid *ret_guid);
