/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * MemoryOverwriteRequestControl and its lock (TCG Platform Reset Attack Mitigation; edk2's
 * TcgMorLockSmm.c). The lock variable in the store is one byte: 0 unlocked, 1 locked without a key,
 * 2 locked with one; the key itself is never readable.
 */

#include "gate.h"

#define UV_MOR_KEY_BYTES 8

typedef struct {
    bool locked;
    bool has_key;
    bool absent; /* at EndOfDxe the firmware had no MOR: none may be made in this boot */
    uint8_t key[UV_MOR_KEY_BYTES];
} UvMor;

/* What a request for one of the two variables comes to. */
typedef struct {
    UvMor next;        /* the state once the write went through */
    EfiStatus status;  /* what the caller gets then (a wrong key is stored, and refused) */
    bool replaces;     /* what is stored is `value` in place of the request's data */
    bool even_on_fail; /* `next` holds whether the write went through or not */
    uint8_t value;
} UvMorVerdict;

/*
 * For any other variable the verdict changes nothing. An error refuses the request.
 * `payload`: without authentication header, as for all the checks before authentication.
 */
EfiStatus uv_mor_check(const UvMor *mor, const UvGate *gate, const uint8_t *payload,
                       size_t payload_bytes, UvMorVerdict *ret_verdict,
                       UvRefusal *refusal) G_GNUC_WARN_UNUSED_RESULT;
/* EndOfDxe: the lock starts open if the firmware has a MOR variable; otherwise both are barred. */
void uv_mor_end_of_dxe(UvMor *mor, UvChange *change);
