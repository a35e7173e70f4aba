/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A store keeps a guest's non-volatile variables. One file per format implements UvStoreOps; the
 * format is found by looking at the content. Nothing here assumes a local file: a fleet store
 * (keys, compare-and-swap, a lease as the lock, watches) fits behind the same functions.
 *
 * Life: open -> load -> (apply | tick | compact)* -> release -> (acquire -> ...)* -> close. A store
 * has a generation, a number that grows with every applied change, and from one engine to the next:
 * it begins with the file's time, in microseconds.
 */

#include "bytes.h"
#include "file-error.h"
#include "folder.h"
#include "store-lock.h"
#include "varset.h"

#define UV_STORE_ERROR uv_store_error_quark()
GQuark uv_store_error_quark(void);
typedef enum {
    UV_STORE_ERROR_PARSE, /* the content is not what it should be: file and position in the message
                           */
    UV_STORE_ERROR_READ_ONLY, /* another process has it, or it can't be written */
    UV_STORE_ERROR_NO_SPACE,  /* ENOSPC, EDQUOT, or the image is full */
    UV_STORE_ERROR_IO,        /* anything else the host said */
    UV_STORE_ERROR_CHANGED,   /* the store changed while it was released, or is another one */
} UvStoreError;

/* What identifies the content of a store's file, to be remembered. All zero: no file yet. */
typedef struct {
    uint64_t device, inode, size_bytes;
    int64_t mtime_ns, ctime_ns;
} UvStoreIdentity;

typedef struct UvStore UvStore;
typedef struct UvBlockd UvBlockd;
typedef struct UvMeta UvMeta; /* times.h */

void uv_meta_free(UvMeta *meta);

typedef struct {
    const char *format; /* "json", "flash", "qcow2", "uboot" */
    /* All variables (UvVariable) in enumeration order. Takes no lock that keeps others away. */
    bool (*load)(UvStore *store, GPtrArray **ret_variables, GError **error);
    /* Makes the non-volatile items of `change` durable. On failure the old state is intact. */
    bool (*apply)(UvStore *store, const UvChange *change, GError **error);
    /* Replaces everything by the non-volatile variables of `set`, durably. */
    bool (*replace)(UvStore *store, const UvVarset *set, GError **error);
    /* Remembers a file time (never needed for correctness). */
    void (*touch)(UvStore *store, const UvVariable *variable);
    /* Work that is due (compaction, letting go of a lock). `set` is what the store should hold. */
    bool (*tick)(UvStore *store, const UvVarset *set, GError **error);
    /* Monotonic microseconds (g_get_monotonic_time) when tick wants to be called; 0: nothing is
     * due. */
    int64_t (*due)(UvStore *store);
    /* Makes the file complete in its own format now (no journal left). */
    bool (*compact)(UvStore *store, const UvVarset *set, GError **error);
    /* Compact, then let go of every lock; acquire takes it back, UV_STORE_ERROR_CHANGED if it
     * differs. On shared storage the lock is held from acquire to release. */
    bool (*release)(UvStore *store, const UvVarset *set, GError **error);
    bool (*acquire)(UvStore *store, GError **error);
    /* Looks whether another program changed the file since the engine last read or wrote it. */
    bool (*changed)(UvStore *store);
    /* Keeps the present content as FILE.before-load. */
    bool (*keep_before_load)(UvStore *store, GError **error);
    void (*free)(UvStore *store);
} UvStoreOps;

