/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One registered variable policy (edk2's VARIABLE_POLICY_ENTRY), decoded once when it is
 * registered. Private to the policy files.
 */

#include "bytes.h"
#include "efi-abi.h"
#include "name.h"

#define POLICY_VERSION 0x00010000u
#define POLICY_HEADER_BYTES 44u
#define POLICY_STATE_BYTES 18u /* VARIABLE_LOCK_ON_VAR_STATE_POLICY: GUID, u8 value, u8 padding */
#define POLICY_NO_MAX_SIZE UINT32_MAX

typedef enum {
    POLICY_NO_LOCK,
    POLICY_LOCK_NOW,
    POLICY_LOCK_ON_CREATE,
    POLICY_LOCK_ON_VAR_STATE,
} PolicyLock;

typedef struct {
    GBytes *bytes; /* as registered */
    UvGuid guid;
    uint32_t min_bytes, max_bytes;
    uint32_t must_have, cant_have;
    PolicyLock lock;
    /* Name with its NUL, '#' standing for a hex digit; 0 bytes: the whole namespace. */
    size_t name_offset, name_bytes;
    /* POLICY_LOCK_ON_VAR_STATE only. */
    UvGuid state_guid;
    uint8_t state_value;
    UvName *state_name; /* NULL: the empty name, which no variable has */
    size_t state_name_bytes;
} PolicyEntry;

/* Exactly one entry with every check edk2 makes (IsValidVariablePolicyStructure); NULL otherwise.
 */
PolicyEntry *policy_entry_new(const uint8_t *bytes, size_t size);
void policy_entry_free(PolicyEntry *entry);

/* How well it fits: 0 exactly, else the number of '#', 255 for a namespace; -1: not at all. `name`
 * NULL is the empty name. */
#define POLICY_MATCH_EXACT 0
#define POLICY_MATCH_NAMESPACE 255
int policy_entry_match(const PolicyEntry *entry, const UvGuid *guid, const UvName *name);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PolicyEntry, policy_entry_free)
