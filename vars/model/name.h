/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Variable names: immutable, reference counted UCS-2, and their two spellings.
 *
 * In memory a name is a run of 16-bit units without a NUL inside; a guest may put any unit there,
 * lone surrogates included. In a JSON store a name is UTF-8; as a file name it is UTF-8 with the
 * reversible escapes below, followed by '-' and the GUID in lower case:
 *   '/'             %2F
 *   lone surrogate  its three bytes in generalized UTF-8, each as %XX
 *   '%' before two hex digits   %25
 * The JSON spelling escapes only what UTF-8 cannot say (lone surrogates, and a literal text that
 * would read as such an escape), so every name that other tools write is read as they mean it.
 */

#include "guid.h"

typedef struct UvName UvName;

/* `n_units` UTF-16LE units at `bytes` (no alignment needed). NULL if a unit is 0 or n_units is 0.
 */
UvName *uv_name_new_utf16le(const void *bytes, size_t n_units);
/* The JSON spelling. NULL with an error if it is not valid UTF-8, is empty, or has characters no
 * name can have. */
UvName *uv_name_new_utf8(const char *text, GError **error);
UvName *uv_name_ref(const UvName *name);
void uv_name_unref(UvName *name);

size_t uv_name_units(const UvName *name);           /* without the NUL */
size_t uv_name_size_bytes(const UvName *name);      /* as edk2 counts: 2 * (units + 1) */
const uint8_t *uv_name_utf16le(const UvName *name); /* units and a NUL unit, little endian */
char *uv_name_to_utf8(const UvName *name);          /* the JSON spelling */
bool uv_name_equal(const UvName *a, const UvName *b);
bool uv_name_is(const UvName *name, const char *ascii); /* equal to an ASCII literal */
guint uv_name_hash(const UvName *name);

/* "Name-guid", escaped. May be longer than UV_FILE_NAME_MAX (shown-name.h). */
char *uv_file_name_format(const UvName *name, const UvGuid *guid);
/* false if `file_name` is no "Name-GUID". Any spelling uv_file_name_format() makes comes back as it
 * was. */
bool uv_file_name_parse(const char *file_name, UvName **ret_name, UvGuid *ret_guid);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvName, uv_name_unref)
