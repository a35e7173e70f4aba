/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "op.h"
#include "virtual.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#define DIRECTORY_BYTES_MAX (64 * 1024)

/* What is reused: of one tree. */
struct FsOpPool {
    FsOp *ops;
    FsHandle *handles;
    uint64_t last_serial;
    char *directory; /* one is filled at a time, within one step */
    size_t directory_used;
};

FsOpPool *fs_op_pool_new(void)
{
    FsOpPool *pool = g_new0(FsOpPool, 1);

    pool->directory = g_malloc(DIRECTORY_BYTES_MAX);
    return pool;
}

void fs_op_pool_free(FsOpPool *pool)
{
    for (FsOp *op = pool->ops, *next; op; op = next) {
        next = op->next_free;
        g_free(op);
    }
    for (FsHandle *handle = pool->handles, *next; handle; handle = next) {
        next = handle->next_free;
        g_free(handle);
    }
    g_free(pool->directory);
    g_free(pool);
}

FsOp *fs_op_new(FsTree *tree, fuse_req_t req, FsNode *node)
{
    FsOp *op = tree->pool->ops;

    if (op) {
        tree->pool->ops = op->next_free;
    } else {
        op = g_new(FsOp, 1);
    }
    /* Not the names and attributes: who reads them has set them. */
    op->tree = tree;
    op->req = req;
    op->node = node;
    op->handle = NULL;
    op->child = NULL;
    op->content = NULL;
    op->offset = 0;
    op->size = 0;
    op->flags = 0;
    op->error = 0;
    op->plus = false;
    op->waiting = false;
    op->as_entry = false;
    op->looked_again = false;
    op->or_else = NULL;
    op->serial = ++tree->pool->last_serial;
    fs_node_hold(node);
    return op;
}

static void op_end(FsOp *op)
{
    g_clear_pointer(&op->content, g_bytes_unref);
    if (op->child) {
        fs_nodes_drop(op->tree->nodes, op->child);
    }
    fs_nodes_drop(op->tree->nodes, op->node);
    op->serial = 0;
    op->next_free = op->tree->pool->ops;
    op->tree->pool->ops = op;
}

FsHandle *fs_handle_new(FsTree *tree, FsNode *node)
{
    FsHandle *handle = tree->pool->handles;

    if (handle) {
        tree->pool->handles = handle->next_free;
    } else {
        handle = g_new(FsHandle, 1);
    }
    *handle = (FsHandle){.node = node, .write_end = -1};
    fs_node_hold(node);
    node->opens++;
    return handle;
}

/* Three whole stores, being written or read. */
#define GUEST_HELD_MAX (48u * 1024 * 1024)

bool fs_handle_hold(FsTree *tree, FsHandle *handle, size_t bytes)
{
    FsGuest *guest = handle->node->guest;
    FsGuestTree *guest_tree = guest ? fs_tree_guest(tree, guest) : NULL;

    if (!guest_tree)
        return true; /* gone: nobody opens more of it */
    if (bytes > handle->held && bytes - handle->held > GUEST_HELD_MAX - guest_tree->held_bytes)
        return false;
    guest_tree->held_bytes += bytes - handle->held;
    handle->held = bytes;
    return true;
}

void fs_handle_free(FsTree *tree, FsHandle *handle)
{
    fs_handle_hold(tree, handle, 0);
    g_clear_pointer(&handle->snapshot, g_bytes_unref);
    g_clear_pointer(&handle->deletion, g_bytes_unref);
    handle->node->opens--;
    fs_nodes_drop(tree->nodes, handle->node);
    handle->next_free = tree->pool->handles;
    tree->pool->handles = handle;
}

/* Waiting */

static void interrupted(fuse_req_t req, void *data)
{
    FsOp *op = data;
    fs_fleet_interrupt(op->tree->fleet, req);
}

/* After a call into the fleet that may have ended the op already: only one that is parked can be
 * interrupted. */
