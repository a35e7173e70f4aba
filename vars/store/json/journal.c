/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "journal.h"

#include "bytes.h"
#include "fd.h"
#include "replace-store.h"
#include "store.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define CHECK_BYTES 8
#define VERSION 2u
/* ECMA-182, reflected: the checks of version 1. */
#define CRC64 UINT64_C(0xc96c5795d7870f42)

/* Its last byte is the version. */
static const uint8_t magic[8] = {'u', 'v', 'j', 'r', 'n', 'l', 0, 2};

struct UvJournal {
    int fd;
    char *name;
    UvJournalHead head;
    size_t end;      /* where the next record goes; 0: the header is not written */
    uint64_t number; /* of the next record */
    bool torn;       /* there may be bytes behind `end` */
};

static size_t header_bytes(unsigned version)
{
    return version == 1 ? UV_JOURNAL_HEADER_BYTES_1 : UV_JOURNAL_HEADER_BYTES;
}

/* Over two pieces, one behind the other. */
static uint64_t check_of(unsigned version, const void *a, size_t a_size, const void *b,
                         size_t b_size)
{
    UvDigest digest;
    uint64_t check;

    if (version == 1)
        return uv_crc(CRC64, UINT64_MAX, uv_crc(CRC64, UINT64_MAX, 0, a, a_size), b, b_size);
    uv_digest_of_two(a, a_size, b, b_size, &digest);
    memcpy(&check, digest.bytes, sizeof(check));
    return GUINT64_FROM_LE(check);
}

static uint64_t header_check(unsigned version, const uint8_t *header)
{
    return check_of(version, header, header_bytes(version) - CHECK_BYTES, NULL, 0);
}

/* Over the id, the fields in front of the check, and the payload. */
static uint64_t record_check(const UvJournalHead *head, const uint8_t *record, const void *payload,
                             size_t size)
{
    uint8_t begin[UV_JOURNAL_ID_BYTES + UV_JOURNAL_RECORD_BYTES - CHECK_BYTES];

    memcpy(begin, head->id, UV_JOURNAL_ID_BYTES);
    memcpy(begin + UV_JOURNAL_ID_BYTES, record, UV_JOURNAL_RECORD_BYTES - CHECK_BYTES);
    return check_of(head->version, begin, sizeof(begin), payload, size);
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
        check != record_check(&content->head, record, parsed.payload, parsed.size))
        return false;
    g_array_append_val(content->records, parsed);
    content->end += UV_JOURNAL_RECORD_BYTES + parsed.size;
    return true;
}

static UvFileId read_file_id(UvReader *reader)
{
    const uint64_t inode = uv_read_u64(reader);

    return (UvFileId){inode, uv_read_u64(reader)};
}

static void write_file_id(UvWriter *writer, const UvFileId *id)
{
    uv_write_u64(writer, id->inode);
    uv_write_u64(writer, id->born_ns);
}

/* What is too short, or was never written, is of a journal whose first record was not durable. */
static UvJournalState read_head(UvReader *reader, UvJournalHead *ret_head)
{
    const uint8_t *header = reader->at;
    UvJournalHead head = {0};

    if (reader->left < UV_JOURNAL_HEADER_BYTES_1 ||
        uv_bytes_are(header, UV_JOURNAL_HEADER_BYTES_1, 0))
        return UV_JOURNAL_UNBORN;
    head.version = header[sizeof(magic) - 1];
    if (memcmp(header, magic, sizeof(magic) - 1) != 0 || head.version < 1 || head.version > VERSION)
        return UV_JOURNAL_FOREIGN;
    uv_read_bytes(reader, sizeof(magic));
    const uint8_t *id = uv_read_bytes(reader, UV_JOURNAL_ID_BYTES);
    const uint8_t *base = uv_read_bytes(reader, UV_DIGEST_BYTES);
    if (head.version > 1) {
        head.store = read_file_id(reader);
        head.own = read_file_id(reader);
    }
    const uint64_t check = uv_read_u64(reader);
    if (reader->failed)
        return UV_JOURNAL_UNBORN;
    if (check != header_check(head.version, header))
        return UV_JOURNAL_FOREIGN;
    memcpy(head.id, id, sizeof(head.id));
    memcpy(head.base.bytes, base, sizeof(head.base.bytes));
    *ret_head = head;
    return UV_JOURNAL_VALID;
}

