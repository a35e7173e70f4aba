/* SPDX-License-Identifier: GPL-2.0-or-later */

/* FUSE requests to the operations of node classes. */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "op.h"
#include "pollers.h"
#include "refused.h"
#include "tree-parts.h"

/*
 * An op for the node, or NULL after a refusal. On a node that is gone, ESTALE makes the kernel look
 * the name up again; what still has it open gets as far as the callers below let it.
 */
static FsOp *begin_any(fuse_req_t req, fuse_ino_t id, FsOperation operation)
{
    FsTree *tree = fuse_req_userdata(req);
    FsNode *node = fs_nodes_get(tree->nodes, id);
    FsOp *op;

    if (!node) {
        fuse_reply_err(req, ESTALE);
        return NULL;
    }
    op = fs_op_new(tree, req, node);
    op->operation = operation;
    return op;
}

static FsOp *begin(fuse_req_t req, fuse_ino_t id, FsOperation operation)
{
    FsOp *op = begin_any(req, id, operation);

    if (op && op->node->gone) {
        fs_op_error(op, ESTALE);
        return NULL;
    }
    return op;
}

static void run(FsOp *op, FsWait first, FsStep step, int refusal)
{
    if (!step)
        fs_op_error(op, refusal);
    else if (first)
        first(op, step);
    else
        step(op);
}

/* Names: false after a refusal. */
static bool take_name(FsOp *op, const char *name, char place[NAME_MAX + 1])
{
    if (g_strlcpy(place, name, NAME_MAX + 1) > NAME_MAX) {
        fs_op_error(op, ENAMETOOLONG);
        return false;
    }
    return true;
}

static void set_file(FsOp *op, const struct fuse_file_info *file)
{
    op->file = *file;
    op->handle = (FsHandle *)(uintptr_t)file->fh;
}

