/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Journals as bytes, and what an unfinished writing in place may leave. */

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "journal-record.h"
#include "scratch.h"

/* The catalogue's check values. */
static void test_crcs(void)
{
    static const char text[] = "123456789";
    const uint64_t crc64 = UINT64_C(0xc96c5795d7870f42);

    g_assert_cmphex(uv_crc(crc64, UINT64_MAX, 0, text, 9), ==, 0x995dc9bbdf1939fa);
    g_assert_cmphex(uv_crc(crc64, UINT64_MAX, uv_crc(crc64, UINT64_MAX, 0, text, 4), text + 4, 5),
                    ==, 0x995dc9bbdf1939fa);
    g_assert_cmphex(uv_crc(crc64, UINT64_MAX, 0, text, 0), ==, 0);
    g_assert_cmphex(uv_crc(0xedb88320, UINT32_MAX, 0, text, 9), ==, 0xcbf43926);
}

static void append(UvJournal *journal, uint32_t kind, const char *text)
{
    g_autoptr(GBytes) payload = g_bytes_new(text, strlen(text));

    g_assert_true(uv_journal_append(journal, kind, payload, NULL));
}

static void test_records(void)
{
    char *dir = scratch_new();
    g_autofree char *path = scratch_path(dir, "j");
    const UvFileId store = {5, 6};
    UvJournal *journal;
    UvDigest base;

    uv_digest_of("text", 4, &base);
    journal = uv_journal_new(open(path, O_RDWR | O_CREAT, 0600), "j", &base, &store);
    g_assert_cmpuint(uv_journal_size(journal), ==, 0);
    append(journal, 7, "one");
    append(journal, 8, "");
    uv_journal_free(journal);

    for (int round = 0; round < 2; round++) {
        g_autoptr(GBytes) bytes = scratch_read(dir, "j");
        g_autoptr(UvJournalContent) content = NULL;
        const UvRecord *record;

        g_assert_cmpint(uv_journal_read(bytes, &content), ==, UV_JOURNAL_VALID);
        g_assert_true(uv_digest_equal(&content->head.base, &base));
        g_assert_true(uv_file_id_equal(&content->head.store, &store));
        g_assert_cmpuint(content->records->len, ==, 2 + round);
        record = &g_array_index(content->records, UvRecord, 0);
        g_assert_cmpuint(record->kind, ==, 7);
        g_assert_cmpmem(record->payload, record->size, "one", 3);
        g_assert_cmpuint(g_array_index(content->records, UvRecord, 1).size, ==, 0);
        if (round == 0) {
            journal = uv_journal_continue(open(path, O_RDWR), "j", content);
            append(journal, 9, "three");
            uv_journal_free(journal);
        }
    }
    scratch_free(dir);
}

/* Records of one journal are none in another, nor in another place. */
static void test_foreign_records(void)
{
    char *dir = scratch_new();
    g_autofree char *path = scratch_path(dir, "j");
    g_autoptr(GBytes) first = NULL, second = NULL;
    const UvFileId store = {0};
    uint8_t *mixed;
    UvDigest base;
    size_t size;

    uv_digest_of("", 0, &base);
    for (int i = 0; i < 2; i++) {
        UvJournal *journal =
            uv_journal_new(open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), "j", &base, &store);

        append(journal, 1, "aaaa");
        append(journal, 1, "bbbb");
        uv_journal_free(journal);
        *(i ? &second : &first) = scratch_read(dir, "j");
    }
    size = g_bytes_get_size(first);
    for (int way = 0; way < 2; way++) {
        g_autoptr(UvJournalContent) content = NULL;
        g_autoptr(GBytes) bytes = NULL;
        size_t record = UV_JOURNAL_RECORD_BYTES + 4;

        mixed = g_memdup2(g_bytes_get_data(first, NULL), size);
        if (way == 0) /* the second record of the second journal */
            memcpy(mixed + size - record,
                   (const uint8_t *)g_bytes_get_data(second, NULL) + size - record, record);
        else /* the first record once more */
            memcpy(mixed + size - record, mixed + UV_JOURNAL_HEADER_BYTES, record);
        bytes = g_bytes_new_take(mixed, size);
        g_assert_cmpint(uv_journal_read(bytes, &content), ==, UV_JOURNAL_VALID);
        g_assert_cmpuint(content->records->len, ==, 1);
    }
    scratch_free(dir);
}

static bool matches(const char *old_text, const char *new_text, const char *text)
{
    UvRecordImage image = {(const uint8_t *)old_text, (const uint8_t *)new_text, strlen(old_text),
                           strlen(new_text)};

    return uv_record_image_matches(&image, 1, (const uint8_t *)text, strlen(text));
}

static void test_image(void)
{
    g_autofree char *old_text = g_strnfill(1500, 'o'), *new_text = g_strnfill(1100, 'n');
    g_autofree char *mixed = g_strdup(old_text);

    g_assert_true(matches(old_text, new_text, old_text));
    g_assert_true(matches(old_text, new_text, new_text));
    memset(mixed + 512, 'n', 512); /* any sectors */
    g_assert_true(matches(old_text, new_text, mixed));
    memset(mixed, 'n', 1100); /* all that is new, and not shortened yet */
    g_assert_true(matches(old_text, new_text, mixed));
    mixed[1300] = 'x';
    g_assert_false(matches(old_text, new_text, mixed));
    g_assert_false(matches(old_text, new_text, ""));
    g_assert_false(matches("{}", "{ }", "[]"));
}

/* Two writings, the first of which may not have got to the disk. */
static void test_images(void)
{
    g_autofree char *first = g_strnfill(1500, '1'), *second = g_strnfill(1100, '2');
    g_autofree char *third = g_strnfill(1300, '3'), *mixed = g_strdup(first);
    const UvRecordImage images[] = {
        {(const uint8_t *)first, (const uint8_t *)second, 1500, 1100},
        {(const uint8_t *)second, (const uint8_t *)third, 1100, 1300},
    };
    const uint8_t *text = (const uint8_t *)mixed;

    memset(mixed + 512, '3', 512);
    memset(mixed + 1024, '2', 76);
    g_assert_true(uv_record_image_matches(images, 2, text, 1500));
    g_assert_true(uv_record_image_matches(images, 2, text, 1100));
    g_assert_false(uv_record_image_matches(images + 1, 1, text, 1300));
    g_assert_false(uv_record_image_matches(images, 1, text, 1500));
    g_assert_false(uv_record_image_matches(images, 2, text, 1099));
    mixed[700] = 'x';
    g_assert_false(uv_record_image_matches(images, 2, text, 1500));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/journal/crcs", test_crcs);
    g_test_add_func("/journal/records", test_records);
    g_test_add_func("/journal/foreign-records", test_foreign_records);
    g_test_add_func("/journal/image", test_image);
    g_test_add_func("/journal/images", test_images);
    return g_test_run();
}
