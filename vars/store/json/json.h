/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The text of a QEMU uefi-vars store, JSON version 2: reading and writing, no files.
 * Read: `time` and `timestamp`, QEMU's fields otherwise. Written: exactly what QEMU writes.
 */

#include "varset.h"

/*
 * Variables in the order of the text. NULL with UV_STORE_ERROR_PARSE and "name:line:column: what
 * was expected"; `name` is for that message. Empty text (or only white space) is an empty store.
 * Volatile variables, which QEMU takes from a store and never writes, are checked and left out;
 * `ret_left_out` (or NULL) gets how many.
 */
GPtrArray *uv_json_parse(const char *name, const char *text, size_t size, unsigned *ret_left_out,
                         GError **error);
/* The non-volatile variables of `set`, in enumeration order. */
GBytes *uv_json_format(const UvVarset *set);
