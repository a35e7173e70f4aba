/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Staging files: what rsync, sed -i and editors write beside a file and rename onto it. They live
 * in memory, under the names that such programs make, in vars/ and in a guest's directory; are not
 * listed; and go 60 s after they were last used. The list of them holds their nodes, so they
 * outlive the kernel's interest.
 *
 * Sinks are what a restore writes where files and links are generated: nothing is kept in them, and
 * they stay a while for what is done with their names.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "tree-parts.h"

#define FILES_MAX 16 /* a guest */
#define SINKS_MAX 4096
#define VARS_FILE_MAX (128 * 1024)          /* in vars/: a variable */
#define CONTROL_FILE_MAX FS_STORE_IMAGE_MAX /* beside store.json: a whole store */
#define GUEST_BYTES_MAX (CONTROL_FILE_MAX + FILES_MAX * VARS_FILE_MAX)
#define UNUSED_US (60 * G_USEC_PER_SEC)
#define LOOK_EVERY_S 10

static const FsNodeClass staging_link_class, staging_folder_class;

struct FsStaging {
    FsNode *node; /* held */
    GByteArray *bytes;
    char *target; /* of a link; NULL: it is a file */
    bool sink;    /* nothing is kept */
    bool brief;   /* a sink that goes when it is closed */
    size_t max_bytes;
    mode_t mode;
    int64_t mtime_ns;
    bool mtime_set;
    int64_t used_us; /* monotonic */
    GList in_tree;   /* FsTree.staging */
};

static FsStaging *staging_of(const FsNode *node)
{
    return node->data;
}

static void use(FsTree *tree, FsStaging *staging)
{
    staging->used_us = g_get_monotonic_time();
    g_queue_unlink(&tree->staging, &staging->in_tree);
    g_queue_push_tail_link(&tree->staging, &staging->in_tree);
}

/* Off the list and out of the guest's account; the node keeps nothing of it. */
static void release(FsTree *tree, FsNode *node)
{
    FsStaging *staging = staging_of(node);
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
        if (!guest || node->guest == guest) {
            fs_staging_remove(tree, node);
        }
    }
}

static void tell_dropped(const FsStaging *staging)
{
    const FsNode *node = staging->node;

    if (node->guest && !staging->sink && staging->bytes->len > 0) {
        fs_guest_log(node->guest, "%s was not renamed onto a file for a minute: %u bytes dropped",
                     node->name, staging->bytes->len);
    }
}

static gboolean expire(gpointer data)
{
    FsTree *tree = data;
    int64_t limit = g_get_monotonic_time() - UNUSED_US;

    for (GList *link = tree->staging.head, *next; link; link = next) {
        FsStaging *staging = link->data;
        next = link->next;
        if (staging->used_us > limit) {
            break;
        }
        if (staging->node->opens == 0) {
            tell_dropped(staging);
            fs_tree_node_gone(tree, staging->node, true);
            fs_staging_remove(tree, staging->node);
        }
    }
    if (tree->staging.length > 0) {
        return G_SOURCE_CONTINUE;
    }
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

    fs_nodes_join_guest(node, parent->guest, &guest_tree->nodes);
    fs_node_hold(node);
    node->data = staging;
    staging->node = node;
    staging->bytes = g_byte_array_new();
    staging->max_bytes = parent == guest_tree->vars ? VARS_FILE_MAX : CONTROL_FILE_MAX;
    staging->mode = mode & 07777;
    staging->mtime_ns = g_get_real_time() * 1000;
    staging->in_tree.data = staging;
    g_queue_push_tail_link(&tree->staging, &staging->in_tree);
    use(tree, staging);
    staging->sink = sink;
    guest_tree->staging_files += !sink;
    guest_tree->sinks += sink;
    if (!tree->staging_timer) {
        tree->staging_timer = g_timeout_add_seconds(LOOK_EVERY_S, expire, tree);
        tree->context_changed = true;
    }
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
    if (!node && (sink ? guest_tree->sinks >= SINKS_MAX : guest_tree->staging_files >= FILES_MAX)) {
        fs_guest_refused(op->node->guest, "too many staging files");
        fs_op_error(op, ENOSPC);
        return NULL;
    }
    if (!node) {
        node = staging_new(op->tree, op->node, op->name, op->attr.st_mode, class, sink);
    }
    return node;
}

