/* SPDX-License-Identifier: GPL-2.0-or-later */

/* How an op ends: each reply tells the kernel once. */

#include "op-private.h"
#include "refused.h"

#include <errno.h>
#include <linux/fs.h>

void fs_op_error(FsOp *op, int error)
{
    if (!error)
        fs_refused_clear(op);
    if (!error || !fs_refused_tell(op, error))
        fuse_reply_err(op->req, error);
    fs_op_end(op);
}

void fs_op_refuse(FsOp *op, int error, const char *reason)
{
    g_free(op->reason);
    op->reason = g_strdup(reason);
    fs_op_error(op, error);
}

const char *fs_op_reason(FsOp *op)
{
    FsGuest *guest = op->node->guest ? op->node->guest : op->child ? op->child->guest : NULL;
    char *reason = guest ? fs_guest_take_reason(guest) : NULL;

    if (reason) {
        g_free(op->reason);
        op->reason = reason;
    }
    return op->reason;
}

#define LONG_S 3600.0
#define SHORT_S 1.0
/* So late shows what nothing tells. */
#define TOLD_S 60.0
/* A name that is looked up each time, once it was listed: who lists a folder asks for what is in it
 * right away. */
#define LISTED_S 0.1

/* How long the kernel may go by a name, by the attributes that come with it, and by those that were
 * asked for: who asks for them has the file open, and may do so again when it has changed. */
static const struct {
    double name_s, entry_attr_s, attr_s;
} timeouts[] = {
    [FS_KEEP_NOTHING] = {0, 0, 0},
    [FS_KEEP_LOOKED_UP] = {0, SHORT_S, 0},
    [FS_KEEP_FOLDER] = {LONG_S, SHORT_S, SHORT_S},
    [FS_KEEP_TOLD] = {LONG_S, TOLD_S, TOLD_S},
    [FS_KEEP_ALL] = {LONG_S, LONG_S, LONG_S},
};

static double kept_s(const FsTree *tree, double timeout_s)
{
    return tree->options->shared ? MIN(timeout_s, (double)tree->options->look_s) : timeout_s;
}

static double attr_kept_s(const FsTree *tree, const FsNode *node, FsKeep keep, double timeout_s)
{
    if (keep == FS_KEEP_TOLD && !(node->guest && fs_guest_is_followed(node->guest)))
        timeout_s = SHORT_S;
    return kept_s(tree, timeout_s);
}

/* Variables note it themselves. */
static void note_told(FsTree *tree, FsNode *node, const struct stat *attr, FsKeep keep)
{
    if (keep == FS_KEEP_NOTHING || keep == FS_KEEP_ALL)
        return;
    node->told = true;
    node->told_size = (size_t)attr->st_size;
    if (node->guest)
        fs_tree_guest(tree, node->guest)->told = true;
}

void fs_op_reply_attr(FsOp *op, const struct stat *attr, FsKeep keep)
{
    if (op->as_entry) {
        fs_op_reply_entry(op, op->node, attr, keep);
        return;
    }
    if (timeouts[keep].attr_s > 0)
        note_told(op->tree, op->node, attr, keep);
    fuse_reply_attr(op->req, attr, attr_kept_s(op->tree, op->node, keep, timeouts[keep].attr_s));
    fs_op_end(op);
}

void fs_op_getattr(FsOp *op)
{
    const FsNodeClass *class = op->node->class;

    if (class->first.getattr)
        class->first.getattr(op, class->getattr);
    else
        class->getattr(op);
}

void fs_op_reply_known(FsOp *op)
{
    struct stat attr;
    FsKeep keep;

    op->node->class->known(op->tree, op->node, &attr, &keep);
    fs_op_reply_attr(op, &attr, keep);
}

void fs_op_reply_poll(FsOp *op, unsigned events)
{
    fuse_reply_poll(op->req, events);
    fs_op_end(op);
}

void fs_op_reply_lookup_of(FsOp *op, FsNode *child)
{
    fs_node_hold(child);
    fs_nodes_drop(op->tree->nodes, op->node);
    op->node = child;
    op->as_entry = true;
    fs_op_getattr(op);
}

static struct fuse_entry_param entry_of(const FsOp *op, FsNode *child, const struct stat *attr,
                                        FsKeep keep)
{
    note_told(op->tree, child, attr, keep);
    return (struct fuse_entry_param){
        .ino = child->id,
        .attr = *attr,
        .attr_timeout = attr_kept_s(op->tree, child, keep, timeouts[keep].entry_attr_s),
        .entry_timeout = kept_s(op->tree, timeouts[keep].name_s),
    };
}

void fs_op_reply_entry(FsOp *op, FsNode *child, const struct stat *attr, FsKeep keep)
{
    struct fuse_entry_param entry = entry_of(op, child, attr, keep);

    fs_refused_clear(op);
    child->lookups++;
    if (fuse_reply_entry(op->req, &entry) == -ENOENT)
        fs_nodes_forget(op->tree->nodes, child->id, 1);
    fs_op_end(op);
}

