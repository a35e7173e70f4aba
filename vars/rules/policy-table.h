/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What policy.c and policy-message.c share of a UvPolicy; no other file includes this. */

#include "policy-entry.h"
#include "policy.h"

struct UvPolicy {
    GPtrArray *entries; /* of PolicyEntry, in the order of registration */
    size_t entries_bytes;
    GPtrArray *properties; /* of PolicyProperty */
    size_t properties_bytes;
    bool locked;
    GBytes *dump; /* the table as it was when page 0 was asked for; NULL: no dump under way */
};

/* The best fit, the first one registered among equals; NULL: none. */
const PolicyEntry *policy_best_match(const UvPolicy *policy, const UvGuid *guid,
                                     const UvName *name);
