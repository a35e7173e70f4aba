/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A variable as a file: four bytes of attributes, then the data.
 *
 * A node is in one of three states. It exists: the replica has an entry of its name. It is empty:
 * created, but no SetVariable was made yet (`existed` is false); such a file is dropped at its last
 * close. It is gone: deleted by whoever, no name leads here, what still has it open gets EIO.
 *
 * One write() is one SetVariable, wherever it says it goes: efivarfs ignores the offset. Only the
 * second part of a write that the kernel or a program split can be told apart (no O_APPEND, and it
 * goes on where the last one ended), and it is refused: a part of a value is never set.
 *
 * An archiver's writes are collected instead, and are one SetVariable when the file is closed.
 *
 * Attributes alone delete. Where a shell opened the file (it truncates or appends) they may be the
 * first part of a value that several programs write: what is asked of the engine then is only
 * whether it would delete. It is deleted when who opened the file closes a descriptor of it, or at
 * the last close, if nothing else was written meanwhile.
 */

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <time.h>

#include "bytes.h"
#include "hash.h"
#include "names.h"
#include "restore.h"
#include "tree-parts.h"
#include "wire.h"

#define ATTRIBUTES_BYTES 4
#define ATTRIBUTES_MASK 0x7fu

/* Attributes */

void fs_variable_fill(FsTree *tree, FsNode *node, const FsEntry *entry, struct stat *attr)
{
    if (entry) {
        node->existed = true;
        node->inode = fs_inode(node->guest, FS_SLOT_VARIABLES + entry->sequence);
    }
    fs_tree_fill(tree, node, S_IFREG | 0644, attr);
    if (tree->options->umask_set) {
        attr->st_mode = S_IFREG | (0666 & ~tree->options->umask);
    }
    attr->st_size = entry ? (off_t)g_bytes_get_size(entry->content) : 0;
    attr->st_blocks = (attr->st_size + 511) / 512;
    fs_stat_set_mtime(attr, entry ? entry->mtime_ns : tree->mtime_ns);
    node->told = entry != NULL;
    node->told_size = attr->st_size;
    node->told_mtime_ns = entry ? entry->mtime_ns : 0;
}

void fs_variable_changed(FsTree *tree, FsNode *node, const FsEntry *entry)
{
    if (entry && node->told &&
        (node->told_size != g_bytes_get_size(entry->content) ||
         node->told_mtime_ns != entry->mtime_ns)) {
        fs_tree_invalidate(tree, node);
    }
}

FsNode *fs_variable_node(FsTree *tree, FsNode *vars, const char *name)
{
    FsNode *node = fs_nodes_child(tree->nodes, vars, name);

    if (!node) {
        node = fs_nodes_add(tree->nodes, &fs_variable_class, vars, name,
                            fs_inode(vars->guest, FS_SLOT_STAGING + ++tree->staging_sequence));
        fs_nodes_join_guest(node, vars->guest, &fs_tree_guest(tree, vars->guest)->nodes);
    }
    return node;
}

static const FsEntry *entry_of(const FsNode *node)
{
    return fs_replica_lookup(fs_guest_replica(node->guest), node->name);
}

/* After waiting: is it still what the kernel takes it for? Replies if not. */
static bool still_there(FsOp *op, const FsEntry *entry)
{
    if (!entry && op->node->existed && !op->node->gone) {
        fs_tree_node_gone(op->tree, op->node, true);
    }
    if (op->node->gone) {
        fs_op_error(op, ESTALE); /* the kernel looks the name up again */
        return false;
    }
    return true;
}

static void getattr_ready(FsOp *op)
{
    const FsEntry *entry = entry_of(op->node);
    struct stat attr;

    if (still_there(op, entry)) {
        fs_variable_fill(op->tree, op->node, entry, &attr);
        fs_op_reply_attr(op, &attr, entry ? FS_TIMEOUT_LONG_S : 0);
    }
}

static void variable_getattr(FsOp *op)
{
    fs_op_need_replica(op, getattr_ready);
}

/* Sizes, modes and owners are accepted and ignored; times are kept. */
static void setattr_ready(FsOp *op)
{
    const struct timespec *time = &op->attr.st_mtim;
    int64_t mtime_ns = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;

    if (op->flags & FUSE_SET_ATTR_MTIME_NOW) {
        mtime_ns = g_get_real_time() * 1000;
    }
    if (op->flags & FUSE_SET_ATTR_MTIME && op->handle && op->handle->collected) {
        op->handle->collected->mtime_ns = mtime_ns;
        getattr_ready(op);
    } else if (entry_of(op->node) &&
               (op->flags & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))) {
        fs_op_touch(op, op->node->name, mtime_ns, variable_getattr, NULL);
    } else {
        getattr_ready(op);
    }
}

static void variable_setattr(FsOp *op)
{
    fs_op_need_replica(op, setattr_ready);
}

/* Immutable flags */