void fs_op_reply_create(FsOp *op, FsNode *child, const struct stat *attr, FsHandle *handle)
{
    struct fuse_entry_param entry = entry_of(op, child, attr, FS_KEEP_NOTHING);

    op->file.fh = (uintptr_t)handle;
    op->file.direct_io = 1;
    op->file.noflush =
        !(handle->opener || handle->collected); /* there is nothing yet that it could delete */
    child->lookups++;
    if (fuse_reply_create(op->req, &entry, &op->file) == -ENOENT) {
        fs_handle_free(op->tree, handle);
        fs_nodes_forget(op->tree->nodes, entry.ino, 1);
    }
    fs_op_end(op);
}

/* Within the time that what a lookup told is kept, fstat of what was opened must not be of before.
 */
static void tell_size(const FsOp *op, const FsHandle *handle)
{
    if (handle->snapshot && op->node->told_size != g_bytes_get_size(handle->snapshot))
        fs_tree_invalidate(op->tree, op->node);
}

void fs_op_reply_open(FsOp *op, FsHandle *handle)
{
    if (handle)
        tell_size(op, handle);
    op->file.fh = (uintptr_t)handle;
    op->file.direct_io = handle != NULL;
    op->file.noflush = !handle || !(handle->opener || handle->collected);
    if (fuse_reply_open(op->req, &op->file) == -ENOENT && handle)
        fs_handle_free(op->tree, handle);
    fs_op_end(op);
}

void fs_op_reply_slice(FsOp *op, GBytes *content)
{
    size_t size = 0;
    const char *bytes = content ? g_bytes_get_data(content, &size) : NULL;
    size_t offset = MIN(op->offset, size);

    fuse_reply_buf(op->req, bytes ? bytes + offset : NULL, MIN(op->size, size - offset));
    fs_op_end(op);
}

void fs_op_reply_snapshot(FsOp *op)
{
    fs_op_reply_slice(op, op->handle->snapshot);
}

void fs_op_reply_text(FsOp *op, const char *text)
{
    fuse_reply_readlink(op->req, text);
    fs_op_end(op);
}

void fs_op_reply_written(FsOp *op)
{
    fs_refused_clear(op);
    fuse_reply_write(op->req, op->size);
    fs_op_end(op);
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
    fs_op_end(op);
}

bool fs_op_sets_flags(const FsOp *op)
{
    return op->offset == FS_IOC_SETFLAGS || op->offset == FS_IOC_FSSETXATTR;
}

void fs_op_reply_flags(FsOp *op, unsigned value)
{
    struct fsxattr extended = {.fsx_xflags = value & FS_IMMUTABLE_FL ? FS_XFLAG_IMMUTABLE : 0};

    if (fs_op_sets_flags(op))
        fuse_reply_ioctl(op->req, 0, NULL, 0);
    else if (op->offset == FS_IOC_FSGETXATTR)
        fuse_reply_ioctl(op->req, 0, &extended, sizeof(extended));
    else
        fuse_reply_ioctl(op->req, 0, &value, sizeof(value));
    fs_op_end(op);
}

void fs_op_refuse_flags(FsOp *op)
{
    if (op->flags)
        fs_op_error(op, EOPNOTSUPP);
    else
        fs_op_reply_flags(op, 0);
}

/* Directories */

bool fs_op_add(FsOp *op, const char *name, const struct stat *attr, uint64_t next_offset,
               FsNode *child, FsKeep keep)
{
    FsOpPool *pool = op->tree->pool;
    char *place = pool->directory + pool->directory_used;
    size_t room = op->size - pool->directory_used;
    struct fuse_entry_param entry = {.attr = *attr};
    size_t needed;

    if (op->plus) {
        if (child)
            entry = entry_of(op, child, attr, keep);
        if (child && keep == FS_KEEP_LOOKED_UP)
            entry.entry_timeout = kept_s(op->tree, LISTED_S);
        needed = fuse_add_direntry_plus(op->req, place, room, name, &entry, next_offset);
    } else {
        needed = fuse_add_direntry(op->req, place, room, name, attr, next_offset);
    }
    if (needed > room && child) { /* it was not told what the node says it was */
        fs_tree_invalidate(op->tree, child);
        fs_nodes_discard(op->tree->nodes, child);
    }
    if (needed > room)
        return false;
    pool->directory_used += needed;
    if (op->plus && child)
        child->lookups++;
    return true;
}

bool fs_op_tells_all(const FsOp *op)
{
    FsGuest *guest = op->node->guest;

    return op->plus && !(guest && fs_tree_guest(op->tree, guest)->restore);
}

bool fs_op_begin_directory(FsOp *op)
{
    struct stat attr = {.st_ino = op->node->inode, .st_mode = S_IFDIR};
    struct stat parent = attr;

    op->tree->pool->directory_used = 0;
    op->size = MIN(op->size, DIRECTORY_BYTES_MAX);
    if (op->node->parent)
        parent.st_ino = op->node->parent->inode;
    return (op->offset > 0 || fs_op_add(op, ".", &attr, 1, NULL, FS_KEEP_NOTHING)) &&
           (op->offset > 1 || fs_op_add(op, "..", &parent, 2, NULL, FS_KEEP_NOTHING));
}

uint64_t fs_op_told_entries(const FsOp *op)
{
    return op->offset >= FS_FIRST_OFFSET ? op->offset - FS_FIRST_OFFSET + 1 : 0;
}

void fs_op_reply_directory(FsOp *op)
{
    fuse_reply_buf(op->req, op->tree->pool->directory, op->tree->pool->directory_used);
    fs_op_end(op);
}
