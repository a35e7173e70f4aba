/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The variables certdb and certdbv: the signers of private authenticated variables, as edk2 keeps
 * it in flash images (AuthService.c). In JSON stores UvVariable.digest does this; a certdb that a
 * converter left there is asked where a digest is missing, and not touched.
 *
 *   u32 size of it all, then entries
 *   entry  vendor GUID, u32 entry size, u32 name units without NUL, u32 identity size, name,
 *          identity
 */

#include "auth-header.h"
#include "bytes.h"

/* Pointers are into the variable. */
typedef struct {
    UvGuid guid;
    const uint8_t *bytes; /* the whole entry */
    size_t size;
    const uint8_t *name; /* UTF-16LE without NUL */
    size_t name_units;
    UvPayload identity;
} UvCertdbEntry;

/* certdb, or the volatile variables' certdbv. */
UvName *uv_certdb_name(bool nv);
uint32_t uv_certdb_attributes(bool nv);
/* Past the size in front; a failed reader if that is not the variable's. */
UvReader uv_certdb_open(const UvVariable *certdb);
/* false at the end, and (the reader failed) at a malformed entry. */
bool uv_certdb_next(UvReader *reader, UvCertdbEntry *ret_entry);
bool uv_certdb_entry_is(const UvCertdbEntry *entry, const UvGuid *guid, const UvName *name);
/* Behind a u32 for the size of it all, which uv_certdb_finish() fills in. */
void uv_certdb_write_entry(UvWriter *writer, const UvGuid *guid, const UvName *name,
                           GBytes *identity);
GBytes *uv_certdb_finish(UvWriter *writer);

/* The identity kept for a variable; borrowed from the change. false: none, or certdb is malformed.
 */
bool uv_certdb_find(const UvChange *change, bool nv, const UvGuid *guid, const UvName *name,
                    UvPayload *ret_identity);
/* Keeps `identity`, in the place of another one if there is (an orphan). */
EfiStatus uv_certdb_insert(UvChange *change, const UvGate *gate, bool nv, GBytes *identity,
                           UvRefusal *refusal) G_GNUC_WARN_UNUSED_RESULT;
/* The variable is gone. */
EfiStatus uv_certdb_remove(UvChange *change, const UvGate *gate, bool nv,
                           UvRefusal *refusal) G_GNUC_WARN_UNUSED_RESULT;
/* Once a boot: certdb is made, or entries of variables that are gone leave it. */
void uv_certdb_boot(UvChange *change);
/* certdbv starts empty. */
void uv_certdb_derive(UvChange *change);
