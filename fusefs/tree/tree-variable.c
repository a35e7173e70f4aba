/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A variable as a file: four bytes of attributes, then the data.
 *
 * A node is in one of three states. It exists: the replica has an entry of its name. It is empty:
 * created, but no SetVariable was made yet (`existed` is false); such a file is dropped at its last
 * close. It is gone: the guest or the host deleted it, no name leads here, what still has it open
 * gets EIO.
 *
 * How it is written to is in variable-write.c.
 */

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <time.h>

#include "hash.h"
#include "names.h"
#include "restore.h"
#include "variable-private.h"
#include "wire.h"

/* Attributes */

void fs_variable_fill(FsTree *tree, FsNode *node, const FsEntry *entry, struct stat *attr)
{
    if (entry) {
        node->existed = true;
        node->inode = fs_inode(node->guest, FS_SLOT_VARIABLES + entry->sequence);
    }
    fs_tree_fill(tree, node, S_IFREG | 0666, attr);
    attr->st_size = entry ? (off_t)entry->bytes : 0;
    attr->st_blocks = (attr->st_size + 511) / 512;
    fs_stat_set_mtime(attr, entry ? entry->mtime_ns : tree->mtime_ns);
    node->told = entry != NULL;
    node->told_size = attr->st_size;
    node->told_mtime_ns = entry ? entry->mtime_ns : 0;
}

void fs_variable_changed(FsTree *tree, FsNode *node, const FsEntry *entry)
{
    if (entry && node->told &&
        (node->told_size != entry->bytes || node->told_mtime_ns != entry->mtime_ns))
        fs_tree_invalidate(tree, node);
}

FsNode *fs_variable_node(FsTree *tree, FsNode *vars, const char *name)
{
    FsNode *node = fs_nodes_child(tree->nodes, vars, name);

    if (!node)
        node = fs_nodes_add(tree->nodes, &fs_variable_class, vars, name,
                            fs_inode(vars->guest, FS_SLOT_STAGING + ++tree->staging_sequence));
    return node;
}

const FsEntry *fs_variable_entry(const FsNode *node)
{
    return fs_replica_lookup(fs_guest_replica(node->guest), node->name);
}

/* After waiting: is it still what the kernel takes it for? Replies if not. */
static bool still_there(FsOp *op, const FsEntry *entry)
{
    if (!entry && op->node->existed && !op->node->gone)
        fs_tree_node_gone(op->tree, op->node, true);
    if (op->node->gone) {
        fs_op_error(op, ESTALE); /* the kernel looks the name up again */
        return false;
    }
    return true;
}

static void variable_getattr(FsOp *op)
{
    const FsEntry *entry = fs_variable_entry(op->node);
    struct stat attr;

    if (still_there(op, entry)) {
        fs_variable_fill(op->tree, op->node, entry, &attr);
        fs_op_reply_attr(op, &attr, entry ? FS_KEEP_ALL : FS_KEEP_NOTHING);
    }
}

/* Sizes, modes and owners are accepted and ignored; times are kept. */
static void variable_setattr(FsOp *op)
{
    int64_t mtime_ns = fs_stat_mtime_ns(&op->attr);

    if (op->flags & FUSE_SET_ATTR_MTIME_NOW)
        mtime_ns = g_get_real_time() * 1000;
    if (op->flags & FUSE_SET_ATTR_MTIME && op->handle && op->handle->collected) {
        op->handle->collected->mtime_ns = mtime_ns;
        variable_getattr(op);
    } else if (fs_variable_entry(op->node) &&
               (op->flags & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))) {
        fs_op_touch(op, op->node->name, mtime_ns, fs_op_getattr, NULL);
    } else {
        variable_getattr(op);
    }
}

/* Immutable flags */

const char fs_variable_immutable[] = "it is immutable (chattr -i)";

bool fs_variable_default_immutable(const FsTree *tree, const char *name)
{
    return tree->options->immutable_kernel && !fs_name_is_removable(name);
}

