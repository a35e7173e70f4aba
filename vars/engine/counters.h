/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What an engine has done for its guest since it started, for status.json. */

#include <glib.h>
#include <stdint.h>

#include "mm-describe.h"

typedef struct {
    int64_t since_us; /* realtime */
    uint64_t requests[UV_MM_KINDS];
    uint64_t bytes_in, bytes_out; /* of communicate buffers */
    uint64_t refusals;            /* of changes, through whichever door */
    uint64_t time_us, longest_us; /* from a request's arrival to the end of its reply */
} UvCounters;

void uv_counters_begin(UvCounters *counters);
/* `request` and `reply` are the communicate buffer before and after; `since_us` is monotonic. */
void uv_counters_request(UvCounters *counters, GBytes *request, GBytes *reply, int64_t since_us);
/* The member "requests" of an object. */
void uv_counters_put(const UvCounters *counters, GString *out);
