/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * edk2's UpdateVariable (Variable.c): the rules that come after authentication, for every kind of
 * variable: runtime restrictions, deletion, append, writes that change nothing, quotas.
 */

#include "gate.h"

/* UvRefusal.rule of what is refused here, but for volatile variables without a session. */
#define UV_RULE_UPDATE "2.2"

typedef struct {
    UvGuid guid;
    const UvName *name;
    uint32_t attributes; /* may have EFI_VARIABLE_APPEND_WRITE */
    const uint8_t *data; /* the payload, without authentication header */
    size_t data_bytes;
    const uint8_t *time; /* 16 bytes, or NULL for a variable without one */
    GBytes *digest;      /* or NULL */
    int64_t mtime_ns;
} UvUpdate;

EfiStatus uv_update_variable(UvChange *change, const UvGate *gate, const UvUpdate *update,
                             UvRefusal *refusal) G_GNUC_WARN_UNUSED_RESULT;
