/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One FUSE request on its way.
 *
 * ops.c makes an FsOp of a request (copied: what libfuse passes ends with the callback) and hands
 * it to the node's class. The class ends it with exactly one fs_op_reply_*(), at once or in the
 * step that it gave when it had to wait. Ops come from the tree's pool, so a request costs no
 * allocation.
 */

#include "collected.h"
#include "tree.h"
#include "views.h"

/* The largest image that a backup has: Arm's are 64 MiB. */
#define FS_STORE_IMAGE_MAX (72u * 1024 * 1024)

/* An open file. */
struct FsHandle {
    FsNode *node;                 /* held */
    GBytes *snapshot;             /* what is being read; NULL: nothing yet */
    void *text;                   /* FsTextFile: what is being written to a control file */
    size_t held;                  /* bytes of these, charged to the guest */
    off_t write_end;              /* where the last write ended; -1: none yet */
    GBytes *deletion;             /* attributes that were written alone, and what they do not yet */
    bool made_again;              /* of a file of a view: who opened it had removed it */
    pid_t opener;                 /* who opened it, as the kernel tells */
    off_t read_end;               /* where the last read ended, of what grows */
    struct fuse_pollhandle *poll; /* waits until it grows; NULL: no process does (pollers.h) */
    FsHandle *next_poller;
    FsCollected *collected; /* what is written until it is closed (collected.h); NULL: not so */
    struct FsTraceReader *trace; /* of guests/G/trace; NULL: another file */
};

/* What a request would change. */
typedef enum {
    FS_OP_READS, /* nothing */
    FS_OP_OPEN,  /* to write */
    FS_OP_CREATE,
    FS_OP_WRITE,
    FS_OP_CLOSE,
    FS_OP_SETATTR,
    FS_OP_FLAGS,
    FS_OP_MKDIR,
    FS_OP_RMDIR,
    FS_OP_UNLINK,
    FS_OP_RENAME,
    FS_OP_SYMLINK,
    FS_OP_LINK,
    FS_OP_MKNOD,
} FsOperation;

typedef struct FsOp FsOp;
typedef void (*FsStep)(FsOp *op);

struct FsOp {
    FsTree *tree;
    fuse_req_t req;
    FsNode *node;                 /* what it is about, or the directory of `name`; held */
    FsHandle *handle;             /* NULL: none is known */
    FsNode *child;                /* held between two steps; NULL: none */
    struct fuse_pollhandle *poll; /* owned; NULL: no process waits */
    const int *record; /* in the step after fs_op_open_record(): the older part, the newer one */
    FsGuest *found;    /* in the step after fs_op_find_guest() and fs_op_make_guest() */
    uint64_t offset;   /* also the ioctl's command */
    size_t size;       /* also the bytes of `content` */
    uint32_t flags;    /* of open, rename, or to_set of setattr */
    int error;         /* why `or_else` is called: an errno */
    char *reason;      /* and in words; NULL: it was not told */
    FsOperation operation;
    bool on_record;   /* refused by the engine, which recorded it */
    int64_t mtime_ns; /* rename: the staging file's; 0: no program set it */
    bool plus;        /* readdirplus */
    GBytes *content;  /* what is written, a symbolic link's target; NULL: nothing */

    FsStep step, or_else;
    FsStep done, failed; /* where what takes several steps ends */
    GBytes *image;       /* what the store is to become; NULL: nothing */
    unsigned needs;      /* FsNeeds, of a generated file */
    uint64_t serial;     /* changes with each use of the memory */
    bool waiting;
    bool looked_again; /* a generated file, nothing was found at first */
    bool as_entry;     /* a lookup that its child's getattr answers */
    FsOp *next_free;

    /* All before this is zero at first; this is as who needs it sets it. */
    struct stat attr; /* setattr */
    struct fuse_file_info file;
    char name[NAME_MAX + 1];
    char new_name[NAME_MAX + 1];
};

/* Goes on with the step when something is as it takes it. */
typedef void (*FsWait)(FsOp *op, FsStep step);

