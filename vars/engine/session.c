/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "session.h"

#include "fd.h"
#include "file-error.h"
#include "file-io.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC "UVSESS\0\2"
#define MAGIC_BYTES 8
#define CHECKSUM_AT (MAGIC_BYTES + 8 + 4)
#define HEADER_BYTES (CHECKSUM_AT + 8)

struct UvSessionFile {
    int fd;
    uint64_t sequence; /* of the newest slot; 0: none */
    UvWriter slots[2]; /* as they were written here: the newest is that of `sequence` */
};

UvSessionFile *uv_session_file_new(int fd)
{
    UvSessionFile *file = g_new0(UvSessionFile, 1);

    file->fd = fd;
    for (unsigned i = 0; i < 2; i++)
        file->slots[i] = uv_writer(UV_SESSION_SLOT_BYTES);
    return file;
}

void uv_session_file_free(UvSessionFile *file)
{
    if (!file)
        return;
    for (unsigned i = 0; i < 2; i++)
        uv_writer_clear(&file->slots[i]);
    uv_fd_clear(&file->fd);
    g_free(file);
}

/*
 * As FNV-1a, but over words of eight bytes (the last one filled up with zeros), whose upper bits
 * are mixed in below. Finds torn writes; a user that can write this file need not forge it.
 */
static uint64_t mix(uint64_t hash, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size; at += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, MIN(size - at, 8));
        hash = (hash ^ GUINT64_FROM_LE(word)) * UINT64_C(0x100000001b3);
        hash ^= hash >> 32;
    }
    return hash;
}

static uint64_t checksum(const uint8_t *header, const uint8_t *body, size_t body_bytes)
{
    return mix(mix(UINT64_C(0xcbf29ce484222325), header, CHECKSUM_AT), body, body_bytes);
}

/* The body of a valid slot, or NULL. */
static GBytes *read_slot(UvSessionFile *file, unsigned slot, uint64_t *ret_sequence)
{
    uint8_t header[HEADER_BYTES];
    const off_t at = (off_t)slot * UV_SESSION_SLOT_BYTES;

    if (uv_pread_all(file->fd, header, sizeof(header), at) != sizeof(header) ||
        memcmp(header, MAGIC, MAGIC_BYTES))
        return NULL;
    UvReader reader = uv_reader(header + MAGIC_BYTES, HEADER_BYTES - MAGIC_BYTES);
    const uint64_t sequence = uv_read_u64(&reader);
    const uint32_t size = uv_read_u32(&reader);
    const uint64_t wanted = uv_read_u64(&reader);
    if (size > UV_SESSION_SLOT_BYTES - HEADER_BYTES)
        return NULL;
    g_autofree uint8_t *body = g_malloc(size);
    if (uv_pread_all(file->fd, body, size, at + HEADER_BYTES) != (ssize_t)size ||
        checksum(header, body, size) != wanted)
        return NULL;
    *ret_sequence = sequence;
    return g_bytes_new_take(g_steal_pointer(&body), size);
}

static bool read_body(GBytes *body, UvSessionHead *ret_head, GBytes **ret_state)
{
    UvSessionHead head = {0};
    UvReader reader = uv_reader_of(body);
    const uint8_t *id = uv_read_bytes(&reader, sizeof(head.id));
    const uint32_t mode = uv_read_u32(&reader);
    head.identity = uv_store_identity_read(&reader);
    const size_t name_bytes = uv_read_u8(&reader);
    const uint8_t *name = uv_read_bytes(&reader, name_bytes);
    if (reader.failed || mode > UV_SESSION_RELEASED)
        return false;
    memcpy(head.id, id, sizeof(head.id));
    memcpy(head.name, name, name_bytes);
    head.mode = mode;
    *ret_head = head;
    *ret_state = g_bytes_new(reader.at, reader.left);
    return true;
}

bool uv_session_file_read(UvSessionFile *file, UvSessionHead *ret_head, GBytes **ret_state)
{
    uint64_t sequences[2] = {0, 0};
    g_autoptr(GBytes) first = read_slot(file, 0, &sequences[0]);
    g_autoptr(GBytes) second = read_slot(file, 1, &sequences[1]);
    GBytes *newest = sequences[1] > sequences[0] ? second : first;

    if (!newest)
        return false;
    file->sequence = MAX(sequences[0], sequences[1]);
    return read_body(newest, ret_head, ret_state);
}

static UvWriter *slot_of(UvSessionFile *file, uint64_t sequence)
{
    return &file->slots[sequence % 2];
}

UvWriter *uv_session_file_begin(UvSessionFile *file, const UvSessionHead *head)
{
    UvWriter *slot = slot_of(file, file->sequence + 1);
    const size_t name_bytes = strlen(head->name);

    uv_writer_reset(slot);
    uv_write_bytes(slot, MAGIC, MAGIC_BYTES);
    uv_write_u64(slot, file->sequence + 1);
    uv_write_zeros(slot, HEADER_BYTES - MAGIC_BYTES - 8);
    uv_write_bytes(slot, head->id, sizeof(head->id));
    uv_write_u32(slot, head->mode);
    uv_store_identity_write(&head->identity, slot);
    uv_write_u8(slot, name_bytes);
    uv_write_bytes(slot, head->name, name_bytes);
    return slot;
}

static bool same_body(const UvWriter *a, const UvWriter *b)
{
    const size_t size = uv_writer_size(a);

    return size == uv_writer_size(b) && size > HEADER_BYTES &&
           memcmp(a->bytes + HEADER_BYTES, b->bytes + HEADER_BYTES, size - HEADER_BYTES) == 0;
}

bool uv_session_file_commit(UvSessionFile *file, GError **error)
{
    const uint64_t sequence = file->sequence + 1;
    UvWriter *slot = slot_of(file, sequence);
    const size_t body_bytes = uv_writer_size(slot) - HEADER_BYTES;

    if (slot->failed)
        return uv_fail(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC,
                       "session file: the session is larger than a slot");
    if (same_body(slot, slot_of(file, file->sequence)))
        return true;
    uint8_t *bytes = slot->bytes;
    uv_write_u32_at(slot, MAGIC_BYTES + 8, body_bytes);
    uv_write_u64_at(slot, CHECKSUM_AT, checksum(bytes, bytes + HEADER_BYTES, body_bytes));
    const int ret = uv_pwrite_all(file->fd, bytes, uv_writer_size(slot),
                                  (off_t)(sequence % 2) * UV_SESSION_SLOT_BYTES);
    if (ret < 0)
        return uv_file_error(error, -ret, "session file");
    file->sequence = sequence;
    return true;
}

void uv_session_file_clear(UvSessionFile *file)
{
    for (unsigned i = 0; i < 2; i++)
        uv_writer_reset(&file->slots[i]);
    /* If even that fails the session is found again, and ends in 30 s as any lost one. */
    if (ftruncate(file->fd, 0) != 0)
        return;
    file->sequence = 0;
}
