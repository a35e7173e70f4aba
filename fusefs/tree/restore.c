/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "restore.h"

#include <errno.h>

#include "efi-abi.h"
#include "hash.h"

#define NAMES_MAX 65536
#define TOPIC "restore"

struct FsRestore {
    pid_t thread;
    bool whole;        /* it has made the guest: what is not in `names` is still to be made */
    GHashTable *names; /* "inode of the folder/name": made; or, if not whole, taken away */
    unsigned refused;  /* variables that nothing has brought yet */
    bool whole_store_came;
};

void fs_restore_free(FsRestore *restore)
{
    g_hash_table_unref(restore->names);
    g_free(restore);
}

static FsRestore *begin(FsOp *op, FsGuest *guest, bool whole)
{
    FsGuestTree *guest_tree = fs_tree_guest(op->tree, guest);
    FsRestore *restore = guest_tree->restore;
    pid_t thread = fuse_req_ctx(op->req)->pid;

    if (restore && restore->thread == thread && !whole)
        return restore;
    g_clear_pointer(&guest_tree->restore, fs_restore_free);
    restore = guest_tree->restore = g_new0(FsRestore, 1);
    restore->thread = thread;
    restore->whole = whole;
    restore->names = g_hash_table_new_full(uv_hash_text, g_str_equal, g_free, NULL);
    return restore;
}

void fs_restore_begin(FsOp *op, FsGuest *guest)
{
    begin(op, guest, true);
}

static char *key_of(const FsOp *op)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT "/%s", op->node->inode, op->name);
}

static void set_there(FsRestore *restore, const FsOp *op, bool there)
{
    g_autofree char *key = key_of(op);

    if (there != restore->whole)
        g_hash_table_remove(restore->names, key);
    else if (g_hash_table_size(restore->names) < NAMES_MAX)
        g_hash_table_add(restore->names, g_steal_pointer(&key));
}

void fs_restore_took_away(FsOp *op)
{
    set_there(begin(op, op->node->guest, false), op, false);
}

static FsRestore *restore_of(FsGuest *guest)
{
    FsGuestTree *guest_tree = guest ? fs_guest_data(guest, FS_ROOM_TREE) : NULL;

    return guest_tree ? guest_tree->restore : NULL;
}

/* That of who asks, or NULL. */
static FsRestore *own_restore(const FsOp *op)
{
    FsRestore *restore = restore_of(op->node->guest);

    return restore && restore->thread == fuse_req_ctx(op->req)->pid ? restore : NULL;
}

bool fs_restore_took(const FsOp *op)
{
    const FsRestore *restore = own_restore(op);
    g_autofree char *key = restore ? key_of(op) : NULL;

    return restore && !restore->whole && g_hash_table_contains(restore->names, key);
}

bool fs_restore_is_by(const FsOp *op)
{
    const FsRestore *restore = own_restore(op);

    return restore && restore->whole;
}

static void not_there_yet(FsOp *op)
{
    fs_op_error(op, ENOENT);
}

void fs_restore_lookup(FsOp *op, FsStep there)
{
    FsRestore *restore = own_restore(op);
    g_autofree char *key = restore ? key_of(op) : NULL;

    if (!restore || g_hash_table_contains(restore->names, key) == restore->whole)
        there(op);
    else
        fs_op_ask_caller(op, not_there_yet, there);
}

void fs_restore_made(FsOp *op)
{
    FsRestore *restore = own_restore(op);

    if (restore)
        set_there(restore, op, true);
}

bool fs_restore_forgives(FsOp *op, GBytes *content)
{
    FsGuest *guest = op->node->guest;
    FsRestore *restore = own_restore(op);
    const char *reason = fs_op_reason(op);
    const uint8_t *bytes = g_bytes_get_data(content, NULL);
    g_autofree char *text = NULL;

    if (!fs_restore_is_by(op))
        return false;
    if (g_bytes_get_size(content) >= 4 && !(bytes[0] & EFI_VARIABLE_NON_VOLATILE)) {
        return true; /* it was its engine's or a running guest's: no store has it */
    }
    if (restore->whole_store_came)
        return false;
    restore->refused++;
    text =
        g_strdup_printf("%u of the variables that were restored were refused, and come with "
                        "store.json or store.img only; the last one: %s: %s",
                        restore->refused, op->node->name, reason ? reason : g_strerror(op->error));
    fs_guest_set_warning(guest, TOPIC, text);
    return true;
}

void fs_restore_store_came(FsGuest *guest)
{
    FsRestore *restore = restore_of(guest);

    if (restore) {
        restore->whole_store_came = true;
        fs_guest_set_warning(guest, TOPIC, NULL);
    }
}