/* What can be done with a node; NULL: the usual refusal. Each ends its op. */
struct FsNodeClass {
    mode_t type;
    /* What each waits for; NULL: nothing. */
    struct {
        FsWait lookup, getattr, setattr, readlink, open, read, write, readdir, create, mkdir,
            unlink, rmdir, rename;
    } first;
    FsStep lookup;  /* `name` in a directory */
    FsStep getattr; /* required */
    /* Attributes that take nothing to wait for but FS_NEED_LOOK, and what the kernel may keep; they
     * are told with a listing. false: these take more. NULL: always. */
    bool (*known)(FsTree *tree, FsNode *node, struct stat *ret_attr, FsKeep *ret_keep);
    FsStep setattr;
    FsStep readlink;
    FsStep open;
    FsStep read;
    FsStep write;
    FsStep flush;                                    /* at each close of a descriptor for it */
    void (*release)(FsTree *tree, FsHandle *handle); /* the last thing done with a handle */
    FsStep readdir;
    FsStep create;
    FsStep mkdir;
    FsStep symlink; /* `name`, to op->content */
    FsStep unlink;
    FsStep rmdir;
    FsStep rename; /* of `name` in `node` to `new_name` in it */
    FsStep flags;  /* fs_op_sets_flags() says which */
    FsStep poll;   /* NULL: always ready */
    FsStep statfs;
};

FsOpPool *fs_op_pool_new(void);
void fs_op_pool_free(FsOpPool *pool);
FsOp *fs_op_new(FsTree *tree, fuse_req_t req, FsNode *node);
FsHandle *fs_handle_new(FsTree *tree, FsNode *node);
void fs_handle_free(FsTree *tree, FsHandle *handle);
/* Charges the guest with what the handle holds, all together; false, and as before, if that is more
 * than the open files of one guest may hold. */
bool fs_handle_hold(FsTree *tree, FsHandle *handle, size_t bytes);

/* Each waits, and goes on with `step` or replies the error. Nothing of the op may be used
 * afterwards. */
/* FsNeeds of the node's guest; for a node of none there is nothing to wait for. */
void fs_op_need(FsOp *op, unsigned needs, FsStep step);
void fs_op_need_look(FsOp *op, FsStep step);
void fs_op_need_names(FsOp *op, FsStep step);
void fs_op_need_replica(FsOp *op, FsStep step);
/* The same; an error leads to `or_else`, in op->error. */
void fs_op_try(FsOp *op, unsigned needs, FsStep step, FsStep or_else);
/* The same, and an error of it hinders nothing. */
void fs_op_need_if_possible(FsOp *op, unsigned needs, FsStep step);
void fs_op_need_list(FsOp *op, bool looks, FsStep step); /* of the guests */
/* The guest op->name. */
void fs_op_find_guest(FsOp *op, FsStep step);
void fs_op_make_guest(FsOp *op, FsStep step);
/* A text beside the store. */
void fs_op_write_text(FsOp *op, FsText text, GBytes *bytes, FsStep step, FsStep or_else);
void fs_op_set(FsOp *op, const char *name, GBytes *content, uint32_t flags, int64_t mtime_ns,
               FsStep step, FsStep or_else);
void fs_op_touch(FsOp *op, const char *name, int64_t mtime_ns, FsStep step, FsStep or_else);
void fs_op_import(FsOp *op, GBytes *json, FsStep step, FsStep or_else);
struct FsVirtual;
/* What it shows is ready, and its node's guest as it needs it. */
void fs_op_need_virtual(FsOp *op, const struct FsVirtual *virtual, FsStep step);
/* op->content goes to a generated file. */
void fs_op_write_virtual(FsOp *op, const struct FsVirtual *virtual, const char *path, FsStep step);
/* The kernel has forgotten the names of nodes that are gone. */
void fs_op_need_forgotten(FsOp *op, FsStep step);
void fs_op_remove_guest(FsOp *op); /* that of op->child */
void fs_op_rename_guest(FsOp *op); /* that of op->child, to op->new_name */
/* `step` where the caller is making a name that must not be there yet, `or_else` where not. */
void fs_op_ask_caller(FsOp *op, FsStep step, FsStep or_else);
/* The store becomes op->image, an image of that format. */
void fs_op_make_store(FsOp *op, FsFormat format, FsStep step, FsStep or_else);
/* `step` finds the store's bytes in op->content. */
void fs_op_read_store(FsOp *op, FsStep step, FsStep or_else);
/* `step` finds the reply in op->content. */
void fs_op_call(FsOp *op, uint16_t type, GBytes *payload, FsStep step, FsStep or_else);

