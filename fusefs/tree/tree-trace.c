/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * guests/G/trace and guests/G/trace.pcap: what the guest does, from the moment on at which they are
 * opened. They are read as a pipe is: a read waits for what comes, there is no offset, and poll()
 * tells when there is something; the end comes when the guest goes away.
 *
 * They are found by name and not listed: who copies or searches all files of a guest would wait in
 * them for ever.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "pollers.h"
#include "trace.h"
#include "tree-parts.h"

static const char *const names[FS_TRACE_KINDS] = {
    [FS_TRACE_LINES] = "trace",
    [FS_TRACE_PACKETS] = "trace.pcap",
};

bool fs_trace_file_is(const char *name)
{
    return strcmp(name, names[FS_TRACE_LINES]) == 0 || strcmp(name, names[FS_TRACE_PACKETS]) == 0;
}

static FsTraceKind kind_of(const char *name)
{
    return strcmp(name, names[FS_TRACE_LINES]) == 0 ? FS_TRACE_LINES : FS_TRACE_PACKETS;
}

static void trace_getattr(FsOp *op)
{
    struct stat attr;

    fs_tree_fill(op->tree, op->node, S_IFREG | 0400, &attr);
    fs_stat_set_mtime(&attr, fs_tree_guest_mtime_ns(op->node->guest));
    fs_op_reply_attr(op, &attr, FS_KEEP_NOTHING);
}

/* ---- opening ---- */

/* Something came for who was told that there was nothing. */
static void on_ready(void *data)
{
    const FsHandle *handle = data;

    if (handle->poll && handle->node->guest)
        fs_pollers_tell(fs_guest_data(handle->node->guest, FS_ROOM_TREE));
}

static void opened(FsOp *op)
{
    op->file.nonseekable = true;
    fs_op_reply_open(op, op->handle);
}

static void not_opened(FsOp *op)
{
    fs_handle_free(op->tree, op->handle);
    op->handle = NULL;
    fs_op_error(op, op->error);
}

static void trace_open(FsOp *op)
{
    FsHandle *handle;

    if ((op->file.flags & O_ACCMODE) != O_RDONLY) {
        fs_op_refuse(op, EPERM, "what the guest does is read here, and nothing can be written");
        return;
    }
    handle = fs_handle_new(op->tree, op->node);
    if (fs_handle_hold(op->tree, handle, FS_TRACE_READER_BYTES))
        handle->trace = fs_trace_open(op->node->guest, kind_of(op->node->name), on_ready, handle);
    op->handle = handle;
    op->error = EMFILE;
    if (!handle->trace) {
        not_opened(op);
        return;
    }
    fs_op_await_trace(op, opened, not_opened);
}

/* ---- reading ---- */

static void trace_read(FsOp *op)
{
    FsTraceReader *reader = op->handle->trace;
    g_autoptr(GBytes) part = fs_trace_read(reader, op->size);

    op->offset = 0;
    if (part || fs_trace_is_ended(reader))
        fs_op_reply_slice(op, part);
    else if (op->file.flags & O_NONBLOCK)
        fs_op_error(op, EAGAIN);
    else
        fs_op_wait_trace(op, trace_read);
}

static void trace_poll(FsOp *op)
{
    const FsTraceReader *reader = op->handle->trace;
    unsigned ready = fs_trace_is_readable(reader) ? POLLIN | POLLRDNORM : 0;

    ready |= fs_trace_is_ended(reader) ? POLLIN | POLLRDNORM | POLLHUP : 0;
    fs_poller_wait(op);
    fs_op_reply_poll(op, ready);
}

static const FsNodeClass trace_class = {
    .type = S_IFREG,
    .first = {.getattr = fs_op_need_look},
    .getattr = trace_getattr,
    .setattr = fs_op_getattr,
    .open = trace_open,
    .read = trace_read,
    .poll = trace_poll,
    .statfs = fs_vars_statfs,
};

FsNode *fs_trace_file_node(FsTree *tree, FsNode *guest_node, const char *name)
{
    return fs_nodes_make(tree->nodes, &trace_class, guest_node, name,
                         fs_inode(guest_node->guest, FS_SLOT_TRACES + kind_of(name)), NULL);
}
