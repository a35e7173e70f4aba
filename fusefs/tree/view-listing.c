/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Listing a folder of a view: its entries in an order that does not depend on which others there
 * are, so that a listing goes on where it was when some of them come and go. */

#include <string.h>
#include <sys/stat.h>

#include "digest.h"
#include "hash.h"
#include "view-away.h"
#include "view-node.h"

/* Positive, with the first one on top, for every program. */
#define OFFSET_BYTES 7

/* A place in a listing: where an entry is must not depend on the others. */
typedef struct {
    uint64_t offset; /* where a listing goes on behind it */
    char *name;
    FsViewEntry entry;
} Listed;

static void listed_clear(void *data)
{
    g_free(((Listed *)data)->name);
}

/* Never the same of two names, also where a guest chose them. */
static uint64_t offset_of(const char *name)
{
    uint64_t offset = 0;
    UvDigest digest;

    uv_digest_of(name, strlen(name), &digest);
    for (size_t i = 0; i < OFFSET_BYTES; i++)
        offset = offset << 8 | digest.bytes[i];
    return FS_FIRST_OFFSET + offset;
}

static int compare_listed(const void *a, const void *b)
{
    const Listed *left = a, *right = b;

    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

/*
 * A folder inside another one is listed while something is in it; its name is found at all times.
 * A walk over thousands of guests would spend a third of its requests on folders for what may wait
 * for a guest's next start.
 */
static void drop_empty(GArray *all, GHashTable *filled)
{
    for (guint i = all->len; i > 0; i--) {
        const Listed *listed = &g_array_index(all, Listed, i - 1);

        if (S_ISDIR(listed->entry.mode) && !g_hash_table_contains(filled, listed->name))
            g_array_remove_index_fast(all, i - 1);
    }
}

static GArray *children(const FsOp *op, const char *folder)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(Listed));
    g_autoptr(GHashTable) filled = g_hash_table_new_full(uv_hash_text, g_str_equal, g_free, NULL);
    FsViewWalk walk;
    Listed listed;
    bool deeper = false, *ret_deeper = *folder ? &deeper : NULL; /* a view's own are all listed */

    g_array_set_clear_func(all, listed_clear);
    fs_view_walk_init(&walk, op->content);
    while (fs_view_walk_next(&walk, &listed.entry)) {
        listed.name = fs_view_entry_name_in(&listed.entry, folder, ret_deeper);
        if (!listed.name)
            continue;
        if (deeper) {
            g_hash_table_add(filled, listed.name);
            continue;
        }
        listed.offset = offset_of(listed.name);
        g_array_append_val(all, listed);
    }
    if (*folder)
        drop_empty(all, filled);
    g_array_sort(all, compare_listed);
    return all;
}

/* false: there is no room for it. */
static bool list_entry(FsOp *op, const Listed *listed)
{
    struct stat attr = {.st_mode = listed->entry.mode & S_IFMT};
    g_autofree char *path = g_strndup(listed->entry.path, listed->entry.path_bytes);
    FsKeep keep = FS_KEEP_NOTHING;
    FsNode *child = NULL;

    if (fs_view_is_away(op, path))
        return true;
    attr.st_ino = fs_view_inode(op->node->guest, fs_view_of(op->node), path);
    if (fs_op_tells_all(op))
        child = fs_view_node(op->tree, op->node, listed->name);
    if (child && fs_node_is_staging(child)) {
        child = NULL;
    } else if (child) {
        child->existed = true;
        keep = fs_view_fill(op, child, &listed->entry, &attr);
    }
    return fs_op_add(op, listed->name, &attr, listed->offset, child, keep);
}

void fs_view_readdir(FsOp *op)
{
    g_autofree char *folder = fs_node_path(op->node);
    g_autoptr(GArray) all = children(op, folder);
    bool room = fs_op_begin_directory(op);

    for (guint i = 0; room && i < all->len; i++) {
        const Listed *listed = &g_array_index(all, Listed, i);
        if (listed->offset > op->offset)
            room = list_entry(op, listed);
    }
    fs_op_reply_directory(op);
}
