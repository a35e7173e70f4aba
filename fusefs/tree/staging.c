/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Staging files: what rsync, sed -i and editors write beside a file and rename onto it. They live
 * in memory, under the names that such programs make, in vars/ and in a guest's directory; are not
 * listed; and go 60 s after they were last used. The list of them holds their nodes, so they
 * outlive the kernel's interest. What a program does to one is in staging-file.c.
 *
 * Sinks are what a restore writes where files and links are generated: nothing is kept in them, and
 * they stay a while for what is done with their names.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "staging-private.h"

#define SINKS_MAX 4096
#define UNUSED_US (60 * G_USEC_PER_SEC)
#define LOOK_EVERY_S 10

FsStaging *fs_staging_of(const FsNode *node)
{
    return node->data;
}

void fs_staging_use(FsTree *tree, FsStaging *staging)
{
    staging->used_us = g_get_monotonic_time();
    g_queue_unlink(&tree->staging, &staging->in_tree);
    g_queue_push_tail_link(&tree->staging, &staging->in_tree);
}

/* Off the list and out of the guest's account; the node keeps nothing of it. */
static void release(FsTree *tree, FsNode *node)
{
    FsStaging *staging = fs_staging_of(node);
    FsGuestTree *guest_tree = node->guest ? fs_guest_data(node->guest, FS_ROOM_TREE) : NULL;

    if (guest_tree) {
        guest_tree->staging_files -= !staging->sink;
        guest_tree->sinks -= staging->sink;
        guest_tree->staging_bytes -= staging->bytes->len;
    }
    g_queue_unlink(&tree->staging, &staging->in_tree);
    g_byte_array_unref(staging->bytes);
    g_free(staging->target);
    g_free(staging);
    node->data = NULL;
}

void fs_staging_remove(FsTree *tree, FsNode *node)
{
    fs_tree_node_gone(tree, node, false);
    release(tree, node);
    fs_nodes_drop(tree->nodes, node);
}

void fs_staging_become(FsTree *tree, FsNode *node, const FsNodeClass *class, const char *name,
                       uint64_t inode)
{
    if (node->data) {
        release(tree, node);
        fs_nodes_rename(tree->nodes, node, name);
        node->class = class;
        node->inode = inode;
        fs_nodes_drop(tree->nodes, node);
    }
}

void fs_staging_forget_guest(FsTree *tree, FsGuest *guest)
{
    for (GList *link = tree->staging.head, *next; link; link = next) {
        FsNode *node = ((FsStaging *)link->data)->node;
        next = link->next;
        if (!guest || node->guest == guest)
            fs_staging_remove(tree, node);
    }
}

static void tell_dropped(const FsStaging *staging)
{
    const FsNode *node = staging->node;

    if (node->guest && !staging->sink && staging->bytes->len > 0)
        fs_guest_log(node->guest, "%s was not renamed onto a file for a minute: %u bytes dropped",
                     node->name, staging->bytes->len);
}

static gboolean expire(gpointer data)
{
    FsTree *tree = data;
    int64_t limit = g_get_monotonic_time() - UNUSED_US;

    for (GList *link = tree->staging.head, *next; link; link = next) {
        FsStaging *staging = link->data;
        next = link->next;
        if (staging->used_us > limit)
            break;
        if (staging->node->opens == 0) {
            tell_dropped(staging);
            fs_tree_node_gone(tree, staging->node, true);
            fs_staging_remove(tree, staging->node);
        }
    }
    if (tree->staging.length > 0)
        return G_SOURCE_CONTINUE;
    tree->staging_timer = 0;
    return G_SOURCE_REMOVE;
}

/* Making one */

static FsNode *staging_new(FsTree *tree, FsNode *parent, const char *name, mode_t mode,
                           const FsNodeClass *class, bool sink)
{
    FsGuestTree *guest_tree = fs_tree_guest(tree, parent->guest);
    FsStaging *staging = g_new0(FsStaging, 1);
    FsNode *node =
        fs_nodes_add(tree->nodes, class, parent, name,
                     fs_inode(parent->guest, FS_SLOT_STAGING + ++tree->staging_sequence));

    fs_node_hold(node);
    node->data = staging;
    staging->node = node;
    staging->bytes = g_byte_array_new();
    staging->max_bytes = parent == guest_tree->vars ? FS_STAGING_VARS_MAX : FS_STAGING_CONTROL_MAX;
    staging->mode = mode & 07777;
    staging->mtime_ns = g_get_real_time() * 1000;
    staging->in_tree.data = staging;
    g_queue_push_tail_link(&tree->staging, &staging->in_tree);
    fs_staging_use(tree, staging);
    staging->sink = sink;
    guest_tree->staging_files += !sink;
    guest_tree->sinks += sink;
    if (!tree->staging_timer)
        tree->staging_timer = g_timeout_add_seconds(LOOK_EVERY_S, expire, tree);
    return node;
}

/* The node of that name, made if there is none; NULL after a refusal. A sink takes the place of
 * what is generated. */
static FsNode *make(FsOp *op, const FsNodeClass *class, bool sink)
{
    FsNode *node = fs_nodes_child(op->tree->nodes, op->node, op->name);
    const FsGuestTree *guest_tree = fs_tree_guest(op->tree, op->node->guest);
    bool is_new = class != &fs_staging_class || op->file.flags & O_EXCL;

    if (node && sink && !fs_node_is_staging(node)) {
        fs_tree_node_gone(op->tree, node, false);
        node = NULL;
    }
    if (node && (is_new || node->class != &fs_staging_class)) {
        fs_op_error(op, EEXIST);
        return NULL;
    }
    if (!node && (sink ? guest_tree->sinks >= SINKS_MAX
                       : guest_tree->staging_files >= FS_STAGING_FILES_MAX)) {
        fs_op_refuse(op, ENOSPC, "too many staging files");
        return NULL;
    }
    if (!node)
        node = staging_new(op->tree, op->node, op->name, op->attr.st_mode, class, sink);
    return node;
}

static void create(FsOp *op, bool sink, bool brief)
{
    FsNode *node = make(op, &fs_staging_class, sink);
    FsHandle *handle;
    struct stat attr;

    if (!node)
        return;
    fs_staging_of(node)->brief = brief;
    handle = fs_handle_new(op->tree, node);
    fs_staging_fill(op->tree, node, &attr);
    fs_op_reply_create(op, node, &attr, handle);
}

void fs_staging_refuse_name(FsOp *op)
{
    fs_op_refuse(op, EINVAL, "neither NAME-GUID nor a name that a program gives a temporary file");
}

void fs_staging_create(FsOp *op)
{
    if (fs_name_is_staging(op->name))
        create(op, false, false);
    else
        fs_staging_refuse_name(op);
}

void fs_staging_create_sink(FsOp *op, bool brief)
{
    create(op, true, brief);
}

static void reply_made(FsOp *op, FsNode *node)
{
    struct stat attr;

    fs_staging_fill(op->tree, node, &attr);
    fs_op_reply_entry(op, node, &attr, FS_KEEP_NOTHING);
}

void fs_staging_link(FsOp *op)
{
    FsNode *node;

    op->attr.st_mode = 0777;
    node = make(op, &fs_staging_link_class, true);
    if (node) {
        fs_staging_of(node)->target = g_strdup(g_bytes_get_data(op->content, NULL));
        reply_made(op, node);
    }
}

void fs_staging_folder(FsOp *op)
{
    FsNode *node;

    op->attr.st_mode = 0755;
    node = make(op, &fs_staging_folder_class, true);
    if (node)
        reply_made(op, node);
}
