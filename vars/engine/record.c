/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "fd.h"
#include "file-io.h"
#include "log.h"
#include "record-line.h"

/* Of refusals: a guest that is refused all the time must not push everything else out. */
#define REFUSALS_BURST 200u
#define REFUSALS_A_SECOND 20u
/* A reply to a request of many changes waits for this much at most. */
#define PENDING_MAX (256u * 1024)
/* Changes whose lines are not made yet. */
#define ENTRIES_MAX 64u
#define TAIL_BYTES 4096u
/* More than any line has. */
#define LINE_BYTES_MAX (64u * 1024)
#define LINE_ON_ITS_WAY_US 5000u
#define FAILED "the record of changes can't be written: "

/* A change of one variable, as it was when it was made. */
typedef struct {
    int64_t time_us;
    UvActor actor; /* its session and client are the two below */
    uint8_t session_id[UV_RECORD_SESSION_BYTES];
    char *client;
    UvChangeItem item; /* references of its own */
} Entry;

struct UvRecord {
    UvFolder *folder;
    size_t max_bytes; /* of both files */
    bool shared;      /* other hosts write, too */
    GArray *entries;  /* of Entry */
    GString *pending; /* lines */
    int fd;           /* -1: not opened yet, or it could not be */
    int older_fd;     /* what it was before it became the older one, until that is durable; or -1 */
    size_t size;
    uint64_t written_bytes;
    bool unsynced;
    unsigned lost;   /* lines, since the last one */
    unsigned credit; /* refusals */
    int64_t credit_at_us;
    UvLogRate troubles;
};

static void entry_clear(void *data)
{
    Entry *entry = data;

    g_free(entry->client);
    g_clear_pointer(&entry->item.before, uv_variable_unref);
    g_clear_pointer(&entry->item.after, uv_variable_unref);
}

