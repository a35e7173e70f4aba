/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "pollers.h"

#include <poll.h>

void fs_op_poll(FsOp *op, struct fuse_pollhandle *poll)
{
    op->poll = poll;
    if (op->node->gone)
        fs_op_reply_poll(op, POLLHUP | POLLIN | POLLRDNORM);
    else if (op->node->class->poll && op->handle)
        op->node->class->poll(op);
    else
        fs_op_reply_poll(op, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
}

void fs_poller_clear(FsTree *tree, FsHandle *handle)
{
    FsGuest *guest = handle->node->guest;

    if (!handle->poll)
        return;
    g_clear_pointer(&handle->poll, fuse_pollhandle_destroy);
    if (!guest) { /* it is gone, and its list */
        return;
    }
    for (FsHandle **at = &fs_tree_guest(tree, guest)->pollers; *at; at = &(*at)->next_poller) {
        if (*at == handle) {
            *at = handle->next_poller;
            return;
        }
    }
}

void fs_poller_wait(FsOp *op)
{
    FsGuestTree *guest_tree = fs_tree_guest(op->tree, op->node->guest);

    if (!op->poll)
        return;
    fs_poller_clear(op->tree, op->handle);
    op->handle->poll = g_steal_pointer(&op->poll);
    op->handle->next_poller = guest_tree->pollers;
    guest_tree->pollers = op->handle;
}

void fs_pollers_tell(FsGuestTree *guest_tree)
{
    for (FsHandle *handle = guest_tree->pollers; handle; handle = handle->next_poller) {
        fuse_lowlevel_notify_poll(handle->poll);
        g_clear_pointer(&handle->poll, fuse_pollhandle_destroy);
    }
    guest_tree->pollers = NULL;
}
