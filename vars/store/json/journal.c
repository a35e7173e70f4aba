/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "journal.h"

#include "bytes.h"
#include "replace-store.h"
#include "store.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define CHECK_BYTES 8

static const uint8_t magic[8] = "uvjrnl\0\1";

struct UvJournal {
    int fd;
    char *name;
    uint8_t id[UV_JOURNAL_ID_BYTES];
    UvDigest base;
    size_t end;      /* where the next record goes; 0: the header is not written */
    uint64_t number; /* of the next record */
    bool torn;       /* there may be bytes behind `end` */
};

static uint64_t header_check(const uint8_t *header)
{
    return uv_crc64(0, header, UV_JOURNAL_HEADER_BYTES - CHECK_BYTES);
}

/* Over the id, the fields in front of the check, and the payload. */
static uint64_t record_check(const uint8_t id[UV_JOURNAL_ID_BYTES], const uint8_t *record,
                             const void *payload, size_t size)
{
    uint64_t crc = uv_crc64(0, id, UV_JOURNAL_ID_BYTES);

    crc = uv_crc64(crc, record, UV_JOURNAL_RECORD_BYTES - CHECK_BYTES);
    return uv_crc64(crc, payload, size);
}

static bool read_record(UvJournalContent *content, UvReader *reader)
{
    const uint8_t *record = reader->at;
    UvRecord parsed;
    uint64_t number, check;

    parsed.kind = uv_read_u32(reader);
    parsed.size = uv_read_u32(reader);
    number = uv_read_u64(reader);
    check = uv_read_u64(reader);
    parsed.payload = uv_read_bytes(reader, parsed.size);
    if (!parsed.payload || number != content->records->len ||
        check != record_check(content->id, record, parsed.payload, parsed.size))
        return false;
    g_array_append_val(content->records, parsed);
    content->end += UV_JOURNAL_RECORD_BYTES + parsed.size;
    return true;
}

UvJournalState uv_journal_read(GBytes *bytes, UvJournalContent **ret_content)
{
    g_autoptr(UvJournalContent) content = NULL;
    UvReader reader;
    const uint8_t *header, *id, *base, *found;
    uint64_t check;
    size_t size;

    header = g_bytes_get_data(bytes, &size);
    uv_reader_init(&reader, header, size);
    found = uv_read_bytes(&reader, sizeof magic);
    id = uv_read_bytes(&reader, UV_JOURNAL_ID_BYTES);
    base = uv_read_bytes(&reader, UV_DIGEST_BYTES);
    check = uv_read_u64(&reader);
    if (reader.failed || uv_bytes_are(header, UV_JOURNAL_HEADER_BYTES, 0))
        return UV_JOURNAL_UNBORN;
    if (memcmp(found, magic, sizeof magic) != 0 || check != header_check(header))
        return UV_JOURNAL_FOREIGN;
    content = g_new0(UvJournalContent, 1);
    content->bytes = g_bytes_ref(bytes);
    content->records = g_array_new(FALSE, FALSE, sizeof(UvRecord));
    content->end = UV_JOURNAL_HEADER_BYTES;
    memcpy(content->id, id, sizeof content->id);
    memcpy(content->base.bytes, base, sizeof content->base.bytes);
    while (reader.left > 0 && read_record(content, &reader))
        ;
    *ret_content = g_steal_pointer(&content);
    return UV_JOURNAL_VALID;
}

void uv_journal_content_free(UvJournalContent *content)
{
    if (!content)
        return;
    g_bytes_unref(content->bytes);
    g_array_unref(content->records);
    g_free(content);
}

static void random_id(uint8_t ret_id[UV_JOURNAL_ID_BYTES])
{
    /* Unlikely to repeat is all that is wanted of it. */
    if (getrandom(ret_id, UV_JOURNAL_ID_BYTES, 0) == UV_JOURNAL_ID_BYTES)
        return;
    for (size_t i = 0; i < UV_JOURNAL_ID_BYTES; i += 4) {
        guint32 value = g_random_int();
        memcpy(ret_id + i, &value, 4);
    }
}