static void create(FsOp *op, bool sink, bool brief)
{
    FsNode *node = make(op, &fs_staging_class, sink);
    FsHandle *handle;
    struct stat attr;

    if (!node) {
        return;
    }
    staging_of(node)->brief = brief;
    handle = fs_handle_new(op->tree, node);
    fs_staging_fill(op->tree, node, &attr);
    fs_op_reply_create(op, node, &attr, handle);
}

void fs_staging_create(FsOp *op)
{
    if (fs_name_is_staging(op->name)) {
        create(op, false, false);
    } else {
        fs_guest_refused(op->node->guest,
                         "neither NAME-GUID nor a name that a program gives a temporary file");
        fs_op_error(op, EINVAL);
    }
}

void fs_staging_create_sink(FsOp *op, bool brief)
{
    create(op, true, brief);
}

static void reply_made(FsOp *op, FsNode *node)
{
    struct stat attr;

    fs_staging_fill(op->tree, node, &attr);
    fs_op_reply_entry(op, node, &attr, 0);
}

void fs_staging_link(FsOp *op)
{
    FsNode *node;

    op->attr.st_mode = 0777;
    node = make(op, &staging_link_class, true);
    if (node) {
        staging_of(node)->target = g_strdup(g_bytes_get_data(op->content, NULL));
        reply_made(op, node);
    }
}

void fs_staging_folder(FsOp *op)
{
    FsNode *node;

    op->attr.st_mode = 0755;
    node = make(op, &staging_folder_class, true);
    if (node) {
        reply_made(op, node);
    }
}

/* Using one */

void fs_staging_fill(FsTree *tree, const FsNode *node, struct stat *attr)
{
    const FsStaging *staging = staging_of(node);

    fs_tree_fill(tree, node, node->class->type, attr);
    attr->st_mode = node->class->type | staging->mode;
    attr->st_size = staging->target ? strlen(staging->target) : staging->bytes->len;
    attr->st_blocks = (attr->st_size + 511) / 512;
    fs_stat_set_mtime(attr, staging->mtime_ns);
}

GBytes *fs_staging_content(const FsNode *node)
{
    const FsStaging *staging = staging_of(node);
    return g_bytes_new(staging->bytes->data, staging->bytes->len);
}

int64_t fs_staging_mtime(const FsNode *node)
{
    const FsStaging *staging = staging_of(node);
    return staging->mtime_set ? staging->mtime_ns : 0;
}

/* 0 or an errno; what is new is zeros. */
static int resize(FsNode *node, size_t size)
{
    FsStaging *staging = staging_of(node);
    FsGuestTree *guest_tree = fs_guest_data(node->guest, FS_ROOM_TREE);
    size_t old = staging->bytes->len;

    if (size > staging->max_bytes) {
        return EFBIG;
    }
    if (staging->sink) {
        return 0;
    }
    if (size > old && size - old > GUEST_BYTES_MAX - guest_tree->staging_bytes) {
        return ENOSPC;
    }
    g_byte_array_set_size(staging->bytes, size);
    if (size > old) {
        memset(staging->bytes->data + old, 0, size - old);
    }
    guest_tree->staging_bytes += size - old;
    return 0;
}

static void staging_getattr(FsOp *op)
{
    struct stat attr;
    fs_staging_fill(op->tree, op->node, &attr);
    fs_op_reply_attr(op, &attr, 0);
}

static void staging_setattr(FsOp *op)
{
    FsStaging *staging = staging_of(op->node);
    const struct timespec *time = &op->attr.st_mtim;

    use(op->tree, staging);
    if (op->flags & FUSE_SET_ATTR_SIZE) {
        int error = resize(op->node, op->attr.st_size);
        if (error) {
            fs_op_error(op, error);
            return;
        }
    }
    if (op->flags & FUSE_SET_ATTR_MODE) {
        staging->mode = op->attr.st_mode & 07777;
    }
    if (op->flags & FUSE_SET_ATTR_MTIME_NOW) {
        staging->mtime_ns = g_get_real_time() * 1000;
        staging->mtime_set = false;
    } else if (op->flags & FUSE_SET_ATTR_MTIME) {
        staging->mtime_ns = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
        staging->mtime_set = true;
    }
    staging_getattr(op);
}

static void staging_open(FsOp *op)
{
    FsHandle *handle = fs_handle_new(op->tree, op->node);

    use(op->tree, staging_of(op->node));
    if (op->file.flags & O_TRUNC) {
        resize(op->node, 0);
    }
    fs_op_reply_open(op, handle);
}

