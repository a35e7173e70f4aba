/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "refused.h"

#include <errno.h>
#include <string.h>

#include "names.h"

/* What the operations are called, and what a bare EPERM of them means. */
static const struct {
    const char *name, *not_permitted;
    bool changes_at_once; /* or only opens the way for a change */
} operations[] = {
    [FS_OP_OPEN] = {"open", "it is generated, and can't be written", false},
    [FS_OP_CREATE] = {"create", "no file can be made there under that name", false},
    [FS_OP_WRITE] = {"write", "it is generated, and can't be written", true},
    [FS_OP_CLOSE] = {"close", "it is generated, and can't be written", false},
    [FS_OP_SETATTR] = {"setattr", "it has no attributes that can be set", false},
    [FS_OP_FLAGS] = {"setflags", "it has no flags that can be set", false},
    [FS_OP_MKDIR] = {"mkdir", "no folder can be made there under that name", true},
    [FS_OP_RMDIR] = {"rmdir", "it is generated, and can't be removed", true},
    [FS_OP_UNLINK] = {"unlink", "it is generated, and can't be removed", true},
    [FS_OP_RENAME] = {"rename",
                      "only what a program made beside a file can be renamed, and only onto a file",
                      true},
    [FS_OP_SYMLINK] = {"symlink", "no links can be made there", true},
    [FS_OP_LINK] = {"link", "no links can be made there", true},
    [FS_OP_MKNOD] = {"mknod", "no special files can be made there", true},
};

static bool is_top(const FsNode *node)
{
    return !node->parent || node->parent->guest != node->guest;
}

/* From the guest's directory, or for what is no guest's from the mount's root; the caller's. */
static char *path_of(const FsNode *node, const char *name)
{
    return fs_node_path_below(node, name, is_top);
}

/* The guest of what the op is about: a guest itself is a child of guests/. */
static FsGuest *guest_of(const FsOp *op)
{
    return op->node->guest || !op->child ? op->node->guest : op->child->guest;
}

/* What of op->node is meant; NULL: itself. */
static const char *name_of(const FsOp *op)
{
    switch (op->operation) {
    case FS_OP_RENAME:
        return op->new_name;
    case FS_OP_CREATE:
    case FS_OP_MKDIR:
    case FS_OP_RMDIR:
    case FS_OP_UNLINK:
    case FS_OP_SYMLINK:
    case FS_OP_LINK:
    case FS_OP_MKNOD:
        return op->as_entry ? NULL : op->name; /* an entry's node is the child */
    default:
        return NULL;
    }
}

/* A variable's GUID can be written in several ways. */
static char *target_of(const FsOp *op)
{
    const char *name = name_of(op);
    char folded[UV_FILE_NAME_MAX + 1];

    if (!op->node->guest && guest_of(op))
        return g_strdup(""); /* that guest */
    return path_of(op->node, name && fs_name_fold(name, folded) ? folded : name);
}

static FsRefusals *refusals_of(FsTree *tree, FsGuest *guest)
{
    return guest ? fs_guest_refusals(guest) : tree->refusals;
}

static const char *text_of(const FsOp *op, FsGuest *guest, int error)
{
    const char *failure = guest ? fs_guest_failure(guest) : NULL;

    if (op->reason)
        return op->reason;
    if (error == EPERM)
        return operations[op->operation].not_permitted;
    if (error == EIO && failure)
        return failure;
    return g_strerror(error);
}

static bool is_passing(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    return *name && fs_name_is_staging(name);
}

/* Of now; the texts are borrowed. */
static FsRefusal refusal_of(const char *path, const char *operation, int error, const char *text)
{
    return (FsRefusal){
        .at_us = g_get_real_time(),
        .error = error,
        .operation = operation,
        .path = path,
        .text = text,
        .passing = is_passing(path),
    };
}

/* What a process still waits for. */
typedef struct {
    fuse_req_t req;
    int error;
} Answer;

