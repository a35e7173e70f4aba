/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the front remembers of a guest's variables: file names and contents, as opaque bytes, in the
 * order the engine enumerates them. Filled from an engine's snapshot and kept in step by its change
 * events; outlives the engine, and counts while the store's file looks the same. What listing needs
 * (sizes, attributes, times) outlives the contents, which take most of the room.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    char *name;      /* Name-guid, escaped; the GUID in lower case */
    GBytes *content; /* u32 attributes and data: what a read gives; NULL: known by its size only */
    uint32_t bytes;  /* of the content */
    uint32_t attributes;
    int64_t mtime_ns;
    uint64_t sequence; /* its place in readdir: grows, never reused while the mount lives */
} FsEntry;

/* What an entry takes beside its name and content: itself, and its places in table and array. */
#define FS_ENTRY_BYTES (sizeof(FsEntry) + 64)

typedef struct FsReplica FsReplica;

FsReplica *fs_replica_new(void);
void fs_replica_free(FsReplica *replica);
const FsEntry *fs_replica_lookup(const FsReplica *replica, const char *name);
/* The first entry with a sequence above `after` (0: the first); NULL at the end. Constant cost a
 * step. */
const FsEntry *fs_replica_next(const FsReplica *replica, uint64_t after);
size_t fs_replica_count(const FsReplica *replica);
/* Of names and contents, and what it takes to have them. */
size_t fs_replica_bytes(const FsReplica *replica);
/* An entry that is there keeps its sequence. Returns true if anything is different now. */
bool fs_replica_put(FsReplica *replica, const char *name, GBytes *content, int64_t mtime_ns);
/* The same of one whose content is not known. */
bool fs_replica_put_size(FsReplica *replica, const char *name, uint32_t bytes, uint32_t attributes,
                         int64_t mtime_ns);
void fs_replica_drop_contents(FsReplica *replica);
bool fs_replica_remove(FsReplica *replica, const char *name);
void fs_replica_clear(FsReplica *replica);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsReplica, fs_replica_free)