/* The part of every store that the callers see; formats embed it as their first member. */
struct UvStore {
    const UvStoreOps *ops;
    UvFolder *folder;         /* owned */
    UvStoreLock lock;         /* between engines; held for as long as the format says */
    UvStoreIdentity identity; /* of the file, as the engine last read or wrote it */
    uint64_t generation;
    size_t capacity_bytes;  /* what the format can hold; SIZE_MAX: no limit of its own */
    char *read_only_reason; /* NULL: can be written, as far as is known */
    GPtrArray *warnings;    /* of char *, for status.json: conflicts set aside, torn tails, ... */
    /* Signers of private authenticated variables are in the variable certdb (flash images), not in
     * UvVariable.digest. */
    bool keeps_certdb;
    char *lock_holder; /* the process or host that holds it, if known; for status.json */
    /* How an engine left the store that was loaded, if its file is not as it was left; NULL: it is,
     * or that is not known. */
    UvMeta *left;
};

typedef struct {
    bool read_only; /* asked for: never written, whatever the file allows */
    /* Other programs that open the file wait until it is complete (JSON): tick must be called when
     * due. */
    bool guard;
    bool create; /* an absent file is an empty JSON store (made on the first write) */
    /* "json", "flash", "qcow2" or "uboot": as that or not at all; NULL: as its content looks */
    const char *format;
    /* For a qcow2 image: who has it (taken); NULL: started now */
    UvBlockd *blockd;
    bool unconfined; /* so is what is started for it */
    /* Others own and label the file: it is written over, never replaced, and no program that
     * opens it is kept waiting (no guard). */
    bool in_place;
    /* Other hosts have the folder, too, and this is this one (borrowed, for the store's life). */
    const UvHost *host;
} UvStoreOptions;

/* Opens it with its format, which stays what it is; takes ownership of the folder. */
UvStore *uv_store_open(UvFolder *folder /* takes ownership */, const UvStoreOptions *options,
                       GError **error);
void uv_store_close(UvStore *store);
/* Fills an identity from what fstat says. */
void uv_store_identity_from_stat(UvStoreIdentity *identity, const struct stat *st);
/* What is expected of a file whose variables are more than the largest storage holds: one that is
 * larger than `size` is served, and can shrink. */
#define UV_STORE_NOT_LARGER "no more variables than 8 MiB of storage hold"

/* Of the file that has the store's name now; an error in the terms of UV_STORE_ERROR. */
bool uv_store_stat_identity(const UvStore *store, UvStoreIdentity *ret_identity, GError **error);
bool uv_store_identity_equal(const UvStoreIdentity *a, const UvStoreIdentity *b);
/* Five u64, in the order of the fields. */
void uv_store_identity_write(const UvStoreIdentity *identity, UvWriter *writer);
UvStoreIdentity uv_store_identity_read(UvReader *reader);
/*
 * Our own lock between engines (filelock.h) on a store's lock file. UV_STORE_ERROR_READ_ONLY if
 * another engine has it for `wait_ms`; `name` is for the message.
 */
bool uv_store_take_lock(int fd, const char *name, unsigned wait_ms, GError **error);
/* Maps a UvStoreError to what SetVariable returns. */
uint64_t uv_store_error_status(const GError *error);

/* The generation grows, and is no less than this time: so it goes on where an engine before left
 * off. */
void uv_store_new_generation(UvStore *store, int64_t time_ns);

/* For the formats: the visible part made and freed, and a line for `warnings` (the same one once,
 * the oldest go beyond a limit). */
#define UV_STORE_WARNINGS_MAX 32
void uv_store_init(UvStore *store, const UvStoreOps *ops, UvFolder *folder /* takes ownership */,
                   const UvStoreOptions *options);
void uv_store_clear(UvStore *store);
void uv_store_warn(UvStore *store, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Takes back the warnings that begin so: what they said is over. */
void uv_store_unwarn(UvStore *store, const char *prefix);

/* The formats. */
UvStore *uv_store_json_open(UvFolder *folder, const UvStoreOptions *options, GError **error);
UvStore *uv_store_flash_open(UvFolder *folder, const UvStoreOptions *options, GError **error);
UvStore *uv_store_uboot_open(UvFolder *folder, const UvStoreOptions *options, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvStore, uv_store_close)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvMeta, uv_meta_free)
