/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "view-away.h"

#include <string.h>

#include "hash.h"
#include "view-node.h"

#define FILES_MAX 4096
#define AWAY_US (10 * G_USEC_PER_SEC)

static gboolean is_over(void *path, void *since, void *data)
{
    return g_get_monotonic_time() - *(int64_t *)since > AWAY_US;
}

/* Those of the guest that are away now; NULL: none. */
static GHashTable *current(const FsOp *op)
{
    FsGuestTree *guest_tree = fs_tree_guest(op->tree, op->node->guest);

    if (guest_tree->away)
        g_hash_table_foreach_remove(guest_tree->away, is_over, NULL);
    if (guest_tree->away && g_hash_table_size(guest_tree->away) == 0)
        g_clear_pointer(&guest_tree->away, g_hash_table_unref);
    return guest_tree->away;
}

static char *key_of(const FsOp *op, const char *path)
{
    return g_strconcat(fs_view_name(fs_view_of(op->node)), "/", path, NULL);
}

bool fs_view_take_away(const FsOp *op, const char *path)
{
    FsGuestTree *guest_tree = fs_tree_guest(op->tree, op->node->guest);
    const int64_t now = g_get_monotonic_time();

    if (!current(op))
        guest_tree->away = g_hash_table_new_full(uv_hash_text, g_str_equal, g_free, g_free);
    if (g_hash_table_size(guest_tree->away) >= FILES_MAX)
        return false;
    g_hash_table_insert(guest_tree->away, key_of(op, path), g_memdup2(&now, sizeof(now)));
    return true;
}

bool fs_view_is_away(const FsOp *op, const char *path)
{
    GHashTable *away = current(op);
    g_autofree char *key = away ? key_of(op, path) : NULL;

    return away && g_hash_table_contains(away, key);
}

static gboolean is_at_or_below(void *key, void *since, void *data)
{
    const size_t bytes = strlen(data);

    return strncmp(key, data, bytes) == 0 &&
           (((char *)key)[bytes] == '\0' || ((char *)key)[bytes] == '/');
}

void fs_view_bring_back(const FsOp *op, const char *path)
{
    GHashTable *away = current(op);
    g_autofree char *key = away ? key_of(op, path) : NULL;

    if (away)
        g_hash_table_foreach_remove(away, is_at_or_below, key);
}
