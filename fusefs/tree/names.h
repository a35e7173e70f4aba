/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* File names in vars/ (as in efivarfs): which are variables', and their one spelling. */

#include <stdbool.h>

#include "uv-limits.h"

/*
 * Lower case for the GUID. false: it does not even look like Name-GUID. Enough to look a name up;
 * allocates nothing.
 */
bool fs_name_fold(const char *name, char ret_name[UV_FILE_NAME_MAX + 1]);
/* The spelling that is listed, with the escapes as they must be. false: no variable can be named
 * so. */
bool fs_name_canonical(const char *name, char ret_name[UV_FILE_NAME_MAX + 1]);
/* Never listed, never made: what a program could act on (the table says why), and what is too long
 * for a file's name. `guest_view`: with view=guest. */
bool fs_name_is_hidden(const char *folded, bool guest_view);
/*
 * What rsync, sed, vim, emacs, GLib and the like name what they write beside a file: with a dot at
 * the beginning; with '~' at the end, or '#' at both; of digits alone; "sed" or "tmp" and
 * letters and digits; a variable's or a control file's name, a dot, and a word.
 */
bool fs_name_is_staging(const char *name);
/* May be removed under immutable=kernel: efivarfs' whitelist. */
bool fs_name_is_removable(const char *folded);