bool fs_variable_default_immutable(const FsTree *tree, const char *name)
{
    return tree->options->immutable_kernel && !fs_name_is_removable(name);
}

bool fs_variable_is_immutable(const FsTree *tree, const FsNode *node)
{
    const FsGuestTree *guest_tree = fs_guest_data(node->guest, FS_ROOM_TREE);
    gpointer flag;

    if (guest_tree && guest_tree->immutable &&
        g_hash_table_lookup_extended(guest_tree->immutable, node->name, NULL, &flag)) {
        return GPOINTER_TO_INT(flag);
    }
    return fs_variable_default_immutable(tree, node->name);
}

void fs_variable_set_immutable(FsTree *tree, FsNode *node, bool immutable)
{
    FsGuestTree *guest_tree = fs_tree_guest(tree, node->guest);

    if (immutable == fs_variable_is_immutable(tree, node)) {
        return;
    }
    if (!guest_tree->immutable) {
        guest_tree->immutable = g_hash_table_new_full(uv_hash_text, g_str_equal, g_free, NULL);
    }
    if (immutable == fs_variable_default_immutable(tree, node->name)) {
        g_hash_table_remove(guest_tree->immutable, node->name);
    } else {
        g_hash_table_insert(guest_tree->immutable, g_strdup(node->name),
                            GINT_TO_POINTER(immutable));
    }
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
 * file, and which nobody else does. */
void fs_variable_collect(const FsOp *op, FsHandle *handle)
{
    const bool made = fs_restore_is_by(op) && op->file.flags & O_EXCL;

    if (made || op->file.flags & O_NONBLOCK) {
        handle->collected = fs_collected_new(UV_HOST_CONTENT_MAX);
    }
}

static void open_ready(FsOp *op)
{
    const FsEntry *entry = entry_of(op->node);
    bool writable = (op->file.flags & O_ACCMODE) != O_RDONLY;
    FsHandle *handle;

    if (!still_there(op, entry)) {
        return;
    }
    if (writable && fs_variable_is_immutable(op->tree, op->node)) {
        fs_op_error(op, EPERM);
        return;
    }
    /* The kernel's size must be right before the program asks for it. */
    fs_variable_changed(op->tree, op->node, entry);
    if (op->file.flags & O_TRUNC) {
        op->node->told = false; /* the kernel takes it for empty now, and will ask */
    }
    handle = fs_handle_new(op->tree, op->node);
    if (writable) {
        fs_variable_collect(op, handle);
    }
    if (writable && (op->file.flags & (O_TRUNC | O_APPEND))) {
        handle->opener = fuse_req_ctx(op->req)->pid; /* as a shell does */
    }
    fs_op_reply_open(op, handle);
}

static void variable_open(FsOp *op)
{
    fs_op_need_replica(op, open_ready);
}

static void read_ready(FsOp *op)
{
    const FsEntry *entry = entry_of(op->node);

    g_clear_pointer(&op->handle->snapshot, g_bytes_unref);
    if (entry && !op->node->gone) {
        op->handle->snapshot = g_bytes_ref(entry->content);
    }
    fs_op_reply_slice(op, op->handle->snapshot);
}

/* A read from the start sees what is there now; those that go on see the rest of the same. */
static void variable_read(FsOp *op)
{
    if (op->offset > 0 && op->handle->snapshot) {
        fs_op_reply_slice(op, op->handle->snapshot);
    } else {
        fs_op_need_replica(op, read_ready);
    }
}

/* Writing */

static int refuse(FsGuest *guest, const char *reason)
{
    fs_guest_refused(guest, reason);
    return EINVAL;
}

int fs_variable_check(const FsTree *tree, FsGuest *guest, GBytes *content)
{
    gsize size;
    const void *bytes = g_bytes_get_data(content, &size);
    UvReader reader;
    uint32_t attributes;

    uv_reader_init(&reader, bytes, size);
    attributes = uv_read_u32(&reader);
    if (size > UV_HOST_CONTENT_MAX) {
        return refuse(guest, "more than 65536 bytes behind the attributes");
    }
    if (reader.failed) {
        return refuse(guest, "shorter than the four bytes of attributes");
    }
    if (attributes & ~ATTRIBUTES_MASK) {
        return refuse(guest, "an unknown attribute");
    }
    if (tree->options->guest_view && size > ATTRIBUTES_BYTES &&
        !(attributes & EFI_VARIABLE_RUNTIME_ACCESS)) {
        return refuse(guest, "not a variable that the guest's OS could write");
    }
    return 0;
}

static void write_seen(FsOp *op)
{
    if (!op->node->gone && !entry_of(op->node)) {
        fs_tree_node_gone(op->tree, op->node, true);
    }
    if (op->node->gone) { /* the write deleted it */
        fs_op_need_forgotten(op, fs_op_reply_written);
        return;
    }
    op->node->existed = true;
    op->node->told = false; /* the kernel asks again after a write */
    fs_op_reply_written(op);
}

static void write_done(FsOp *op)
{
    fs_op_need_replica(op, write_seen);
}

/* There was nothing to delete: efivarfs says EIO. */
static void write_failed(FsOp *op)
{
    fs_op_error(op, op->error == ENOENT ? EIO : op->error);
}

/* Whether these are attributes alone that delete what is there, from a shell. */
static bool deletes_later(const FsOp *op)
{
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(op->content, &size);

    return op->handle->opener && size == ATTRIBUTES_BYTES &&
           !(bytes[0] & EFI_VARIABLE_APPEND_WRITE) && entry_of(op->node);
}

static void write_asked(FsOp *op)
{
    op->handle->deletion = g_bytes_ref(op->content);
    fs_op_reply_written(op);
}

static void closed(FsOp *op)
{
    fs_op_error(op, 0);
}

static void flushed(FsOp *op)
{
    if (!op->node->gone && !entry_of(op->node)) {
        fs_tree_node_gone(op->tree, op->node, true);
    }
    fs_op_need_forgotten(op, closed);
}

static void flush_done(FsOp *op)
{
    fs_op_need_replica(op, flushed);
}

static void flush_failed(FsOp *op)
{
    fs_op_error(op, op->error == ENOENT ? 0 : op->error);
}

/* What was collected: the whole content is here now. */

static void restored(FsOp *op)
{
    op->node->existed = entry_of(op->node) != NULL;
    op->node->told = false;
    fs_op_error(op, 0);
}

static void restore_set(FsOp *op)
{
    fs_op_need_replica(op, restored);
}

static void restore_refused(FsOp *op)
{
    fs_op_error(op, fs_restore_forgives(op, op->content) ? 0 : op->error);
}

static void flush_restored(FsOp *op)
{
    op->content = fs_collected_take(op->handle->collected);
    if (!op->content || op->node->gone) {
        fs_op_error(op, op->node->gone && op->content ? EIO : 0);
        return;
    }
    op->error = fs_variable_check(op->tree, op->node->guest, op->content);
    if (op->error) {
        restore_refused(op);
    } else {
        fs_op_set(op, op->node->name, op->content, 0, op->handle->collected->mtime_ns, restore_set,
                  restore_refused);
    }
}

/* Programs that a shell started close what they were given, too: they are not who opened it. */
static void variable_flush(FsOp *op)
{
    FsHandle *handle = op->handle;

    if (handle->collected) {
        flush_restored(op);
        return;
    }
    if (!handle->deletion || op->node->gone || fuse_req_ctx(op->req)->pid != handle->opener) {
        fs_op_error(op, 0);
        return;
    }
    op->content = g_steal_pointer(&handle->deletion);
    fs_op_set(op, op->node->name, op->content, 0, 0, flush_done, flush_failed);
}

static void write_collected(FsOp *op)
{
    int error = fs_collected_write(op->handle->collected, op->content, op->offset);

    if (error) {
        fs_op_error(op, error);
    } else {
        fs_op_reply_written(op);
    }
}

static void variable_write(FsOp *op)
{
    FsHandle *handle = op->handle;
    bool goes_on =
        op->offset > 0 && (off_t)op->offset == handle->write_end && !(op->file.flags & O_APPEND);
    int error;

    if (handle->collected) {
        write_collected(op);
        return;
    }
    error = goes_on ? EFBIG : fs_variable_check(op->tree, op->node->guest, op->content);

    if (op->node->gone) {
        error = EIO;
    }
    handle->write_end = op->offset + op->size;
    g_clear_pointer(&handle->deletion, g_bytes_unref); /* something follows */
    if (error) {
        fs_op_error(op, error);
        return;
    }
    g_clear_pointer(&handle->snapshot, g_bytes_unref);
    if (deletes_later(op)) {
        fs_op_set(op, op->node->name, op->content, UV_HOST_SET_ASK, 0, write_asked, write_failed);
    } else {
        fs_op_set(op, op->node->name, op->content, 0, 0, write_done, write_failed);
    }
}

static void deleted_at_last(FsGuest *guest, int error, void *data)
{
    if (guest && error) {
        g_warning("guest %s: a variable was not deleted: %s", fs_guest_name(guest),
                  g_strerror(error));
    }
}

static void variable_release(FsTree *tree, FsHandle *handle)
{
    FsNode *node = handle->node;

    if (handle->deletion && !node->gone) {
        fs_guest_set(node->guest, NULL, node->name, handle->deletion, 0, 0, deleted_at_last, NULL);
    }
    if (node->opens == 1 && !node->existed && !node->gone) {
        fs_tree_node_gone(tree, node, false);
    }
}

const FsNodeClass fs_variable_class = {
    .type = S_IFREG,
    .getattr = variable_getattr,
    .setattr = variable_setattr,
    .open = variable_open,
    .read = variable_read,
    .write = variable_write,
    .flush = variable_flush,
    .release = variable_release,
    .flags = variable_flags,
    .statfs = fs_vars_statfs,
};
