/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "counters.h"

#include "json-put.h"

void uv_counters_begin(UvCounters *counters)
{
    *counters = (UvCounters){.since_us = g_get_real_time()};
}

void uv_counters_request(UvCounters *counters, GBytes *request, GBytes *reply, int64_t since_us)
{
    const uint64_t took_us = (uint64_t)(g_get_monotonic_time() - since_us);
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(request, &size);

    counters->requests[uv_mm_kind(bytes, size)]++;
    counters->bytes_in += size;
    counters->bytes_out += g_bytes_get_size(reply);
    counters->time_us += took_us;
    counters->longest_us = MAX(counters->longest_us, took_us);
}

static void put_functions(const UvCounters *counters, GString *out)
{
    uv_json_begin(out, "functions", '{');
    for (unsigned kind = 0; kind < UV_MM_KINDS; kind++) {
        if (counters->requests[kind] > 0)
            uv_json_put_number(out, uv_mm_kind_name(kind), (int64_t)counters->requests[kind]);
    }
    uv_json_end(out, '}');
}

void uv_counters_put(const UvCounters *counters, GString *out)
{
    uint64_t count = 0;

    for (unsigned kind = 0; kind < UV_MM_KINDS; kind++)
        count += counters->requests[kind];
    uv_json_begin(out, "requests", '{');
    uv_json_put_number(out, "since-us", counters->since_us);
    uv_json_put_number(out, "count", (int64_t)count);
    put_functions(counters, out);
    uv_json_put_number(out, "refusals", (int64_t)counters->refusals);
    uv_json_put_number(out, "bytes-in", (int64_t)counters->bytes_in);
    uv_json_put_number(out, "bytes-out", (int64_t)counters->bytes_out);
    uv_json_put_number(out, "time-us", (int64_t)counters->time_us);
    uv_json_put_number(out, "longest-us", (int64_t)counters->longest_us);
    uv_json_end(out, '}');
}
