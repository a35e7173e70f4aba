/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The state blob of SAVE and LOAD: a whole guest in one run of bytes, for migration and snapshots.
 *
 *   magic "UVSTATE\0" | u32 version (1) | u32 length of the body | SHA-256 of the body | body
 *   body: u64 generation of the store | u32 count | count variables | session, to the end
 *
 * Variables (variable-codec.h) are the non-volatile ones in enumeration order; the session is what
 * uv_service_write_session() wrote. A blob comes from outside: it is decoded whole, or not at all.
 */

#include "bytes.h"
#include "varset.h"

typedef struct {
    uint64_t generation;
    GPtrArray *variables; /* of UvVariable */
    GBytes *session;
} UvBlob;

/* NULL if it would be larger than UV_WIRE_BLOB_MAX. */
GBytes *uv_blob_encode(const UvVarset *set, uint64_t generation, GBytes *session);
/* NULL with an error (G_FILE_ERROR_INVAL) that says what is wrong. */
UvBlob *uv_blob_decode(GBytes *bytes, GError **error);
void uv_blob_free(UvBlob *blob);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvBlob, uv_blob_free)
