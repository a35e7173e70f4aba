/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A journal: changes to a file that are not in the file yet. Bytes only; what is in the records is
 * journal-record.h's.
 *
 *   header   magic "uvjrnl\0\2" | 16 random bytes: its id | SHA-256 of its file | which file that
 *            is | which file the journal is (each: u64 inode | i64 time of birth, ns) | check
 *   record   u32 kind | u32 size | u64 number (0, 1, ...) | check | payload
 *
 * A check is the first eight bytes of SHA-256 over the id and all of the header or record but the
 * check itself: a record of another journal, or one out of its place, is none. The first record
 * that is none ends the journal: what follows is a torn tail, of which no guest or client was told
 * that it is durable.
 *
 * Version 1 named no files, and its checks were CRC-64: such a journal is read, and goes on so.
 */

#include "digest.h"
#include "file-id.h"

#define UV_JOURNAL_HEADER_BYTES 96
#define UV_JOURNAL_HEADER_BYTES_1 64 /* of version 1 */
#define UV_JOURNAL_RECORD_BYTES 24
#define UV_JOURNAL_ID_BYTES 16
/* The most that is read of one: two images of the largest JSON, and changes. */
#define UV_JOURNAL_MAX (256u * 1024 * 1024)

typedef struct {
    uint32_t kind;
    const uint8_t *payload; /* borrowed */
    size_t size;
} UvRecord;

/* What a header says. */
typedef struct {
    unsigned version;
    uint8_t id[UV_JOURNAL_ID_BYTES];
    UvDigest base;       /* of its file's text */
    UvFileId store, own; /* none in version 1 */
} UvJournalHead;

/* What a journal file holds. */
typedef struct {
    GBytes *bytes;
    UvJournalHead head;
    GArray *records; /* of UvRecord, borrowing from `bytes` */
    size_t end;      /* of the last whole record: the next one's place */
} UvJournalContent;

typedef enum {
    UV_JOURNAL_VALID,
    UV_JOURNAL_UNBORN,  /* torn before its first record was durable: nothing was acknowledged */
    UV_JOURNAL_FOREIGN, /* not a journal that we can read */
} UvJournalState;

UvJournalState uv_journal_read(GBytes *bytes, UvJournalContent **ret_content);
void uv_journal_content_free(UvJournalContent *content);

/* An open journal, for appending. */
typedef struct UvJournal UvJournal;

/* A new one of the file `store`, whose text has the digest `base`: `fd` (owned) is an empty file,
 * the header goes out with the first record. */
UvJournal *uv_journal_new(int fd, const char *name, const UvDigest *base, const UvFileId *store);
/* Goes on with a present one; a torn tail is cut off before the next record. */
UvJournal *uv_journal_continue(int fd, const char *name, const UvJournalContent *content);
void uv_journal_free(UvJournal *journal);

/*
 * Appends one record and makes it durable with one fdatasync. On failure the journal is as before:
 * what may have been written of the record is cut off, now or before the next one.
 */
bool uv_journal_append(UvJournal *journal, uint32_t kind, GBytes *payload, GError **error);
size_t uv_journal_size(const UvJournal *journal);
int uv_journal_fd(const UvJournal *journal);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvJournalContent, uv_journal_content_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvJournal, uv_journal_free)
