/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The JSON store, in six files: store-json.c (its functions, and when what is due),
 * store-json-load.c (what file and journal together say), store-json-conflict.c (a journal that is
 * not the file's), store-json-write.c (whether the engine may write, and to what),
 * store-json-compact.c (the journal goes into the file), store-json-guard.c (other programs find a
 * complete file).
 *
 * Theory of operation. The content is the file's text, then the journal's records. A journal names
 * the text it belongs to by digest (its base); COMPACT and IMAGE records name texts that the file
 * may have become since. On opening, the latest one that is the file's present text says which
 * records are still to be done: all (the base), or those behind it. If none is, another program
 * wrote the file: the journal is set aside, never applied, never deleted. So it is if the file is
 * none of those that the journal names (where it was itself neither copied nor restored): the
 * administrator made a new store in the place of the old one. The one other thing a text can be is
 * an unfinished writing in place of the last IMAGE, and of those before it whose sync failed, and
 * then the last image is the content.
 *
 * A reader takes no lock: it reads file, journal, and looks whether the file is still the same. The
 * lock is taken for the first write and held until release or close; only its holder touches
 * journal and file.
 *
 * Invariants: every acknowledged change is in the file or in a journal that will be replayed on it;
 * without a journal the file is complete; `digest` is that of the file's text as the engine last
 * read or wrote it.
 */

#include "digest.h"
#include "journal.h"
#include "store.h"

/* The journal goes into the file this long after the last change, and at once beyond this size. */
#define UV_JSON_COMPACT_US (2 * G_USEC_PER_SEC)
#define UV_JSON_JOURNAL_BYTES (1024u * 1024)
/* Failed compactions are tried again after 2, 4, ... seconds, at most a minute. */
#define UV_JSON_BACKOFF_MAX_US (60 * G_USEC_PER_SEC)
/* How often a store that another process holds is looked at. */
#define UV_JSON_PROBE_US G_USEC_PER_SEC
/* How long a program that opens a guarded file waits, at most, until the engine notices. */
#define UV_JSON_GUARD_US (G_USEC_PER_SEC / 20)
/* Less than the kernel's fs.lease-break-time. */
#define UV_JSON_GUARD_LOST_US (20 * G_USEC_PER_SEC)

/* How the warning begins that a compaction takes back. */
#define UV_JSON_BEHIND "changes are in the journal only so far: "

typedef struct {
    UvStore store;
    bool never_write;   /* asked for */
    bool loaded;        /* it could be parsed: else nothing may be written */
    bool guards;        /* asked for: see store-json-guard.c */
    bool in_place;      /* asked for: never by renaming */
    bool leased;        /* `fd` is open for writing too, and holds a lease */
    int fd;             /* the file, for reading only: so that a probe sees writers; -1: absent */
    bool waited;        /* a predecessor was given its time to end */
    bool shared;        /* the last probe found another program, and had given it time */
    UvDigest digest;    /* of the text that `store.identity` has */
    UvJournal *journal; /* open to append to; NULL: none, or the lock is not held */
    bool journal_done;  /* nothing in it is missing in the file */
    bool publish_again; /* the last renaming happened, but may not be durable */
    struct {            /* the journal that was there when loading */
        bool present;
        bool fits;      /* was replayed: else it belongs to another file, or to an older text */
        bool goes_on;   /* ... and names the very text that the file has */
        bool done;      /* added nothing to the file */
        bool overtaken; /* another engine had the lock in between: read again */
        uint64_t device, inode, size_bytes;
        int64_t mtime_ns;
    } seen;
    int64_t compact_due_us, meta_due_us, probe_due_us, guard_due_us; /* 0: not */
    int64_t guard_seen_us;  /* when the lease was last known to be whole */
    int64_t guard_retry_us; /* not before: another process has the file open */
    int64_t backoff_us;
} JsonStore;

/* load.c: what is there now. Variables in order; sets what the store remembers of it. */
bool uv_json_store_load(JsonStore *json, GPtrArray **ret_variables, GError **error);
bool uv_json_store_changed(JsonStore *json);
/* The same when the lock was not held until a moment ago. */
bool uv_json_store_changed_by_others(JsonStore *json);
/* Digest and identity of what `json->fd` is now. */
bool uv_json_store_look(JsonStore *json, GError **error);
/* The file that the role names is still the one with this identity. */
bool uv_json_store_same_now(JsonStore *json, UvFileRole role, const UvStoreIdentity *identity);

/* conflict.c */
/* The journal does not belong to the file: out of the way with it, if the lock can be had, and file
 * and journal are still those that were read. */
void uv_json_store_set_aside(JsonStore *json, const char *why);

/* write.c */
/* Lock, an unchanged file that no other process has open, and the journal (json->journal) if
 * `create` or if there is one. */
bool uv_json_store_begin(JsonStore *json, bool create_journal, GError **error);
/* No other process has the file open; else the store is read-only from now on. */
bool uv_json_store_probe(JsonStore *json, GError **error);
/* The lock, if it was held, is so still, and the file is what was last read or written, as far as
 * its descriptor tells. Asked before each write. */
bool uv_json_store_unchanged(JsonStore *json, GError **error);
void uv_json_store_set_read_only(JsonStore *json, const char *reason);
void uv_json_store_forget_journal(JsonStore *json);
/* Lets go of lock, journal and file. */
void uv_json_store_let_go(JsonStore *json);

/* guard.c */
/* After a change was journaled; does nothing if it can't. */
void uv_json_store_raise_guard(JsonStore *json);
/* Before the engine itself opens the file, and when the file is complete. */
void uv_json_store_lower_guard(JsonStore *json);
/* Another program waits to open the file. */
bool uv_json_store_is_wanted(JsonStore *json);
/* The engine did not look for so long that the kernel may have let the other program in. */
bool uv_json_store_guard_fell(JsonStore *json);

/* compact.c */
bool uv_json_store_compact(JsonStore *json, const UvVarset *set, GError **error);
