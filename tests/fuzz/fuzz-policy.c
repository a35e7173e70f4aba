/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Policy messages, each u16 length and bytes; a message of length 0xffff is the four pages that a
 * dump wants, made of the next 64 bytes. Afterwards the table is asked about a few names,
 * described, and carried over to a successor.
 */

#include "fuzz.h"

#include "policy.h"
#include "uv-limits.h"

#include <stdlib.h>
#include <string.h>

#define FULL_BYTES (0x4000 - EFI_MM_HEADER_BYTES)

static void send(UvPolicy *policy, const uint8_t *bytes, size_t size)
{
    g_auto(UvWriter) reply = uv_writer(size);

    uv_policy_message(policy, bytes, size, &reply);
    CHECK(uv_writer_size(&reply) == size);
    g_autoptr(GBytes) whole = uv_writer_steal(&reply);
    CHECK(whole);
}

static void send_all(UvPolicy *policy, UvReader *reader)
{
    while (reader->left > 2) {
        const uint16_t length = uv_read_u16(reader);

        if (length == 0xffff) {
            g_autofree uint8_t *full = g_malloc0(FULL_BYTES);
            const size_t n = MIN(reader->left, 64);
            memcpy(full, uv_read_bytes(reader, n), n);
            send(policy, full, FULL_BYTES);
        } else {
            const size_t n = MIN(reader->left, length);
            g_autofree uint8_t *exact = g_memdup2(uv_read_bytes(reader, n), n);
            send(policy, exact, n);
        }
    }
}

static void ask(const UvPolicy *policy)
{
    static const char *const names[] = {"A", "Boot0000", "B##", "state"};
    static const UvGuid guid = UV_GUID(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    g_autoptr(UvVarset) set = uv_varset_new();
    g_autoptr(UvChange) change = uv_change_new(set);

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(UvName) name = uv_name_new_utf8(names[i], NULL);
        UvRefusal refusal = {0};
        const EfiStatus status =
            uv_policy_check(policy, change, &guid, name, 7, i == 3 ? 0 : 4, &refusal);
        CHECK(status == EFI_SUCCESS || (refusal.rule && refusal.text));
    }
    for (size_t i = 0; i < uv_policy_count(policy); i++)
        g_free(uv_policy_describe(policy, i));
}

static GBytes *written(const UvPolicy *policy)
{
    g_auto(UvWriter) writer = uv_writer(4 * UV_POLICY_TABLE_MAX);

    uv_policy_write(policy, &writer);
    return uv_writer_steal(&writer);
}

static void carry_over(const UvPolicy *policy)
{
    g_autoptr(UvPolicy) next = uv_policy_new();
    g_autoptr(GBytes) bytes = written(policy);

    CHECK(bytes);
    UvReader reader = uv_reader(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    CHECK(uv_policy_read(next, &reader) && uv_reader_done(&reader));
    g_autoptr(GBytes) again = written(next);
    CHECK(g_bytes_equal(bytes, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(UvPolicy) policy = uv_policy_new();
    UvReader reader = uv_reader(data, size);

    (void)!uv_policy_read(policy, &reader); /* a session file of somebody else */
    uv_policy_clear(policy);
    reader = uv_reader(data, size);
    send_all(policy, &reader);
    ask(policy);
    carry_over(policy);
    return 0;
}