UvJournalState uv_journal_read(GBytes *bytes, UvJournalContent **ret_content)
{
    g_autoptr(UvJournalContent) content = NULL;
    UvJournalHead head;
    UvReader reader = uv_reader_of(bytes);
    const UvJournalState state = read_head(&reader, &head);
    if (state != UV_JOURNAL_VALID)
        return state;
    content = g_new0(UvJournalContent, 1);
    content->bytes = g_bytes_ref(bytes);
    content->records = g_array_new(FALSE, FALSE, sizeof(UvRecord));
    content->end = header_bytes(head.version);
    content->head = head;
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

UvJournal *uv_journal_new(int fd, const char *name, const UvDigest *base, const UvFileId *store)
{
    UvJournal *journal = g_new0(UvJournal, 1);

    journal->fd = fd;
    journal->name = g_strdup(name);
    journal->head =
        (UvJournalHead){.version = VERSION, .base = *base, .store = *store, .own = uv_file_id(fd)};
    journal->torn = true;
    random_id(journal->head.id);
    return journal;
}

UvJournal *uv_journal_continue(int fd, const char *name, const UvJournalContent *content)
{
    UvJournal *journal = g_new0(UvJournal, 1);

    journal->fd = fd;
    journal->name = g_strdup(name);
    journal->head = content->head;
    journal->end = content->end;
    journal->number = content->records->len;
    journal->torn = content->end < g_bytes_get_size(content->bytes);
    return journal;
}

void uv_journal_free(UvJournal *journal)
{
    if (!journal)
        return;
    uv_fd_clear(&journal->fd);
    g_free(journal->name);
    g_free(journal);
}

static bool cut_tail(UvJournal *journal, GError **error)
{
    if (!journal->torn)
        return true;
    if (ftruncate(journal->fd, journal->end) < 0)
        return uv_set_store_error(error, journal->name, "cannot cut off a torn tail", errno);
    journal->torn = false;
    return true;
}

static void write_header(const UvJournal *journal, UvWriter *out)
{
    uv_write_bytes(out, magic, sizeof(magic));
    uv_write_bytes(out, journal->head.id, sizeof(journal->head.id));
    uv_write_bytes(out, journal->head.base.bytes, sizeof(journal->head.base.bytes));
    write_file_id(out, &journal->head.store);
    write_file_id(out, &journal->head.own);
    uv_write_u64(out, header_check(VERSION, out->bytes));
}

static GBytes *build(const UvJournal *journal, uint32_t kind, GBytes *payload)
{
    size_t size, start;
    const void *data = g_bytes_get_data(payload, &size);
    g_auto(UvWriter) out = uv_writer(UV_JOURNAL_HEADER_BYTES + UV_JOURNAL_RECORD_BYTES + size);

    if (journal->end == 0)
        write_header(journal, &out);
    start = uv_writer_size(&out);
    uv_write_u32(&out, kind);
    uv_write_u32(&out, size);
    uv_write_u64(&out, journal->number);
    uv_write_u64(&out, record_check(&journal->head, out.bytes + start, data, size));
    uv_write_bytes(&out, data, size);
    return uv_writer_steal(&out);
}

bool uv_journal_append(UvJournal *journal, uint32_t kind, GBytes *payload, GError **error)
{
    g_autoptr(GBytes) bytes = NULL;
    size_t size;

    /* Both limits are far: a change has at most UV_STORAGE_MAX bytes. */
    if (g_bytes_get_size(payload) > UV_JOURNAL_MAX / 2 ||
        journal->end > UV_JOURNAL_MAX - g_bytes_get_size(payload) - 1024)
        return uv_set_store_error(error, journal->name, "too large", ENOSPC);
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
