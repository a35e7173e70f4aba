/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The record: who changed what, a JSON object a line, beside the store (UV_FILE_RECORD, and the
 * older half in UV_FILE_RECORD_OLD).
 *
 * A change that is durable and applied is kept in memory. Of the host its line is made, and is in
 * the file, before the reply leaves; of a guest when the reply has left, and before the next
 * request is looked at. So it costs a guest next to nothing, and a killed engine loses at most the
 * last line of its guest. It is synced when the store is made complete, never on its own. A line
 * that a crash tore is cut off when the file is next opened.
 *
 * Lines have: time, host (on shared storage), door, who, variable, attributes and size and SHA-256
 * before and after, old (hex, where there was a value of at most 1 KiB), status; for refusals also
 * rule and reason, and path instead of what is about a variable where the request never came to
 * one. What the front refused itself has operation and errno, and no status. A line with
 * not-recorded stands for that many that are missing there.
 *
 * Who: for the host's and the owner's door the process that wrote to the mount, for a waiting
 * change the one that left it; for the guest's door, and for a state that its machine brought, the
 * session. An edit from outside, which is found and not told, has none; its line has file-time
 * where it was made while no engine had the store, and then before instead of what was there, if
 * that is not known.
 */

#include "digest.h"
#include "service.h"

#define UV_RECORD_DEFAULT (1024u * 1024)

/* By which way it came; the door of a request (gate.h) and what is no request. */
typedef enum {
    UV_RECORD_GUEST,
    UV_RECORD_HOST,
    UV_RECORD_OWNER,
    UV_RECORD_NEXT_BOOT,
    UV_RECORD_MIGRATION,
    UV_RECORD_OUTSIDE, /* another program changed the store's file */
    UV_RECORD_DOORS,
} UvRecordDoor;

const char *uv_record_door_name(UvRecordDoor door); /* static */

#define UV_RECORD_COMM_MAX 64u
#define UV_RECORD_SESSION_BYTES 16u

/* Who acts just now. */
typedef struct {
    UvRecordDoor door;
    const char *on_host; /* borrowed; NULL: no other host has the store */
    /* host: the process that wrote to the mount; `known` false: the front did not say */
    bool known;
    uint32_t uid, gid, pid;
    char comm[UV_RECORD_COMM_MAX + 1];
    /* guest, migration */
    const char *client;        /* borrowed */
    const uint8_t *session_id; /* UV_RECORD_SESSION_BYTES; borrowed */
    UvPhase phase;
} UvActor;

typedef struct UvRecord UvRecord;

/* `max_bytes` 0: nothing is recorded (and NULL is returned; all functions take NULL). Borrows the
 * folder. `shared`: other hosts' engines write to it, too, each while it holds the store; so lines
 * may be given only then, and the file is found anew for them. */
UvRecord *uv_record_new(UvFolder *folder, size_t max_bytes, bool shared);
void uv_record_free(UvRecord *record); /* flushes */

/* What was asked for and not done. */
typedef struct {
    const UvSetRequest *request; /* NULL: it never came to one */
    const char *path;            /* of the guest's folder, then; "vars/NAME-GUID" and so on */
    const UvVariable *before;    /* what is there; NULL: nothing, or no request */
    EfiStatus status;
    const char *rule, *reason; /* NULL: none */
    /* Refused by the front, which has errnos and no status: */
    int error;             /* 0: by the engine */
    const char *operation; /* a word */
    int64_t at_us;         /* realtime */
} UvRecordRefusal;

/* What a variable was. */
typedef struct {
    uint32_t attributes;
    uint64_t data_bytes;
    UvDigest digest; /* of the data */
    GBytes *data;    /* NULL: only its digest is known */
} UvRecordValue;

/* A change that was made while no engine had the store. */
typedef struct {
    const char *variable;        /* as vars/ lists it */
    bool is_known;               /* what was there, or that nothing was */
    const UvRecordValue *before; /* NULL: nothing was there */
    const UvVariable *after;     /* NULL: nothing is */
    int64_t file_time_us;        /* of the store's file; realtime */
} UvRecordFound;

/* A line for each variable that the change changes. */
void uv_record_change(UvRecord *record, const UvActor *actor, const UvChange *change);
void uv_record_refusal(UvRecord *record, const UvActor *actor, const UvRecordRefusal *refusal);
void uv_record_found(UvRecord *record, const UvActor *actor, const UvRecordFound *found);
/* So many lines are missing before the next one. */
void uv_record_missed(UvRecord *record, unsigned lines);
/* Into the file, if there is anything. */
void uv_record_flush(UvRecord *record);
/* Grows with each line that came into the file; 0 without a record. */
uint64_t uv_record_written_bytes(const UvRecord *record);
/* What is in the files is durable. */
void uv_record_sync(UvRecord *record);
/* Flushes and closes the files, which another engine may write to from now on; the next line opens
 * them again. */
void uv_record_let_go(UvRecord *record);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvRecord, uv_record_free)
