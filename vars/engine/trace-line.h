/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What guests/G/trace shows: a JSON object a line. Of a request: time, function, variable,
 * attributes, sizes, status (without the error bit), device (where it is not 0) and us; of what
 * lies between requests: time, event, and what belongs to it. A line is shorter than 8 KiB,
 * whatever the guest sent.
 */

#include <glib.h>

#include "mm-describe.h"

#include <stdint.h>

/* One request, handled. */
typedef struct {
    int64_t time_us; /* real time when it began to be handled */
    int64_t took_us;
    GBytes *request, *reply; /* the communicate buffer before and after; of one size */
    uint32_t device_status;
} UvTraceCall;

/* What is no request. NULL: the line has no such member. */
typedef struct {
    int64_t time_us;
    const char *event;
    const uint8_t *session_id;
    size_t session_id_bytes;
    const char *client; /* the name in HELLO */
    const char *phase;  /* event "phase" */
    const char *policy; /* event "policy": in words */
} UvTraceEvent;

void uv_trace_line_call(GString *out, const UvTraceCall *call);
void uv_trace_line_event(GString *out, const UvTraceEvent *event);