UvJournal *uv_journal_new(int fd, const char *name, const UvDigest *base)
{
    UvJournal *journal = g_new0(UvJournal, 1);

    journal->fd = fd;
    journal->name = g_strdup(name);
    journal->base = *base;
    journal->torn = true;
    random_id(journal->id);
    return journal;
}

UvJournal *uv_journal_continue(int fd, const char *name, const UvJournalContent *content)
{
    UvJournal *journal = g_new0(UvJournal, 1);

    journal->fd = fd;
    journal->name = g_strdup(name);
    journal->base = content->base;
    journal->end = content->end;
    journal->number = content->records->len;
    journal->torn = content->end < g_bytes_get_size(content->bytes);
    memcpy(journal->id, content->id, sizeof journal->id);
    return journal;
}

void uv_journal_free(UvJournal *journal)
{
    if (!journal)
        return;
    close(journal->fd);
    g_free(journal->name);
    g_free(journal);
}

static bool cut_tail(UvJournal *journal, GError **error)
{
    if (!journal->torn)
        return true;
    if (ftruncate(journal->fd, journal->end) < 0) {
        uv_set_store_error(error, journal->name, "cannot cut off a torn tail", errno);
        return false;
    }
    journal->torn = false;
    return true;
}

static void write_header(const UvJournal *journal, UvWriter *out)
{
    uv_write_bytes(out, magic, sizeof magic);
    uv_write_bytes(out, journal->id, sizeof journal->id);
    uv_write_bytes(out, journal->base.bytes, sizeof journal->base.bytes);
    uv_write_u64(out, header_check(out->bytes));
}

static GBytes *build(const UvJournal *journal, uint32_t kind, GBytes *payload)
{
    g_auto(UvWriter) out = {0};
    size_t size, start;
    const void *data = g_bytes_get_data(payload, &size);

    uv_writer_init(&out, UV_JOURNAL_HEADER_BYTES + UV_JOURNAL_RECORD_BYTES + size);
    if (journal->end == 0)
        write_header(journal, &out);
    start = uv_writer_size(&out);
    uv_write_u32(&out, kind);
    uv_write_u32(&out, size);
    uv_write_u64(&out, journal->number);
    uv_write_u64(&out, record_check(journal->id, out.bytes + start, data, size));
    uv_write_bytes(&out, data, size);
    return uv_writer_steal(&out);
}

bool uv_journal_append(UvJournal *journal, uint32_t kind, GBytes *payload, GError **error)
{
    g_autoptr(GBytes) bytes = NULL;
    size_t size;

    /* Both limits are far: a change has at most UV_STORAGE_MAX bytes. */
    if (g_bytes_get_size(payload) > UV_JOURNAL_MAX / 2 ||
        journal->end > UV_JOURNAL_MAX - g_bytes_get_size(payload) - 1024) {
        uv_set_store_error(error, journal->name, "too large", ENOSPC);
        return false;
    }
    if (!cut_tail(journal, error))
        return false;
    bytes = build(journal, kind, payload);
    size = g_bytes_get_size(bytes);
    journal->torn = true;
    if (!uv_write_file_at(journal->fd, journal->name, g_bytes_get_data(bytes, NULL), size,
                          journal->end, error) ||
        !uv_sync_file(journal->fd, journal->name, true, error)) {
        if (cut_tail(journal, NULL))
            uv_sync_file(journal->fd, journal->name, true, NULL);
        return false;
    }
    journal->torn = false;
    journal->end += size;
    journal->number++;
    return true;
}

size_t uv_journal_size(const UvJournal *journal)
{
    return journal->end;
}

int uv_journal_fd(const UvJournal *journal)
{
    return journal->fd;
}
