/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "fd.h"
#include "file-io.h"
#include "record-line.h"

/* Of refusals: a guest that is refused all the time must not push everything else out. */
#define REFUSALS_BURST 200u
#define REFUSALS_A_SECOND 20u
/* A reply to a request of many changes waits for this much at most. */
#define PENDING_MAX (256u * 1024)
#define TAIL_BYTES 4096u

struct UvRecord {
    UvFolder *folder;
    size_t max_bytes; /* of both files */
    GString *pending;
    int fd; /* -1: not opened yet, or it could not be */
    size_t size;
    bool unsynced;
    /* refusals */
    unsigned credit, lost;
    int64_t credit_at_us;
};

/* What is behind the last line feed was torn. */
static bool cut_torn_line(int fd, size_t *size)
{
    char tail[TAIL_BYTES];

    while (*size > 0) {
        const size_t n = MIN(*size, sizeof tail);
        const ssize_t got = uv_pread_all(fd, tail, n, *size - n);

        if (got != (ssize_t)n)
            return false;
        for (size_t i = n; i > 0; i--) {
            if (tail[i - 1] == '\n') {
                *size -= n - i;
                return true;
            }
        }
        *size -= n;
    }
    return true;
}

/* `create` is O_CREAT, or 0: only if it is there. */
static bool open_file(UvRecord *record, int create)
{
    struct stat st;
    uv_autofd int fd =
        uv_folder_open(record->folder, UV_FILE_RECORD, O_RDWR | create | O_APPEND, NULL);

    if (fd < 0 || fstat(fd, &st) < 0)
        return false;
    size_t size = (size_t)st.st_size;
    if (!cut_torn_line(fd, &size) || (size < (size_t)st.st_size && ftruncate(fd, (off_t)size) < 0))
        return false;
    record->size = size;
    record->fd = uv_fd_steal(&fd);
    return true;
}

UvRecord *uv_record_new(UvFolder *folder, size_t max_bytes)
{
    if (max_bytes == 0)
        return NULL;
    UvRecord *record = g_new0(UvRecord, 1);
    record->folder = folder;
    record->max_bytes = max_bytes;
    record->pending = g_string_new(NULL);
    record->fd = -1;
    record->credit = REFUSALS_BURST;
    open_file(record, 0);
    return record;
}

void uv_record_free(UvRecord *record)
{
    if (!record)
        return;
    uv_record_flush(record);
    uv_fd_clear(&record->fd);
    g_string_free(record->pending, TRUE);
    g_free(record);
}

/* The older half goes when the newer one is full. */
static void turn_over(UvRecord *record)
{
    if (record->size + record->pending->len <= record->max_bytes / 2 || record->size == 0)
        return;
    uv_fd_clear(&record->fd);
    uv_folder_rename(record->folder, UV_FILE_RECORD, UV_FILE_RECORD_OLD, NULL);
    open_file(record, O_CREAT);
}

void uv_record_flush(UvRecord *record)
{
    if (!record || record->pending->len == 0)
        return;
    if (record->fd < 0)
        open_file(record, O_CREAT);
    if (record->fd >= 0)
        turn_over(record);
    if (record->fd >= 0 &&
        uv_write_all(record->fd, record->pending->str, record->pending->len) < 0) {
        /* No space, say: a part of a line must not stay. */
        if (ftruncate(record->fd, (off_t)record->size) < 0)
            uv_fd_clear(&record->fd);
    } else if (record->fd >= 0) {
        record->size += record->pending->len;
        record->unsynced = true;
    }
    g_string_truncate(record->pending, 0);
}

void uv_record_sync(UvRecord *record)
{
    if (!record)
        return;
    uv_record_flush(record);
    if (record->fd >= 0 && record->unsynced && fdatasync(record->fd) == 0)
        record->unsynced = false;
}

static void keep_small(UvRecord *record)
{
    if (record->pending->len > PENDING_MAX)
        uv_record_flush(record);
}

void uv_record_change(UvRecord *record, const UvActor *actor, const UvChange *change)
{
    if (!record)
        return;
    for (size_t i = 0; i < uv_change_count(change); i++) {
        uv_record_line_change(record->pending, actor, uv_change_item(change, i));
        keep_small(record);
    }
}

static bool may_record_refusal(UvRecord *record)
{
    const int64_t now = g_get_monotonic_time();
    const int64_t seconds = (now - record->credit_at_us) / G_USEC_PER_SEC;

    if (seconds > 0) {
        record->credit =
            (unsigned)MIN(REFUSALS_BURST, record->credit + seconds * (int64_t)REFUSALS_A_SECOND);
        record->credit_at_us = now;
    }
    if (record->credit == 0) {
        record->lost++;
        return false;
    }
    record->credit--;
    return true;
}

void uv_record_refusal(UvRecord *record, const UvActor *actor, const UvSetRequest *request,
                       const UvVariable *before, EfiStatus status, const char *rule,
                       const char *text)
{
    if (!record || !may_record_refusal(record))
        return;
    if (record->lost > 0)
        uv_record_line_lost(record->pending, actor, record->lost);
    record->lost = 0;
    uv_record_line_refusal(record->pending, actor, request, before, status, rule, text);
    keep_small(record);
}
