/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Why a change was refused: for the log, status.json and the host, never for the guest. */

#include "efi-abi.h"

typedef struct {
    const char *rule; /* number in uefivarsd(8)'s rules, as "2.1.9"; static */
    const char *text; /* one line in plain words; static */
    int error;        /* what the host gets in the place of the status's errno; 0: that */
} UvRefusal;

/* Sets the refusal and gives the status back; both texts are static. */
static inline EfiStatus uv_refuse(UvRefusal *refusal, EfiStatus status, const char *rule,
                                  const char *text)
{
    *refusal = (UvRefusal){.rule = rule, .text = text};
    return status;
}

/* The same, with an errno of its own for the host. */
static inline EfiStatus uv_refuse_errno(UvRefusal *refusal, EfiStatus status, int error,
                                        const char *rule, const char *text)
{
    *refusal = (UvRefusal){.rule = rule, .text = text, .error = error};
    return status;
}
