/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Variable policy (edk2's VariablePolicyLib): entries that the firmware registers during one boot,
 * their evaluation, and the state of the interface (enabled, locked). Cleared at reset. Also keeps
 * the properties of functions 9 and 10 (VAR_CHECK_VARIABLE_PROPERTY), which live as long.
 */

#include "bytes.h"
#include "efi-abi.h"
#include "refusal.h"
#include "varset.h"

typedef struct UvPolicy UvPolicy;

/* VAR_CHECK_VARIABLE_PROPERTY (functions 9 and 10): read-only bit, exact attributes, size range. */
#define UV_PROPERTY_REVISION 1u
#define UV_PROPERTY_READ_ONLY 1u
#define UV_PROPERTY_BYTES 24u /* on the wire: u16, u16, u32, u64, u64 */
typedef struct {
    uint16_t revision;
    uint16_t property;
    uint32_t attributes; /* 0: any */
    uint64_t min_bytes, max_bytes;
} UvProperty;

UvPolicy *uv_policy_new(void);
void uv_policy_free(UvPolicy *policy);
void uv_policy_clear(UvPolicy *policy);

/* One VARIABLE_POLICY_ENTRY of exactly `size` bytes. */
EfiStatus uv_policy_register(UvPolicy *policy, const uint8_t *entry, size_t size);
EfiStatus uv_policy_lock(UvPolicy *policy);
bool uv_policy_is_locked(const UvPolicy *policy);
/*
 * Function 8, LOCK_VARIABLE: registers LOCK_NOW for one variable (VariableLockRequestToLock.c).
 * One that has a policy already must be locked by it now.
 */
EfiStatus uv_policy_lock_variable(UvPolicy *policy, const UvChange *change, const UvGuid *guid,
                                  const UvName *name);
/* No data and no APPEND is a deletion, whatever the attributes: of those only the lock is asked. */
EfiStatus uv_policy_check(const UvPolicy *policy, const UvChange *change, const UvGuid *guid,
                          const UvName *name, uint32_t attributes, size_t data_bytes,
                          UvRefusal *refusal);
/* A VarCheckPolicyLibMmiHandler message after the communicate header; the reply goes to its own
 * buffer. */
void uv_policy_message(UvPolicy *policy, const uint8_t *request, size_t size, UvWriter *reply);
size_t uv_policy_count(const UvPolicy *policy);

/* Function 9; that it comes before EndOfDxe is the caller's check (EFI_ACCESS_DENIED after it). */
EfiStatus uv_policy_set_property(UvPolicy *policy, const UvGuid *guid, const UvName *name,
                                 const UvProperty *property);
/* What function 9 set for exactly this variable, or NULL. Function 10 asks uv_varcheck_property().
 */
const UvProperty *uv_policy_property(const UvPolicy *policy, const UvGuid *guid,
                                     const UvName *name);

/* One entry in plain words, for status.json: "name-or-# guid: lock, sizes, attributes". */
char *uv_policy_describe(const UvPolicy *policy, size_t i);

void uv_policy_write(const UvPolicy *policy, UvWriter *writer);
bool uv_policy_read(UvPolicy *policy, UvReader *reader) G_GNUC_WARN_UNUSED_RESULT;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvPolicy, uv_policy_free)
