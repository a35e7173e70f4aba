/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Signature lists: u16 bytes of what is there, those, and the rest is appended. */

#include "fuzz.h"

#include "siglist.h"

#include <string.h>

/* Reads all that a list says is there. */
static unsigned walk(const uint8_t *bytes, size_t size, bool *ret_whole)
{
    UvSiglist list;
    unsigned sum = 0;
    UvReader reader = uv_reader(bytes, size);

    while (uv_siglist_next(&reader, &list)) {
        CHECK(list.size >= 28 && list.signature_bytes >= 16);
        for (size_t i = 0; i < list.count; i++) {
            const uint8_t *data = uv_siglist_data(&list, i);

            for (size_t j = 0; j < list.signature_bytes - 16; j++)
                sum += data[j];
        }
    }
    *ret_whole = uv_reader_done(&reader);
    return sum;
}

static void check_append(const uint8_t *old, size_t old_size, const uint8_t *bytes, size_t size)
{
    g_autoptr(GBytes) fresh = uv_siglist_new_ones(old, old_size, bytes, size);
    bool whole;

    if (!fresh)
        return;
    gsize fresh_size;
    const uint8_t *data = g_bytes_get_data(fresh, &fresh_size);
    CHECK(fresh_size <= size);
    walk(data, fresh_size, &whole);
    CHECK(whole);
    /* What was added is known afterwards: nothing is new a second time. */
    g_autoptr(GByteArray) both = g_byte_array_new();
    g_byte_array_append(both, old, old_size);
    g_byte_array_append(both, data, fresh_size);
    g_autoptr(GBytes) again = uv_siglist_new_ones(both->data, both->len, bytes, size);
    CHECK(again && g_bytes_get_size(again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool whole;

    if (size < 2)
        return 0;
    const size_t old_size = MIN((size_t)(data[0] | data[1] << 8), size - 2);
    const uint8_t *old = data + 2, *bytes = old + old_size;
    const size_t left = size - 2 - old_size;

    walk(bytes, left, &whole);
    if (uv_siglist_check(bytes, left, false))
        CHECK(whole);
    else
        CHECK(!uv_siglist_check(bytes, left, true));
    check_append(old, old_size, bytes, left);
    return 0;
}