static void park(FsOp *op, uint64_t serial)
{
    if (op->serial == serial && op->waiting) {
        fuse_req_interrupt_func(op->req, interrupted, op);
    }
}

static void go_on(FsGuest *guest, int error, void *data)
{
    FsOp *op = data;

    op->waiting = false;
    if (!guest && !error) {
        error = ENOENT;
    }
    if (!error) {
        op->step(op);
    } else if (guest && op->or_else) {
        op->error = error;
        op->or_else(op);
    } else {
        fs_op_error(op, error);
    }
}

static uint64_t wait_with(FsOp *op, FsStep step, FsStep or_else)
{
    op->step = step;
    op->or_else = or_else;
    op->waiting = true;
    return op->serial;
}

void fs_op_need_replica(FsOp *op, FsStep step)
{
    fs_op_try_replica(op, step, NULL);
}

void fs_op_try_replica(FsOp *op, FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_guest_need_replica(op->node->guest, op->req, go_on, op);
    park(op, serial);
}

void fs_op_need(FsOp *op, unsigned needs, FsStep step)
{
    uint64_t serial;

    if (!op->node->guest) {
        step(op);
        return;
    }
    serial = wait_with(op, step, NULL);
    fs_guest_need(op->node->guest, needs, op->req, go_on, op);
    park(op, serial);
}

void fs_op_need_if_possible(FsOp *op, unsigned needs, FsStep step)
{
    uint64_t serial = wait_with(op, step, step);
    fs_guest_need(op->node->guest, needs, op->req, go_on, op);
    park(op, serial);
}

/* A guest is no condition, or it is what was looked for. */
static void found(FsGuest *guest, int error, void *data)
{
    FsOp *op = data;

    op->waiting = false;
    op->found = guest;
    if (error) {
        fs_op_error(op, error);
    } else {
        op->step(op);
    }
}

void fs_op_need_list(FsOp *op, FsStep step)
{
    uint64_t serial = wait_with(op, step, NULL);
    fs_fleet_need_list(op->tree->fleet, op->req, found, op);
    park(op, serial);
}

void fs_op_find_guest(FsOp *op, FsStep step)
{
    uint64_t serial = wait_with(op, step, NULL);
    fs_fleet_find(op->tree->fleet, op->name, op->req, found, op);
    park(op, serial);
}

void fs_op_make_guest(FsOp *op, FsStep step)
{
    wait_with(op, step, NULL);
    fs_fleet_make_guest(op->tree->fleet, op->name, found, op);
}

void fs_op_write_text(FsOp *op, FsText text, GBytes *bytes, FsStep step, FsStep or_else)
{
    wait_with(op, step, or_else);
    fs_guest_write_text(op->node->guest, text, bytes, go_on, op);
}

void fs_op_set(FsOp *op, const char *name, GBytes *content, uint32_t flags, int64_t mtime_ns,
               FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_tree_guest(op->tree, op->node->guest)->export_stale = true;
    fs_guest_set(op->node->guest, op->req, name, content, flags, mtime_ns, go_on, op);
    park(op, serial);
}

void fs_op_touch(FsOp *op, const char *name, int64_t mtime_ns, FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_guest_touch(op->node->guest, op->req, name, mtime_ns, go_on, op);
    park(op, serial);
}

void fs_op_import(FsOp *op, GBytes *json, FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_guest_import(op->node->guest, op->req, json, go_on, op);
    park(op, serial);
}

/* The guest can have gone meanwhile. */
static void virtual_ready(void *data)
{
    FsOp *op = data;

    op->waiting = false;
    if (op->node->gone) {
        fs_op_error(op, ESTALE);
    } else {
        fs_op_need(op, op->needs, op->step);
    }
}

