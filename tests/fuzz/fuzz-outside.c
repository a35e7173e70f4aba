/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What an engine that starts reads to find out what changed meanwhile, where the folder's owner
 * wrote anything there. The first byte says what it is: how the store was left (0), or lines of the
 * record. What is taken is whole, and within its limits.
 */

#include "fuzz.h"

#include "record-read.h"
#include "times.h"

#include <string.h>

static void check_left(const UvMeta *meta)
{
    GHashTableIter iter;
    void *key;

    g_hash_table_iter_init(&iter, meta->variables);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        const UvLeft *left = key;

        CHECK(left->name && uv_name_units(left->name) > 0);
        CHECK(!left->data == (left->data_bytes > UV_LEFT_DATA_MAX));
        CHECK(!left->data || g_bytes_get_size(left->data) == left->data_bytes);
    }
}

static void check_line(const UvRecorded *change, void *data)
{
    CHECK(change->variable && g_utf8_validate(change->variable, -1, NULL));
    (*(size_t *)data)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t lines = 0;

    if (size == 0)
        return 0;
    if (data[0] == 0) {
        g_autoptr(UvMeta) meta = uv_meta_parse(data + 1, size - 1);
        if (meta)
            check_left(meta);
        return 0;
    }
    uv_record_read_lines((const char *)data + 1, size - 1, 0, check_line, &lines);
    CHECK(lines <= size / 2);
    return 0;
}
