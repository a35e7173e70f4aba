/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * guests/G/changes: who changed what, as the guest's engines wrote it down beside the store, the
 * older part before the newer. It is read from there, so it costs no engine, and grows under who
 * reads it; when the older part goes it is shorter, and who follows it begins again. For poll(2) it
 * is ready when there is more, or less, than was read through the same open file.
 *
 * Where the store is not as it was last known, or something was refused while there was no engine
 * to write it down, an engine does so before the file is open: a user who edits the store's file
 * and then reads finds that edit.
 */

#include <errno.h>
#include <poll.h>
#include <sys/stat.h>

#include "file-io.h"
#include "pollers.h"
#include "tree-parts.h"
#include "wire.h"

#define PARTS 2
#define READ_BYTES_MAX (1024u * 1024)

static off_t size_of(int fd, struct stat *ret_stat)
{
    *ret_stat = (struct stat){0};
    return fd >= 0 && fstat(fd, ret_stat) == 0 ? ret_stat->st_size : 0;
}

static off_t whole_size(const FsOp *op)
{
    struct stat part;
    off_t size = 0;

    for (size_t i = 0; i < PARTS; i++)
        size += size_of(op->record[i], &part);
    return size;
}

static void changes_getattr(FsOp *op)
{
    int64_t mtime_ns = 0;
    struct stat attr, part;

    fs_tree_fill(op->tree, op->node, S_IFREG | 0400, &attr);
    for (size_t i = 0; i < PARTS; i++) {
        attr.st_size += size_of(op->record[i], &part);
        mtime_ns = MAX(mtime_ns, fs_stat_mtime_ns(&part));
    }
    attr.st_blocks = (attr.st_size + 511) / 512;
    fs_stat_set_mtime(&attr, mtime_ns);
    fs_op_reply_attr(op, &attr, FS_KEEP_LOOKED_UP);
}

static void open_ready(FsOp *op)
{
    fs_op_reply_open(op, fs_handle_new(op->tree, op->node));
}

/* Of a guest without a record nothing was ever changed here. */
static void record_found(FsOp *op)
{
    bool any = false;

    for (size_t i = 0; i < PARTS; i++)
        any = any || op->record[i] >= 0;
    if (fs_guest_has_untold(op->node->guest) && fs_guest_has_store(op->node->guest))
        fs_op_call(op, UV_HOST_CHECK, NULL, open_ready, open_ready); /* it has written that then */
    else if (any && fs_guest_has_store(op->node->guest))
        fs_op_need_if_possible(op, FS_NEED_NAMES, open_ready);
    else
        open_ready(op);
}

static void changes_open(FsOp *op)
{
    if ((op->file.flags & O_ACCMODE) == O_RDONLY)
        fs_op_open_record(op, record_found);
    else if (op->file.flags & O_NONBLOCK)
        open_ready(op);
    else
        fs_op_refuse(op, EPERM, FS_CHANGES_NAME ": the record is written by the guest's engine");
}

/* What there is from the offset on goes behind `used` bytes of `to`. */
static size_t read_part(int fd, off_t *offset, char *to, size_t used, size_t size)
{
    struct stat part;
    const off_t part_bytes = size_of(fd, &part);
    ssize_t got = 0;

    if (*offset < part_bytes)
        got =
            uv_pread_all(fd, to + used, MIN(size - used, (size_t)(part_bytes - *offset)), *offset);
    *offset = *offset < part_bytes ? 0 : *offset - part_bytes;
    return got > 0 ? used + (size_t)got : used;
}

static void changes_read(FsOp *op)
{
    const size_t size = MIN(op->size, READ_BYTES_MAX);
    g_autofree char *bytes = g_malloc(size);
    off_t offset = (off_t)op->offset;
    size_t used = 0;

    for (size_t i = 0; i < PARTS && used < size; i++)
        used = read_part(op->record[i], &offset, bytes, used, size);
    op->content = g_bytes_new_take(g_steal_pointer(&bytes), used);
    if (op->handle) {
        /* A reader behind the end has seen all there is. */
        op->handle->read_end = used > 0 ? (off_t)(op->offset + used) : whole_size(op);
    }
    op->offset = 0;
    fs_op_reply_slice(op, op->content);
}

static void poll_ready(FsOp *op)
{
    const bool readable = whole_size(op) != op->handle->read_end;

    fs_poller_wait(op);
    fs_op_reply_poll(op, readable ? POLLIN | POLLRDNORM : 0);
}

/* Followed first: what comes after the look at the size is told. */
static void changes_poll(FsOp *op)
{
    fs_guest_follow_record(op->node->guest);
    fs_op_open_record(op, poll_ready);
}

/* tar's, of another time's record. */
static void changes_write(FsOp *op)
{
    fs_op_reply_written(op);
}

static const FsNodeClass changes_class = {
    .type = S_IFREG,
    .first = {.getattr = fs_op_open_record, .read = fs_op_open_record},
    .getattr = changes_getattr,
    .setattr = fs_op_getattr,
    .open = changes_open,
    .read = changes_read,
    .write = changes_write,
    .poll = changes_poll,
    .statfs = fs_vars_statfs,
};

FsNode *fs_changes_node(FsTree *tree, FsNode *guest_node)
{
    return fs_nodes_make(tree->nodes, &changes_class, guest_node, FS_CHANGES_NAME,
                         fs_inode(guest_node->guest, FS_SLOT_CHANGES), NULL);
}