/* The guest's record: `step` finds it in op->record, until it returns; -1 is a part that is not
 * there. */
void fs_op_open_record(FsOp *op, FsStep step);
/* Which host the guest is on, a line in op->content (NULL: none). */
void fs_op_ask_holder(FsOp *op, FsStep step);
void fs_op_break_hold(FsOp *op, FsStep step, FsStep or_else);
/* Until the engine tells what op->handle->trace reads; until that may be readable, or has ended. */
void fs_op_await_trace(FsOp *op, FsStep step, FsStep or_else);
void fs_op_wait_trace(FsOp *op, FsStep step);
/* A view of the node's guest: `step` finds a file's text, or the list (""), in op->content. */
void fs_op_view_read(FsOp *op, FsViewKind view, const char *path, FsStep step);
void fs_op_view_act(FsOp *op, FsViewKind view, FsViewAct act, const char *path, GBytes *content,
                    FsStep step, FsStep or_else);

void fs_op_error(FsOp *op, int error); /* 0: done, with nothing to say */
/* The same, for that reason. */
void fs_op_refuse(FsOp *op, int error, const char *reason);
/* Why the op was refused just now, in words; borrowed, NULL: it was not told. */
const char *fs_op_reason(FsOp *op);
void fs_op_reply_attr(FsOp *op, const struct stat *attr, FsKeep keep);
/* As its class does, after waiting. */
void fs_op_getattr(FsOp *op);
/* What the node's class knows. */
void fs_op_reply_known(FsOp *op);
/* Counts the kernel's lookup of `child`. */
void fs_op_reply_entry(FsOp *op, FsNode *child, const struct stat *attr, FsKeep keep);
/* A lookup goes on as the child's getattr, whose reply becomes the entry. */
void fs_op_reply_lookup_of(FsOp *op, FsNode *child);
void fs_op_reply_create(FsOp *op, FsNode *child, const struct stat *attr, FsHandle *handle);
/* NULL: a directory. What the kernel knows of a file's size is put right before. */
void fs_op_reply_open(FsOp *op, FsHandle *handle);
void fs_op_reply_slice(FsOp *op, GBytes *content); /* op->size bytes from op->offset */
void fs_op_reply_snapshot(FsOp *op);               /* the same of what was opened */
void fs_op_reply_text(FsOp *op, const char *text); /* readlink */
void fs_op_reply_written(FsOp *op);
void fs_op_reply_poll(FsOp *op, unsigned events /* POLLIN and so on */);
void fs_op_reply_statfs(FsOp *op, const FsUsage *usage);
/* Of an op for flags: to set op->flags (FS_IMMUTABLE_FL and so on), or to tell them. */
bool fs_op_sets_flags(const FsOp *op);
void fs_op_reply_flags(FsOp *op, unsigned value);
void fs_op_refuse_flags(FsOp *op); /* of what has none, and can have none */

/*
 * A directory's reply: where fs_op_begin_directory() says true fs_op_add() until it says false,
 * then fs_op_reply_directory(). `next_offset` is where to go on after the entry. With readdirplus
 * `child` and `attr` are told too, NULL: name only; a `child` that there is no room for is
 * discarded.
 */
#define FS_FIRST_OFFSET 3 /* of the entry behind "." and "..", whose are 1 and 2 */
/* Adds "." and ".." where they are still to come; false: there is no room for more. */
bool fs_op_begin_directory(FsOp *op);
/* So many entries behind those two were told before, where each offset is one more. */
uint64_t fs_op_told_entries(const FsOp *op);
bool fs_op_add(FsOp *op, const char *name, const struct stat *attr, uint64_t next_offset,
               FsNode *child, FsKeep keep);
/* Whether what is looked up each time is to be told: not where who restores the guest is to find
 * what it has made alone. */
bool fs_op_tells_all(const FsOp *op);
void fs_op_reply_directory(FsOp *op);