bool fs_variable_is_immutable(const FsTree *tree, const FsNode *node)
{
    const FsGuestTree *guest_tree = fs_guest_data(node->guest, FS_ROOM_TREE);
    gpointer flag;

    if (guest_tree && guest_tree->immutable &&
        g_hash_table_lookup_extended(guest_tree->immutable, node->name, NULL, &flag))
        return GPOINTER_TO_INT(flag);
    return fs_variable_default_immutable(tree, node->name);
}

void fs_variable_set_immutable(FsTree *tree, FsNode *node, bool immutable)
{
    FsGuestTree *guest_tree = fs_tree_guest(tree, node->guest);

    if (immutable == fs_variable_is_immutable(tree, node))
        return;
    if (!guest_tree->immutable)
        guest_tree->immutable = g_hash_table_new_full(uv_hash_text, g_str_equal, g_free, NULL);
    if (immutable == fs_variable_default_immutable(tree, node->name))
        g_hash_table_remove(guest_tree->immutable, node->name);
    else
        g_hash_table_insert(guest_tree->immutable, g_strdup(node->name),
                            GINT_TO_POINTER(immutable));
}

static void variable_flags(FsOp *op)
{
    if (!fs_op_sets_flags(op)) {
        bool immutable = fs_variable_is_immutable(op->tree, op->node);
        fs_op_reply_flags(op, immutable ? FS_IMMUTABLE_FL : 0);
    } else if (op->flags & ~(uint32_t)FS_IMMUTABLE_FL) {
        fs_op_error(op, EOPNOTSUPP);
    } else {
        /* Who may do this was checked by the kernel. */
        fs_variable_set_immutable(op->tree, op->node, op->flags & FS_IMMUTABLE_FL);
        fs_op_reply_flags(op, op->flags);
    }
}

/* Opening and reading */

/* tar writes as its records happen to end. It opens with O_NONBLOCK, which means nothing for a
 * file, and which no other program does. */
void fs_variable_collect(const FsOp *op, FsHandle *handle)
{
    const bool made = fs_restore_is_by(op) && op->file.flags & O_EXCL;

    if (made || op->file.flags & O_NONBLOCK)
        handle->collected = fs_collected_new(UV_HOST_CONTENT_MAX);
}

static void variable_open(FsOp *op)
{
    const FsEntry *entry = fs_variable_entry(op->node);
    bool writable = (op->file.flags & O_ACCMODE) != O_RDONLY;
    FsHandle *handle;

    if (!still_there(op, entry))
        return;
    if (writable && fs_variable_is_immutable(op->tree, op->node)) {
        fs_op_refuse(op, EPERM, fs_variable_immutable);
        return;
    }
    /* The kernel's size must be right before the program asks for it. */
    fs_variable_changed(op->tree, op->node, entry);
    if (op->file.flags & O_TRUNC) {
        op->node->told = false; /* the kernel takes it for empty now, and will ask */
    }
    handle = fs_handle_new(op->tree, op->node);
    if (writable)
        fs_variable_collect(op, handle);
    if (writable && (op->file.flags & (O_TRUNC | O_APPEND))) {
        handle->opener = fuse_req_ctx(op->req)->pid; /* as a shell does */
    }
    fs_op_reply_open(op, handle);
}

static void read_ready(FsOp *op)
{
    const FsEntry *entry = fs_variable_entry(op->node);

    g_clear_pointer(&op->handle->snapshot, g_bytes_unref);
    if (entry && !op->node->gone)
        op->handle->snapshot = g_bytes_ref(entry->content);
    fs_op_reply_slice(op, op->handle->snapshot);
}

/* A read from the start sees what is there now; those that go on see the rest of the same. */
static void variable_read(FsOp *op)
{
    if (op->offset > 0 && op->handle->snapshot)
        fs_op_reply_slice(op, op->handle->snapshot);
    else
        fs_op_need_replica(op, read_ready);
}

const FsNodeClass fs_variable_class = {
    .type = S_IFREG,
    .first = {.getattr = fs_op_need_names,
              .setattr = fs_op_need_replica,
              .open = fs_op_need_replica},
    .getattr = variable_getattr,
    .setattr = variable_setattr,
    .open = variable_open,
    .read = variable_read,
    .write = fs_variable_write,
    .flush = fs_variable_flush,
    .release = fs_variable_release,
    .flags = variable_flags,
    .statfs = fs_vars_statfs,
};