static void answer(FsGuest *guest, int error, void *data)
{
    g_autofree Answer *waiting = data;

    fuse_reply_err(waiting->req, waiting->error);
}

static void interrupted(fuse_req_t req, void *data)
{
    fs_fleet_interrupt(((FsTree *)data)->fleet, req);
}

/* true: the request is answered later. */
static bool record(FsOp *op, FsGuest *guest, const FsRefusal *refusal)
{
    Answer *waiting;

    if (!guest || op->on_record)
        return false;
    waiting = g_new(Answer, 1);
    *waiting = (Answer){op->req, refusal->error};
    if (fs_guest_record_refusal(guest, op->req, refusal, answer, waiting)) {
        fuse_req_interrupt_func(op->req, interrupted, op->tree);
        return true;
    }
    g_free(waiting);
    return false;
}

bool fs_refused_tell(FsOp *op, int error)
{
    FsGuest *guest = guest_of(op);
    g_autofree char *path = NULL;

    if (op->operation == FS_OP_READS || error == ENOENT || error == ESTALE || error == EINTR)
        return false;
    fs_op_reason(op);
    path = target_of(op);
    const FsRefusal refusal =
        refusal_of(path, operations[op->operation].name, error, text_of(op, guest, error));
    fs_refusals_add(refusals_of(op->tree, guest), &refusal);
    return record(op, guest, &refusal);
}

void fs_refused_clear(FsOp *op)
{
    FsRefusals *refusals = refusals_of(op->tree, guest_of(op));
    g_autofree char *path = NULL;

    if (fs_refusals_is_empty(refusals) || !operations[op->operation].changes_at_once)
        return;
    path = target_of(op);
    fs_refusals_succeeded(refusals, path);
}

void fs_refused_late(FsTree *tree, const FsNode *node, const char *name, const char *operation,
                     int error, const char *text)
{
    g_autofree char *path = path_of(node, name);
    const FsRefusal refusal = refusal_of(path, operation, error, text);

    fs_refusals_add(refusals_of(tree, node->guest), &refusal);
    if (node->guest && !fs_guest_is_on_record(node->guest))
        fs_guest_record_refusal(node->guest, NULL, &refusal, NULL, NULL);
}

static char *text_at(FsTree *tree, const FsNode *node)
{
    FsRefusals *refusals = refusals_of(tree, node->guest);
    g_autofree char *path = NULL;
    const FsRefusal *refusal;

    if (node->gone || fs_refusals_is_empty(refusals))
        return NULL;
    path = path_of(node, NULL);
    refusal = fs_refusals_last(refusals, path);
    return refusal ? fs_refusal_line(refusal) : NULL;
}

static void reply_value(fuse_req_t req, const char *value, size_t size)
{
    if (size == 0)
        fuse_reply_xattr(req, value ? strlen(value) : 0);
    else if (value && strlen(value) > size)
        fuse_reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, value, value ? strlen(value) : 0);
}

/* Labels and access lists are no attributes of these files, as in efivarfs: who hears that of one
 * file (ls -l) does not ask for those of the next. */
void fs_refused_getxattr(fuse_req_t req, fuse_ino_t id, const char *name, size_t size)
{
    FsTree *tree = fuse_req_userdata(req);
    const FsNode *node = fs_nodes_get(tree->nodes, id);
    g_autofree char *text =
        node && strcmp(name, FS_REFUSED_XATTR) == 0 ? text_at(tree, node) : NULL;

    if (text)
        reply_value(req, text, size);
    else
        fuse_reply_err(req, g_str_has_prefix(name, "user.") ? ENODATA : EOPNOTSUPP);
}

/* As in efivarfs the list is empty; an error would make each archiver warn of each file. */
void fs_refused_listxattr(fuse_req_t req, fuse_ino_t id, size_t size)
{
    reply_value(req, NULL, size);
}
