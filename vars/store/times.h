/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * FILE.meta: the times of a store's variables, that its own format has no room for. Never needed
 * for correctness: an entry counts only for exactly the content it was written for, and a file that
 * can't be read counts as none. It is written aside and renamed, without a sync.
 *
 *   magic "uvmeta\0\1" | {16 bytes of SHA-256 of the variable, i64 ns} ... | check
 */

#include "folder.h"
#include "varset.h"

/*
 * `variables` (UvVariable) with their times: the file's where it knows one and the variable has
 * none yet, else `default_ns`. Entries of the array are replaced.
 */
void uv_meta_load(UvFolder *folder, GPtrArray *variables, int64_t default_ns);
/* The times of the non-volatile variables of `set`. */
bool uv_meta_save(UvFolder *folder, const UvVarset *set, GError **error);