/* What is behind the last line feed was torn. Where so much has none, no engine wrote it. */
static bool cut_torn_line(int fd, size_t torn_bytes_max, size_t *size)
{
    const size_t least = *size > torn_bytes_max ? *size - torn_bytes_max : 0;
    char tail[TAIL_BYTES];

    while (*size > least) {
        const size_t n = MIN(*size - least, sizeof(tail));
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
    *size = 0;
    return true;
}

/* What looks torn may be another engine's line on its way, which will soon have come. */
static bool whole_size(const UvRecord *record, int fd, size_t *ret_size)
{
    const size_t torn_bytes_max = MAX(record->max_bytes, LINE_BYTES_MAX);
    struct stat st;

    for (unsigned looks = 0; looks < 2; looks++) {
        if (looks > 0)
            g_usleep(LINE_ON_ITS_WAY_US);
        if (fstat(fd, &st) < 0)
            return false;
        *ret_size = (size_t)st.st_size;
        if (!cut_torn_line(fd, torn_bytes_max, ret_size))
            return false;
        if (*ret_size == (size_t)st.st_size)
            return true;
    }
    return ftruncate(fd, (off_t)*ret_size) == 0;
}

/* `create` is O_CREAT, or 0: only if it is there. */
static bool open_file(UvRecord *record, int create)
{
    g_autoptr(GError) error = NULL;
    size_t size;
    uv_autofd int fd = uv_folder_open(record->folder, UV_FILE_RECORD, O_RDWR | create | O_APPEND,
                                      create ? &error : NULL);

    if (error)
        uv_log_limited(&record->troubles, LOG_WARNING, FAILED "%s", error->message);
    if (fd < 0 || !whole_size(record, fd, &size))
        return false;
    record->size = size;
    record->fd = uv_fd_steal(&fd);
    return true;
}

UvRecord *uv_record_new(UvFolder *folder, size_t max_bytes, bool shared)
{
    if (max_bytes == 0)
        return NULL;
    UvRecord *record = g_new0(UvRecord, 1);
    record->folder = folder;
    record->max_bytes = max_bytes;
    record->shared = shared;
    record->entries = g_array_new(FALSE, FALSE, sizeof(Entry));
    g_array_set_clear_func(record->entries, entry_clear);
    record->pending = g_string_new(NULL);
    record->fd = record->older_fd = -1;
    record->credit = REFUSALS_BURST;
    record->troubles = (UvLogRate){.burst = 1, .what = "failures of the record"};
    if (!shared)
        open_file(record, 0); /* a torn line goes now: it may be read before it is written to */
    uv_fd_clear(&record->fd);
    return record;
}

void uv_record_free(UvRecord *record)
{
    if (!record)
        return;
    uv_record_flush(record);
    uv_fd_clear(&record->fd);
    uv_fd_clear(&record->older_fd);
    g_array_unref(record->entries);
    g_string_free(record->pending, TRUE);
    g_free(record);
}

/* ---- the files ---- */

/* The older half goes when the newer one is full. */
static bool turn_over(UvRecord *record)
{
    if (record->unsynced) {
        uv_fd_clear(&record->older_fd); /* that one is gone */
        record->older_fd = uv_fd_steal(&record->fd);
    }
    uv_fd_clear(&record->fd);
    record->unsynced = false;
    return uv_folder_rename(record->folder, UV_FILE_RECORD, UV_FILE_RECORD_OLD, NULL) &&
           open_file(record, O_CREAT);
}

static bool append(UvRecord *record, const char *lines, size_t size)
{
    const int result = uv_write_all(record->fd, lines, size);

    if (result == 0) {
        record->size += size;
        record->written_bytes += size;
        record->unsynced = true;
        return true;
    }
    uv_log_limited(&record->troubles, LOG_WARNING, FAILED "%s", g_strerror(-result));
    /* No space, say: a part of a line must not stay. */
    if (ftruncate(record->fd, (off_t)record->size) < 0)
        uv_fd_clear(&record->fd);
    return false;
}

/* Whole lines, as many as there is room for; 0: not even one. */
static size_t fitting(const char *lines, size_t size, size_t room)
{
    size_t n = MIN(size, room);

    while (n > 0 && lines[n - 1] != '\n')
        n--;
    return n;
}

static unsigned count_lines(const char *lines, size_t size)
{
    unsigned count = 0;

    for (size_t i = 0; i < size; i++)
        count += lines[i] == '\n';
    return count;
}

/* How much was taken from the front of it: written, or lost. */
static size_t write_some(UvRecord *record, const char *lines, size_t size)
{
    const size_t half = record->max_bytes / 2;
    size_t n = fitting(lines, size, half > record->size ? half - record->size : 0);

    if (n == 0 && record->size > 0 && turn_over(record))
        n = fitting(lines, size, half);
    if (n > 0 && record->fd >= 0 && append(record, lines, n))
        return n;
    if (n == 0 && record->fd >= 0) /* one that is longer than a file may be */
        n = (size_t)((const char *)memchr(lines, '\n', size) - lines) + 1;
    else
        n = size;
    record->lost += count_lines(lines, n);
    return n;
}

static void write_pending(UvRecord *record)
{
    if (record->pending->len == 0)
        return;
    if (record->shared)
        uv_fd_clear(&record->fd);
    if (record->fd < 0)
        open_file(record, O_CREAT);
    for (size_t done = 0; done < record->pending->len;)
        done += write_some(record, record->pending->str + done, record->pending->len - done);
    g_string_truncate(record->pending, 0);
}

/* ---- lines ---- */

static void begin_line(UvRecord *record)
{
    if (record->pending->len > PENDING_MAX)
        write_pending(record);
    if (record->lost > 0)
        uv_record_line_lost(record->pending, record->lost);
    record->lost = 0;
}

static void make_lines(UvRecord *record)
{
    for (guint i = 0; i < record->entries->len; i++) {
        const Entry *entry = &g_array_index(record->entries, Entry, i);
        UvActor actor = entry->actor;

        actor.session_id = entry->session_id;
        actor.client = entry->client;
        begin_line(record);
        uv_record_line_change(record->pending, entry->time_us, &actor, &entry->item);
    }
    g_array_set_size(record->entries, 0);
}

void uv_record_flush(UvRecord *record)
{
    if (!record)
        return;
    make_lines(record);
    write_pending(record);
}

uint64_t uv_record_written_bytes(const UvRecord *record)
{
    return record ? record->written_bytes : 0;
}

void uv_record_sync(UvRecord *record)
{
    if (!record)
        return;
    uv_record_flush(record);
    if (record->older_fd >= 0 && fdatasync(record->older_fd) == 0)
        uv_fd_clear(&record->older_fd);
    if (record->fd >= 0 && record->unsynced && fdatasync(record->fd) == 0)
        record->unsynced = false;
}

void uv_record_let_go(UvRecord *record)
{
    if (!record)
        return;
    uv_record_sync(record);
    uv_fd_clear(&record->fd);
    uv_fd_clear(&record->older_fd);
    record->unsynced = false;
}

/* ---- what happens ---- */

static void put_entry(UvRecord *record, const UvActor *actor, const UvChangeItem *item)
{
    Entry entry = {
        .time_us = g_get_real_time(),
        .actor = *actor,
        .client = g_strdup(actor->client),
        .item.before = item->before ? uv_variable_ref(item->before) : NULL,
        .item.after = item->after ? uv_variable_ref(item->after) : NULL,
    };

    if (actor->session_id)
        memcpy(entry.session_id, actor->session_id, sizeof(entry.session_id));
    g_array_append_val(record->entries, entry);
}

void uv_record_change(UvRecord *record, const UvActor *actor, const UvChange *change)
{
    if (!record)
        return;
    for (size_t i = 0; i < uv_change_count(change); i++) {
        if (record->entries->len >= ENTRIES_MAX)
            make_lines(record);
        put_entry(record, actor, uv_change_item(change, i));
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

void uv_record_missed(UvRecord *record, unsigned lines)
{
    if (record)
        record->lost += lines;
}

void uv_record_refusal(UvRecord *record, const UvActor *actor, const UvRecordRefusal *refusal)
{
    if (!record || !may_record_refusal(record))
        return;
    make_lines(record); /* in their order */
    begin_line(record);
    uv_record_line_refusal(record->pending, actor, refusal);
}

void uv_record_found(UvRecord *record, const UvActor *actor, const UvRecordFound *found)
{
    if (!record)
        return;
    make_lines(record); /* in their order */
    begin_line(record);
    uv_record_line_found(record->pending, actor, found);
}