static void do_init(void *data, struct fuse_conn_info *conn)
{
    FsTree *tree = data;

    conn->want &= ~(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    conn->time_gran = 1;
    tree->usable = true;
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    FsOp *op = begin(req, parent, FS_OP_READS);
    if (op && take_name(op, name, op->name))
        run(op, op->node->class->first.lookup, op->node->class->lookup, ENOTDIR);
}

static void do_forget(fuse_req_t req, fuse_ino_t id, uint64_t lookups)
{
    FsTree *tree = fuse_req_userdata(req);
    fs_nodes_forget(tree->nodes, id, lookups);
    fuse_reply_none(req);
}

static void do_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    FsTree *tree = fuse_req_userdata(req);
    for (size_t i = 0; i < count; i++)
        fs_nodes_forget(tree->nodes, forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

/* fstat of an open file that was removed: it is empty and has no name. */
static void reply_gone_attr(FsOp *op)
{
    struct stat attr;

    fs_tree_fill(op->tree, op->node, op->node->class->type | 0600, &attr);
    attr.st_nlink = 0;
    fs_op_reply_attr(op, &attr, FS_KEEP_NOTHING);
}

static void do_getattr(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    FsOp *op = begin_any(req, id, FS_OP_READS);
    if (!op)
        return;
    if (!op->node->gone)
        fs_op_getattr(op);
    else if (op->node->opens > 0)
        reply_gone_attr(op);
    else
        fs_op_error(op, ESTALE);
}

static void do_setattr(fuse_req_t req, fuse_ino_t id, struct stat *attr, int to_set,
                       struct fuse_file_info *file)
{
    FsOp *op = begin_any(req, id, FS_OP_SETATTR);
    if (!op)
        return;
    op->attr = *attr;
    op->flags = to_set;
    if (file)
        set_file(op, file);
    if (!op->node->gone)
        run(op, op->node->class->first.setattr, op->node->class->setattr, EPERM);
    else if (op->node->opens > 0)
        reply_gone_attr(op);
    else
        fs_op_error(op, ESTALE);
}

static void do_readlink(fuse_req_t req, fuse_ino_t id)
{
    FsOp *op = begin(req, id, FS_OP_READS);
    if (op)
        run(op, op->node->class->first.readlink, op->node->class->readlink, EINVAL);
}

static void do_open(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    bool writes = (file->flags & O_ACCMODE) != O_RDONLY;
    FsOp *op = begin(req, id, writes ? FS_OP_OPEN : FS_OP_READS);
    if (op) {
        op->file = *file;
        run(op, op->node->class->first.open, op->node->class->open, EPERM);
    }
}

static void do_read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                    struct fuse_file_info *file)
{
    FsOp *op = begin_any(req, id, FS_OP_READS);
    if (!op)
        return;
    set_file(op, file);
    op->size = size;
    op->offset = offset;
    if (op->node->gone) {
        fs_op_reply_slice(op, NULL); /* removed: there is nothing to read */
    } else {
        run(op, op->node->class->first.read, op->node->class->read, EIO);
    }
}

static void do_write(fuse_req_t req, fuse_ino_t id, const char *bytes, size_t size, off_t offset,
                     struct fuse_file_info *file)
{
    FsOp *op = begin_any(req, id, FS_OP_WRITE);
    if (!op)
        return;
    if (op->node->gone) {
        fs_op_error(op, EIO);
        return;
    }
    set_file(op, file);
    op->size = size;
    op->offset = offset;
    op->content = g_bytes_new(bytes, size);
    run(op, op->node->class->first.write, op->node->class->write, EPERM);
}

static void do_flush(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    FsOp *op = begin_any(req, id, FS_OP_CLOSE);
    if (!op)
        return;
    set_file(op, file);
    if (op->handle && op->node->class->flush)
        op->node->class->flush(op);
    else
        fs_op_error(op, 0);
}

static void do_release(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    FsTree *tree = fuse_req_userdata(req);
    FsHandle *handle = (FsHandle *)(uintptr_t)file->fh;

    if (handle) {
        if (handle->node->class->release)
            handle->node->class->release(tree, handle);
        fs_handle_free(tree, handle);
    }
    fuse_reply_err(req, 0);
}

static void do_opendir(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file)
{
    FsOp *op = begin(req, id, FS_OP_READS);
    if (op) {
        op->file = *file;
        fs_op_reply_open(op, NULL);
    }
}

static void list(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, bool plus)
{
    FsOp *op = begin(req, id, FS_OP_READS);
    if (op) {
        op->size = size;
        op->offset = offset;
        op->plus = plus;
        run(op, op->node->class->first.readdir, op->node->class->readdir, ENOTDIR);
    }
}

static void do_readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                       struct fuse_file_info *file)
{
    list(req, id, size, offset, false);
}

static void do_readdirplus(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset,
                           struct fuse_file_info *file)
{
    list(req, id, size, offset, true);
}

static void do_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *file)
{
    FsOp *op = begin(req, parent, FS_OP_CREATE);
    if (op && take_name(op, name, op->name)) {
        op->file = *file;
        op->attr.st_mode = mode;
        run(op, op->node->class->first.create, op->node->class->create, EPERM);
    }
}

static void do_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    FsOp *op = begin(req, parent, FS_OP_MKDIR);
    if (op && take_name(op, name, op->name))
        run(op, op->node->class->first.mkdir, op->node->class->mkdir, EPERM);
}

static void do_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    FsOp *op = begin(req, parent, FS_OP_UNLINK);
    if (op && take_name(op, name, op->name))
        run(op, op->node->class->first.unlink, op->node->class->unlink, EPERM);
}

static void do_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    FsOp *op = begin(req, parent, FS_OP_RMDIR);
    if (op && take_name(op, name, op->name))
        run(op, op->node->class->first.rmdir, op->node->class->rmdir, EPERM);
}

static void do_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags)
{
    FsOp *op = begin(req, new_parent, FS_OP_RENAME); /* what is refused is the new name */
    if (!op || !take_name(op, name, op->name) || !take_name(op, new_name, op->new_name))
        return;
    op->flags = flags;
    if (flags & ~(unsigned)RENAME_NOREPLACE)
        fs_op_refuse(op, EINVAL, "names can't be exchanged, nor whited out");
    else if (parent != new_parent)
        fs_op_refuse(op, EXDEV, "it is in another folder");
    else
        run(op, op->node->class->first.rename, op->node->class->rename, EPERM);
}

static void do_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
    FsOp *op = begin(req, parent, FS_OP_MKNOD);
    if (op && take_name(op, name, op->name))
        fs_op_error(op, EPERM);
}

