/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A hash table by name for lookups and an array in the order of sequences for readdir. Sequences
 * only grow, so the array is appended to and stays sorted; the place of the last step is kept as a
 * hint, and a step from there costs nothing but a comparison.
 */

#include "replica.h"

#include "hash.h"

#include <string.h>

struct FsReplica {
    GHashTable *by_name; /* FsEntry.name, borrowed -> FsEntry, borrowed */
    GPtrArray *order;    /* FsEntry, owned, by sequence */
    uint64_t last_sequence;
    size_t bytes;
    guint hint;
};

static void entry_free(FsEntry *entry)
{
    g_free(entry->name);
    g_clear_pointer(&entry->content, g_bytes_unref);
    g_free(entry);
}

FsReplica *fs_replica_new(void)
{
    FsReplica *replica = g_new0(FsReplica, 1);
    replica->by_name = g_hash_table_new(uv_hash_text, g_str_equal);
    replica->order = g_ptr_array_new_with_free_func((GDestroyNotify)entry_free);
    return replica;
}

void fs_replica_free(FsReplica *replica)
{
    if (!replica)
        return;
    g_hash_table_unref(replica->by_name);
    g_ptr_array_unref(replica->order);
    g_free(replica);
}

const FsEntry *fs_replica_lookup(const FsReplica *replica, const char *name)
{
    return g_hash_table_lookup(replica->by_name, name);
}

static uint64_t sequence_at(const FsReplica *replica, guint i)
{
    return ((const FsEntry *)g_ptr_array_index(replica->order, i))->sequence;
}

/* The index of the first entry with a sequence above `after`; the array's length if there is none.
 */
static guint index_after(const FsReplica *replica, uint64_t after)
{
    guint low = 0, high = replica->order->len;
    guint hint = replica->hint;

    if (hint < high && sequence_at(replica, hint) > after &&
        (hint == 0 || sequence_at(replica, hint - 1) <= after))
        return hint;
    while (low < high) {
        guint middle = low + (high - low) / 2;
        if (sequence_at(replica, middle) > after)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

const FsEntry *fs_replica_next(const FsReplica *replica, uint64_t after)
{
    guint i = index_after(replica, after);
    if (i == replica->order->len)
        return NULL;
    ((FsReplica *)replica)->hint = i + 1;
    return g_ptr_array_index(replica->order, i);
}

size_t fs_replica_count(const FsReplica *replica)
{
    return replica->order->len;
}

size_t fs_replica_bytes(const FsReplica *replica)
{
    return replica->bytes;
}

static size_t entry_bytes(const FsEntry *entry)
{
    return FS_ENTRY_BYTES + strlen(entry->name) +
           (entry->content ? g_bytes_get_size(entry->content) : 0);
}

static FsEntry *entry_of(FsReplica *replica, const char *name)
{
    FsEntry *entry = g_hash_table_lookup(replica->by_name, name);

    if (entry)
        return entry;
    entry = g_new0(FsEntry, 1);
    entry->name = g_strdup(name);
    entry->sequence = ++replica->last_sequence;
    replica->bytes += entry_bytes(entry);
    g_hash_table_insert(replica->by_name, entry->name, entry);
    g_ptr_array_add(replica->order, entry);
    return entry;
}

static uint32_t attributes_of(GBytes *content)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(content, &size);
    uint32_t value = 0;

    if (size >= sizeof(value))
        memcpy(&value, bytes, sizeof(value));
    return GUINT32_FROM_LE(value);
}

static bool put(FsReplica *replica, const char *name, const FsEntry *as)
{
    bool known = g_hash_table_contains(replica->by_name, name);
    FsEntry *entry = entry_of(replica, name);
    bool same = known && entry->bytes == as->bytes && entry->attributes == as->attributes &&
                entry->mtime_ns == as->mtime_ns &&
                (!entry->content || !as->content || g_bytes_equal(entry->content, as->content));

    replica->bytes -= entry_bytes(entry);
    g_clear_pointer(&entry->content, g_bytes_unref);
    entry->content = as->content ? g_bytes_ref(as->content) : NULL;
    entry->bytes = as->bytes;
    entry->attributes = as->attributes;
    entry->mtime_ns = as->mtime_ns;
    replica->bytes += entry_bytes(entry);
    return !same;
}

bool fs_replica_put(FsReplica *replica, const char *name, GBytes *content, int64_t mtime_ns)
{
    const FsEntry as = {.content = content,
                        .bytes = (uint32_t)g_bytes_get_size(content),
                        .attributes = attributes_of(content),
                        .mtime_ns = mtime_ns};

    return put(replica, name, &as);
}

bool fs_replica_put_size(FsReplica *replica, const char *name, uint32_t bytes, uint32_t attributes,
                         int64_t mtime_ns)
{
    const FsEntry as = {.bytes = bytes, .attributes = attributes, .mtime_ns = mtime_ns};

    return put(replica, name, &as);
}

void fs_replica_drop_contents(FsReplica *replica)
{
    for (guint i = 0; i < replica->order->len; i++) {
        FsEntry *entry = g_ptr_array_index(replica->order, i);

        replica->bytes -= entry_bytes(entry);
        g_clear_pointer(&entry->content, g_bytes_unref);
        replica->bytes += entry_bytes(entry);
    }
}

bool fs_replica_remove(FsReplica *replica, const char *name)
{
    FsEntry *entry = g_hash_table_lookup(replica->by_name, name);
    if (!entry)
        return false;
    replica->bytes -= entry_bytes(entry);
    g_hash_table_remove(replica->by_name, name);
    g_ptr_array_remove_index(replica->order, index_after(replica, entry->sequence - 1));
    return true;
}

void fs_replica_clear(FsReplica *replica)
{
    g_hash_table_remove_all(replica->by_name);
    g_ptr_array_set_size(replica->order, 0);
    replica->bytes = 0;
}