void fs_op_need_virtual(FsOp *op, const FsVirtual *virtual, FsStep step)
{
    op->needs = virtual->needs;
    wait_with(op, step, NULL);
    if (virtual->prepare) {
        virtual->prepare(virtual->data, virtual_ready, op);
    } else {
        virtual_ready(op);
    }
}

void fs_op_write_virtual(FsOp *op, const FsVirtual *virtual, const char *path, FsStep step)
{
    gsize size;
    const char *text = g_bytes_get_data(op->content, &size);

    wait_with(op, step, NULL);
    virtual->write(virtual->data, op->node->guest, path, text, size, go_on, op);
}

static void removed_guest(FsGuest *guest, int error, void *data)
{
    fs_op_error(data, error);
}

void fs_op_remove_guest(FsOp *op)
{
    uint64_t serial = wait_with(op, NULL, NULL);
    fs_guest_remove(op->child->guest, op->req, removed_guest, op);
    park(op, serial);
}

static void called(FsGuest *guest, int error, GBytes *reply, void *data)
{
    FsOp *op = data;

    g_clear_pointer(&op->content, g_bytes_unref);
    if (guest && !error) {
        op->content = g_bytes_ref(reply);
    }
    go_on(guest, error, op);
}

void fs_op_call(FsOp *op, uint16_t type, GBytes *payload, FsStep step, FsStep or_else)
{
    uint64_t serial = wait_with(op, step, or_else);
    fs_guest_call(op->node->guest, op->req, type, payload, called, op);
    park(op, serial);
}

/* Replies */

void fs_op_error(FsOp *op, int error)
{
    fuse_reply_err(op->req, error);
    op_end(op);
}

void fs_op_reply_attr(FsOp *op, const struct stat *attr, double timeout_s)
{
    if (op->as_entry) {
        fs_op_reply_entry(op, op->node, attr, timeout_s);
        return;
    }
    fuse_reply_attr(op->req, attr, timeout_s);
    op_end(op);
}

void fs_op_reply_lookup_of(FsOp *op, FsNode *child)
{
    fs_node_hold(child);
    fs_nodes_drop(op->tree->nodes, op->node);
    op->node = child;
    op->as_entry = true;
    child->class->getattr(op);
}

static struct fuse_entry_param entry_of(FsNode *child, const struct stat *attr, double timeout_s)
{
    return (struct fuse_entry_param){
        .ino = child->id,
        .attr = *attr,
        .attr_timeout = timeout_s,
        .entry_timeout = timeout_s,
    };
}

void fs_op_reply_entry(FsOp *op, FsNode *child, const struct stat *attr, double timeout_s)
{
    struct fuse_entry_param entry = entry_of(child, attr, timeout_s);

    child->lookups++;
    if (fuse_reply_entry(op->req, &entry) == -ENOENT) {
        fs_nodes_forget(op->tree->nodes, child->id, 1);
    }
    op_end(op);
}

void fs_op_reply_create(FsOp *op, FsNode *child, const struct stat *attr, FsHandle *handle)
{
    struct fuse_entry_param entry = entry_of(child, attr, 0);

    op->file.fh = (uintptr_t)handle;
    op->file.direct_io = 1;
    op->file.noflush = 1; /* there is nothing yet that it could delete */
    child->lookups++;
    if (fuse_reply_create(op->req, &entry, &op->file) == -ENOENT) {
        fs_handle_free(op->tree, handle);
        fs_nodes_forget(op->tree->nodes, entry.ino, 1);
    }
    op_end(op);
}

void fs_op_reply_open(FsOp *op, FsHandle *handle)
{
    op->file.fh = (uintptr_t)handle;
    op->file.direct_io = handle != NULL;
    op->file.noflush = !handle || !handle->opener;
    if (fuse_reply_open(op->req, &op->file) == -ENOENT && handle) {
        fs_handle_free(op->tree, handle);
    }
    op_end(op);
}