static void do_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    FsOp *op = begin(req, parent, FS_OP_SYMLINK);
    if (op && take_name(op, name, op->name)) {
        op->content = g_bytes_new(target, strlen(target) + 1);
        run(op, NULL, op->node->class->symlink, EPERM);
    }
}

static void do_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, const char *name)
{
    FsOp *op = begin(req, parent, FS_OP_LINK);
    if (op && take_name(op, name, op->name))
        fs_op_error(op, EPERM);
}

static void do_statfs(fuse_req_t req, fuse_ino_t id)
{
    FsOp *op = begin(req, id, FS_OP_READS);
    if (!op)
        return;
    if (op->node->class->statfs)
        op->node->class->statfs(op);
    else
        fs_op_reply_statfs(op, NULL);
}

/*
 * Flags come in two shapes. Programs use FS_IOC_GETFLAGS and SETFLAGS; the kernel asks with
 * FS_IOC_FSGETXATTR before it sets, whatever the program used.
 */
static bool take_flags(unsigned command, const void *input, size_t size, uint32_t *ret_flags)
{
    struct fsxattr extended;

    *ret_flags = 0;
    switch (command) {
    case FS_IOC_GETFLAGS:
    case FS_IOC_FSGETXATTR:
        return true;
    case FS_IOC_SETFLAGS:
        if (size < sizeof(*ret_flags))
            return false;
        memcpy(ret_flags, input, sizeof(*ret_flags));
        return true;
    case FS_IOC_FSSETXATTR:
        if (size < sizeof(extended))
            return false;
        memcpy(&extended, input, sizeof(extended));
        *ret_flags = extended.fsx_xflags & FS_XFLAG_IMMUTABLE ? FS_IMMUTABLE_FL : 0;
        return !(extended.fsx_xflags & ~(unsigned)FS_XFLAG_IMMUTABLE) && !extended.fsx_projid;
    default:
        return false;
    }
}

static void do_ioctl(fuse_req_t req, fuse_ino_t id, unsigned command, void *argument,
                     struct fuse_file_info *file, unsigned flags, const void *input,
                     size_t input_size, size_t output_size)
{
    bool sets = command == FS_IOC_SETFLAGS || command == FS_IOC_FSSETXATTR;
    FsOp *op = begin(req, id, sets ? FS_OP_FLAGS : FS_OP_READS);

    if (!op)
        return;
    if (!take_flags(command, input, input_size, &op->flags)) {
        fs_op_error(op, command == FS_IOC_FSSETXATTR ? EOPNOTSUPP : ENOTTY);
        return;
    }
    op->offset = command;
    if (op->node->class->flags)
        op->node->class->flags(op);
    else
        fs_op_refuse_flags(op);
}

static void do_poll(fuse_req_t req, fuse_ino_t id, struct fuse_file_info *file,
                    struct fuse_pollhandle *poll)
{
    FsOp *op = begin_any(req, id, FS_OP_READS);

    if (op) {
        set_file(op, file);
        fs_op_poll(op, poll);
    } else if (poll) {
        fuse_pollhandle_destroy(poll);
    }
}

/* No fsync, no setting of extended attributes: the kernel asks once, and never again. */
const struct fuse_lowlevel_ops fs_tree_ops = {
    .init = do_init,
    .lookup = do_lookup,
    .forget = do_forget,
    .forget_multi = do_forget_multi,
    .getattr = do_getattr,
    .setattr = do_setattr,
    .readlink = do_readlink,
    .mknod = do_mknod,
    .mkdir = do_mkdir,
    .unlink = do_unlink,
    .rmdir = do_rmdir,
    .symlink = do_symlink,
    .rename = do_rename,
    .link = do_link,
    .open = do_open,
    .read = do_read,
    .write = do_write,
    .flush = do_flush,
    .release = do_release,
    .opendir = do_opendir,
    .readdir = do_readdir,
    .readdirplus = do_readdirplus,
    .create = do_create,
    .statfs = do_statfs,
    .getxattr = fs_refused_getxattr,
    .listxattr = fs_refused_listxattr,
    .ioctl = do_ioctl,
    .poll = do_poll,
};