static void staging_read(FsOp *op)
{
    FsStaging *staging = staging_of(op->node);
    size_t offset = MIN(op->offset, staging->bytes->len);

    use(op->tree, staging);
    op->size = MIN(op->size, staging->bytes->len - offset);
    op->offset = 0;
    op->content = g_bytes_new(staging->bytes->data + offset, op->size);
    fs_op_reply_slice(op, op->content);
}

static void staging_write(FsOp *op)
{
    FsStaging *staging = staging_of(op->node);
    size_t size;
    const void *bytes = g_bytes_get_data(op->content, &size);
    size_t offset = op->file.flags & O_APPEND ? staging->bytes->len : op->offset;
    int error = 0;

    use(op->tree, staging);
    if (staging->sink) {
        fs_op_reply_written(op);
        return;
    }
    if (offset > staging->max_bytes) {
        error = EFBIG;
    } else if (offset + size > staging->bytes->len) {
        error = resize(op->node, offset + size);
    }
    if (error) {
        fs_op_error(op, error);
        return;
    }
    memcpy(staging->bytes->data + offset, bytes, size);
    staging->mtime_ns = g_get_real_time() * 1000;
    staging->mtime_set = false;
    fs_op_reply_written(op);
}

void fs_staging_rename(FsOp *op)
{
    FsNode *node = fs_nodes_child(op->tree->nodes, op->node, op->name);
    FsNode *target = fs_nodes_child(op->tree->nodes, op->node, op->new_name);

    if (target == node) {
        fs_op_error(op, 0);
    } else if (target && !fs_node_is_staging(target)) {
        fs_op_error(op, EPERM);
    } else if (!fs_name_is_staging(op->new_name)) {
        fs_guest_refused(op->node->guest,
                         "neither NAME-GUID nor a name that a program gives a temporary file");
        fs_op_error(op, EINVAL);
    } else if (target && op->flags & RENAME_NOREPLACE) {
        fs_op_error(op, EEXIST);
    } else {
        if (target) {
            fs_staging_remove(op->tree, target);
        }
        use(op->tree, staging_of(node));
        fs_nodes_rename(op->tree->nodes, node, op->new_name);
        fs_op_error(op, 0);
    }
}

static void staging_release(FsTree *tree, FsHandle *handle)
{
    FsNode *node = handle->node;

    if (node->data && node->opens == 1 && fs_node_is_staging(node) && staging_of(node)->brief) {
        fs_staging_remove(tree, node);
    }
}

static void staging_readlink(FsOp *op)
{
    fs_op_reply_text(op, staging_of(op->node)->target);
}

/* Folders: what is made in them is sinks. */

static FsNode *folder_child(const FsOp *op)
{
    return fs_nodes_child(op->tree->nodes, op->node, op->name);
}

static void folder_lookup(FsOp *op)
{
    FsNode *child = folder_child(op);

    if (child) {
        fs_op_reply_lookup_of(op, child);
    } else {
        fs_op_error(op, ENOENT);
    }
}

static void folder_readdir(FsOp *op)
{
    fs_op_begin_directory(op);
    fs_op_add_dots(op);
    fs_op_reply_directory(op);
}

static void folder_create(FsOp *op)
{
    create(op, true, !fs_name_is_staging(op->name));
}

static void folder_remove(FsOp *op)
{
    FsNode *child = folder_child(op);

    if (child) {
        fs_staging_remove(op->tree, child);
    }
    fs_op_error(op, child ? 0 : ENOENT);
}

bool fs_node_is_staging(const FsNode *node)
{
    return node->class == &fs_staging_class || node->class == &staging_link_class ||
           node->class == &staging_folder_class;
}

static const FsNodeClass staging_link_class = {
    .type = S_IFLNK,
    .getattr = staging_getattr,
    .setattr = staging_setattr,
    .readlink = staging_readlink,
    .statfs = fs_vars_statfs,
};

static const FsNodeClass staging_folder_class = {
    .type = S_IFDIR,
    .lookup = folder_lookup,
    .getattr = staging_getattr,
    .setattr = staging_setattr,
    .readdir = folder_readdir,
    .create = folder_create,
    .mkdir = fs_staging_folder,
    .symlink = fs_staging_link,
    .unlink = folder_remove,
    .rmdir = folder_remove,
    .rename = folder_remove, /* whatever it becomes is generated */
    .statfs = fs_vars_statfs,
};

const FsNodeClass fs_staging_class = {
    .type = S_IFREG,
    .getattr = staging_getattr,
    .setattr = staging_setattr,
    .open = staging_open,
    .read = staging_read,
    .write = staging_write,
    .release = staging_release,
    .statfs = fs_vars_statfs,
};
