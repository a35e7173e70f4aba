/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Journals: the file's frame, and each record's payload by itself (a checksum keeps random bytes
 * from getting that far). The first byte chooses.
 */

#include "fuzz.h"

#include <string.h>

#include "journal-record.h"

static void replay(const UvRecord *record, UvVarset *set)
{
    UvRecordImage image;
    UvDigest digest;
    UvFileId file;

    uv_record_replay(record, set);
    uv_record_read_compaction(record, &digest, &file);
    if (uv_record_read_image(record, &image))
        uv_record_image_matches(&image, 1, image.old_text, image.old_size);
}

static void read_file(const uint8_t *data, size_t size, UvVarset *set)
{
    g_autoptr(GBytes) bytes = g_bytes_new_static(data, size);
    g_autoptr(UvJournalContent) content = NULL;

    if (uv_journal_read(bytes, &content) != UV_JOURNAL_VALID)
        return;
    g_assert_cmpuint(content->end, <=, size);
    for (guint i = 0; i < content->records->len; i++)
        replay(&g_array_index(content->records, UvRecord, i), set);
}

/* What a set becomes by a record, it becomes by the record of that set too. */
static void check_round_trip(const UvVarset *set)
{
    g_autoptr(GBytes) payload = uv_record_of_set(set), again = NULL;
    g_autoptr(UvVarset) copy = uv_varset_new();
    UvRecord record = {.kind = UV_RECORD_REPLACE};

    record.payload = g_bytes_get_data(payload, &record.size);
    g_assert_true(uv_record_replay(&record, copy));
    again = uv_record_of_set(copy);
    g_assert_true(g_bytes_equal(payload, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(UvVarset) set = uv_varset_new();

    if (size == 0)
        return 0;
    if (data[0] == 0) {
        read_file(data + 1, size - 1, set);
    } else {
        UvRecord record = {data[0] & 7, data + 1, size - 1};
        replay(&record, set);
    }
    check_round_trip(set);
    return 0;
}