void fs_op_reply_slice(FsOp *op, GBytes *content)
{
    size_t size = 0;
    const char *bytes = content ? g_bytes_get_data(content, &size) : NULL;
    size_t offset = MIN(op->offset, size);

    fuse_reply_buf(op->req, bytes ? bytes + offset : NULL, MIN(op->size, size - offset));
    op_end(op);
}

void fs_op_reply_text(FsOp *op, const char *text)
{
    fuse_reply_readlink(op->req, text);
    op_end(op);
}

void fs_op_reply_written(FsOp *op)
{
    fuse_reply_write(op->req, op->size);
    op_end(op);
}

/* As efivarfs: blocks of one byte, and what x86 kernels keep back for the firmware. */
#define RESERVED_BYTES 5120

void fs_op_reply_statfs(FsOp *op, const FsUsage *usage)
{
    struct statvfs result = {
        .f_bsize = 1,
        .f_frsize = 1,
        .f_blocks = usage ? usage->total_bytes : 0,
        .f_bfree = usage ? usage->remaining_bytes : 0,
        .f_namemax = NAME_MAX,
    };

    result.f_bavail = result.f_bfree > RESERVED_BYTES ? result.f_bfree - RESERVED_BYTES : 0;
    fuse_reply_statfs(op->req, &result);
    op_end(op);
}

bool fs_op_sets_flags(const FsOp *op)
{
    return op->offset == FS_IOC_SETFLAGS || op->offset == FS_IOC_FSSETXATTR;
}

void fs_op_reply_flags(FsOp *op, unsigned value)
{
    struct fsxattr extended = {.fsx_xflags = value & FS_IMMUTABLE_FL ? FS_XFLAG_IMMUTABLE : 0};

    if (fs_op_sets_flags(op)) {
        fuse_reply_ioctl(op->req, 0, NULL, 0);
    } else if (op->offset == FS_IOC_FSGETXATTR) {
        fuse_reply_ioctl(op->req, 0, &extended, sizeof(extended));
    } else {
        fuse_reply_ioctl(op->req, 0, &value, sizeof(value));
    }
    op_end(op);
}

void fs_op_refuse_flags(FsOp *op)
{
    if (op->flags) {
        fs_op_error(op, EOPNOTSUPP);
    } else {
        fs_op_reply_flags(op, 0);
    }
}

/* Directories */

void fs_op_begin_directory(FsOp *op)
{
    op->tree->pool->directory_used = 0;
    op->size = MIN(op->size, DIRECTORY_BYTES_MAX);
}

bool fs_op_add(FsOp *op, const char *name, const struct stat *attr, uint64_t next_offset,
               FsNode *child, double timeout_s)
{
    FsOpPool *pool = op->tree->pool;
    char *place = pool->directory + pool->directory_used;
    size_t room = op->size - pool->directory_used;
    struct fuse_entry_param entry = {.attr = *attr};
    size_t needed;

    if (op->plus) {
        if (child) {
            entry = entry_of(child, attr, timeout_s);
        }
        needed = fuse_add_direntry_plus(op->req, place, room, name, &entry, next_offset);
    } else {
        needed = fuse_add_direntry(op->req, place, room, name, attr, next_offset);
    }
    if (needed > room) {
        return false;
    }
    pool->directory_used += needed;
    if (op->plus && child) {
        child->lookups++;
    }
    return true;
}

bool fs_op_add_dots(FsOp *op)
{
    struct stat attr = {.st_ino = op->node->inode, .st_mode = S_IFDIR};
    struct stat parent = attr;

    if (op->node->parent) {
        parent.st_ino = op->node->parent->inode;
    }
    return (op->offset > 0 || fs_op_add(op, ".", &attr, 1, NULL, 0)) &&
           (op->offset > 1 || fs_op_add(op, "..", &parent, 2, NULL, 0));
}

void fs_op_reply_directory(FsOp *op)
{
    fuse_reply_buf(op->req, op->tree->pool->directory, op->tree->pool->directory_used);
    op_end(op);
}
