/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * FILE.meta: how an engine left a store. Of each variable it has the time, which the store's own
 * format has no room for, and what tells later whether another program changed it meanwhile. Never
 * needed for correctness: a time counts only for exactly the content it was written for, and a file
 * that can't be read counts as none. It is written aside and renamed, without a sync.
 *
 *   magic "uvmeta\0\2" | the store's file: u64 inode, u64 size, i64 mtime, i64 ctime |
 *   i64 microseconds when it was left | variables | check
 *
 * a variable: GUID | u32 name size | name (UTF-16LE, no NUL) | u32 attributes | EFI_TIME |
 *   i64 mtime ns | u32 data size | SHA-256 of the data | the data, of at most UV_LEFT_DATA_MAX
 * bytes
 */

#include "digest.h"
#include "store.h"

/* A larger value is known by its hash alone. */
#define UV_LEFT_DATA_MAX 1024u

/* A variable as it was. */
typedef struct {
    UvGuid guid;
    UvName *name;
    uint32_t attributes;
    uint8_t time[16];
    int64_t mtime_ns; /* 0: not known */
    uint32_t data_bytes;
    UvDigest digest; /* of the data */
    GBytes *data;    /* NULL: only its digest is known */
} UvLeft;

struct UvMeta {
    UvStoreIdentity file;  /* without its device, which is another after a mount */
    int64_t at_us;         /* realtime */
    GHashTable *variables; /* UvLeft, by GUID and name; owns them */
};

/* From the file's bytes between magic and check. NULL: it can't be one. */
UvMeta *uv_meta_parse(const void *bytes, size_t size);
/*
 * After loading: `variables` (UvVariable) get their times, where the file knows one and the
 * variable has none yet, else the store's. Entries of the array are replaced. `goes_on`: an
 * engine's journal names the store's file as it is; store->left is set if nothing says that no
 * other program wrote it.
 */
void uv_meta_load(UvStore *store, GPtrArray *variables, bool goes_on);
/* The non-volatile variables of `set`, which the store's file has. */
bool uv_meta_save(UvStore *store, const UvVarset *set, GError **error);
