/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One variable: immutable and reference counted. A change is a new UvVariable put in the place of
 * the old one, never an edit, so a holder of a reference (a reply being written, a change event, a
 * compaction) sees one consistent value.
 */

#include "name.h"

typedef struct {
    UvGuid guid;
    UvName *name;
    uint32_t attributes; /* as stored: never EFI_VARIABLE_APPEND_WRITE */
    GBytes *data;        /* without authentication header; never NULL */
    uint8_t time[16];    /* EFI_TIME of the last authenticated write; zero without one */
    GBytes *digest; /* private authenticated variables in JSON stores: the signer; NULL otherwise */
    int64_t mtime_ns; /* realtime clock; 0: not known, the store's own time serves */
    /* Kept for flash images only. */
    uint64_t monotonic_count;
    uint32_t pubkey_index;
} UvVariable;

/* Copies nothing but the struct: name, data and digest gain a reference. Fields not set are zero.
 */
UvVariable *uv_variable_new(const UvVariable *fields);
UvVariable *uv_variable_ref(const UvVariable *variable);
void uv_variable_unref(UvVariable *variable);

bool uv_variable_is_nv(const UvVariable *variable);
bool uv_variable_same_key(const UvVariable *a, const UvVariable *b);
/* Attributes, data, time and digest are the same (mtime is not looked at). */
bool uv_variable_same(const UvVariable *a, const UvVariable *b);
/* Bytes it takes in a store: 60 byte record header, name with NUL, data, rounded up to 4. */
size_t uv_variable_record_bytes(const UvVariable *variable);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvVariable, uv_variable_unref)
