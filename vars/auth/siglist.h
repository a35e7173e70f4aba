/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * EFI_SIGNATURE_LIST (UEFI 2.11, 32.4.1): walking, checking and merging what PK, KEK, db, dbx, dbt
 * and dbr hold.
 *
 *   list       type GUID, u32 list size, u32 header size, u32 signature size, header, signatures
 *   signature  owner GUID, data
 */

#include "bytes.h"
#include "guid.h"

/* Every size has been checked against the list's: all pointers are readable for what is named. */
typedef struct {
    UvGuid type;
    const uint8_t *bytes; /* the whole list */
    size_t size;
    size_t header_bytes;       /* between the 28 bytes and the first signature */
    size_t signature_bytes;    /* each, owner included; at least 16 */
    const uint8_t *signatures; /* `count` of them, one after the other */
    size_t count;
} UvSiglist;

/*
 * The next list. false at the end and at a malformed one: a list smaller than its header, larger
 * than what is left, with signatures under 16 bytes or not filling it exactly.
 */
bool uv_siglist_next(UvReader *reader, UvSiglist *ret_list);
/* Data of signature `i` (without its owner), of signature_bytes - 16 bytes. */
const uint8_t *uv_siglist_data(const UvSiglist *list, size_t i);
bool uv_siglist_is_x509(const UvSiglist *list);
const UvGuid *uv_siglist_x509_type(void);
/* "sha256", "x509", ...; NULL: a type that is not known. Static. */
const char *uv_siglist_type_name(const UvGuid *type);
/* Of a type whose data have one size; false: no such name. */
bool uv_siglist_type_of_name(const char *name, UvGuid *ret_type, size_t *ret_data_bytes);
/* One list of `data` (GBytes, all of one size), each with this owner. Nothing for no data. */
void uv_siglist_write(UvWriter *writer, const UvGuid *type, const UvGuid *owner, GPtrArray *data);

/*
 * Well formed as a whole, and what it says of known types fits them: sizes of hashes and RSA keys,
 * certificates that parse. Unknown types need only be well formed. `single`: at most one signature
 * in all lists (PK). Nothing at all is fine.
 */
bool uv_siglist_check(const uint8_t *bytes, size_t size, bool single) G_GNUC_WARN_UNUSED_RESULT;

/*
 * What an append adds: `bytes` without the signatures that `old` has already (same type, size and
 * bytes, owner included). NULL if either is malformed; empty if nothing is new.
 */
GBytes *uv_siglist_new_ones(const uint8_t *old, size_t old_size, const uint8_t *bytes, size_t size);
