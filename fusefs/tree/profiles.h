/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Profiles for secure-boot/enroll, below the folders of keys=: a folder with PK/, KEK/, db/, dbx/,
 * dbt/ or dbr/ of .crt, .pem, .der, .esl, .auth, .bin and .txt files, or a variable store,
 * NAME.json or the flash image NAME.fd. Read only as bytes: what is in them is the engine's to find
 * out.
 */

#include <glib.h>

/* The names, a line each, in order; of the same name the first folder's counts. */
GBytes *fs_profiles_list(char *const *folders);
/* The files of a profile as an engine takes them, {u16 path size, path, u32 size, bytes} ...; NULL
 * with a reason (to be freed). */
GBytes *fs_profile_read(char *const *folders, const char *name, char **ret_reason);
