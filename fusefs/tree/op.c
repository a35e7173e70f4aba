/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "op-private.h"

#include "pollers.h"
#include "trace.h"

#include <string.h>

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
    g_free(pool->directory);
    g_free(pool);
}

FsOp *fs_op_new(FsTree *tree, fuse_req_t req, FsNode *node)
{
    FsOp *op = tree->pool->ops;

    if (op)
        tree->pool->ops = op->next_free;
    else
        op = g_new(FsOp, 1);
    memset(op, 0, offsetof(FsOp, attr));
    op->tree = tree;
    op->req = req;
    op->node = node;
    op->serial = ++tree->pool->last_serial;
    fs_node_hold(node);
    return op;
}

void fs_op_end(FsOp *op)
{
    g_clear_pointer(&op->content, g_bytes_unref);
    g_clear_pointer(&op->image, g_bytes_unref);
    g_clear_pointer(&op->reason, g_free);
    g_clear_pointer(&op->poll, fuse_pollhandle_destroy);
    if (op->child)
        fs_nodes_drop(op->tree->nodes, op->child);
    fs_nodes_drop(op->tree->nodes, op->node);
    op->serial = 0;
    op->next_free = op->tree->pool->ops;
    op->tree->pool->ops = op;
}

FsHandle *fs_handle_new(FsTree *tree, FsNode *node)
{
    FsHandle *handle = g_new(FsHandle, 1);

    *handle = (FsHandle){.node = node, .write_end = -1};
    fs_node_hold(node);
    node->opens++;
    return handle;
}

/* Some whole stores, or one large image, being written or read. */
#define GUEST_HELD_MAX (FS_STORE_IMAGE_MAX + 8u * 1024 * 1024)

bool fs_handle_hold(FsTree *tree, FsHandle *handle, size_t bytes)
{
    FsGuest *guest = handle->node->guest;
    FsGuestTree *guest_tree = guest ? fs_tree_guest(tree, guest) : NULL;

    if (!guest_tree)
        return true; /* gone: no process can open more of it */
    if (bytes > handle->held && bytes - handle->held > GUEST_HELD_MAX - guest_tree->held_bytes)
        return false;
    guest_tree->held_bytes += bytes - handle->held;
    handle->held = bytes;
    return true;
}

void fs_handle_free(FsTree *tree, FsHandle *handle)
{
    fs_handle_hold(tree, handle, 0);
    fs_poller_clear(tree, handle);
    g_clear_pointer(&handle->snapshot, g_bytes_unref);
    g_clear_pointer(&handle->deletion, g_bytes_unref);
    g_clear_pointer(&handle->collected, fs_collected_free);
    g_clear_pointer(&handle->trace, fs_trace_free);
    handle->node->opens--;
    fs_nodes_drop(tree->nodes, handle->node);
    g_free(handle);
}
