/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The tree as the kernel sees it, over the fleet.
 *
 * A node's class says what can be done with it (op.h: a function of a class gets an FsOp and ends
 * it by one reply, now or later). What exists under guests/ and vars/ is never kept here: it is
 * asked from the fleet and the replica each time. Only what neither knows is state of the tree:
 * staging files, immutable flags, zero-length files that are open, texts being written.
 *
 * Everything runs in the one thread of the main loop, but the notifier (notify.h).
 */

#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>

#include "firmware.h"
#include "nodes.h"
#include "notify.h"

/* What the kernel may go by without asking again. */
typedef enum {
    FS_KEEP_NOTHING,
    FS_KEEP_LOOKED_UP, /* the name is looked up each time, unless it was listed just before; what
                          was told then holds a moment */
    FS_KEEP_FOLDER,    /* the name, until it is invalidated; attributes hold a moment */
    FS_KEEP_TOLD,      /* the same, and attributes hold until the fleet says that the guest's files
                          changed, where it is told */
    FS_KEEP_ALL,       /* until it is invalidated */
} FsKeep;

typedef struct FsHandle FsHandle;
typedef struct FsRestore FsRestore;
typedef struct FsStaging FsStaging;
typedef struct FsOpPool FsOpPool;

typedef struct {
    bool read_only, immutable_kernel;
    bool guest_view;   /* only what the guest's OS sees */
    bool views;        /* boot/, secure-boot/, next-boot/ */
    bool shared;       /* other hosts have SOURCE, and the kernel is not told of their changes: */
    unsigned look_s;   /* it remembers nothing for longer */
    char *const *keys; /* folders with profiles for secure-boot/enroll; borrowed */
    uid_t uid;         /* (uid_t)-1: the store's owner */
    gid_t gid;
    mode_t umask;
    bool umask_set;
    FsFirmwareOptions firmware;
} FsTreeOptions;

typedef struct {
    FsFleet *fleet;
    const FsTreeOptions *options;
    struct fuse_session *session;
    FsNodes *nodes;
    FsNotify *notify;
    FsOpPool *pool;
    FsFirmware *firmware;
    FsNode *root;
    FsNode *guests;       /* guests/, or NULL where SOURCE is a file */
    FsRefusals *refusals; /* of what is no guest's */
    GQueue staging;       /* FsStaging, the one that was used last at the tail */
    guint staging_timer;
    uint64_t staging_sequence;
    uid_t uid; /* of what belongs to no guest */
    gid_t gid;
    int64_t mtime_ns;      /* SOURCE's when mounted: of what belongs to no guest */
    FsNode *firmware_node; /* firmware/ at the top, once there was one */
    bool usable;           /* the kernel has shaken hands */
    bool stopped;          /* it ends: the monitor says so, or is gone */
} FsTree;

/* What all attributes of a guest's files are made of. */
typedef struct {
    uint32_t uid, gid;
    uint16_t access;
} FsOwner;

/* The folders of a guest that have times of their own. */
typedef enum FsFolder {
    FS_FOLDER_GUEST,
    FS_FOLDER_VARS,
    FS_FOLDER_VIEWS, /* all of them */
    FS_FOLDERS,
} FsFolder;

/* What the tree keeps of one guest; made when the kernel first hears of it. */
typedef struct {
    FsTree *tree;
    FsGuest *guest;
    FsNode nodes;          /* sentinel of the list of its nodes */
    FsNode *vars;          /* the node of vars/, while there is one */
    FsHandle *pollers;     /* see pollers.h */
    GHashTable *immutable; /* file name → flag, where it is not the default; NULL: none */
    GHashTable *away;      /* see view-away.h; NULL: none */
    FsRestore *restore;    /* by the program that made the guest; NULL: none */
    unsigned staging_files, sinks;
    size_t staging_bytes;
    size_t held_bytes;       /* by open files, see fs_handle_hold() */
    bool export_stale;       /* changed since store.json was last exported */
    uint64_t export_bytes;   /* of a store that is not a JSON file: the last export ... */
    FsIdentity export_of;    /* ... of this store */
    size_t status_bytes;     /* the last status.json */
    int64_t changed_ns;      /* real time of the last change of a variable that was seen; 0: none */
    FsOwner owner;           /* as the kernel was told */
    bool told;               /* the kernel may keep attributes of its nodes */
    int64_t folders_told_at; /* when it was last told that those of folders hold no longer */
    guint folders_late;      /* a timer: it will be told again; 0: none */
    bool times_taken[FS_FOLDERS]; /* a program set the folder's time since ... */
    int64_t taken_ns[FS_FOLDERS]; /* ... to this */
} FsGuestTree;

FsTree *fs_tree_new(const FsTreeOptions *options);
/* What it shows; before anything is asked of it. */
void fs_tree_attach(FsTree *tree, FsFleet *fleet);
void fs_tree_free(FsTree *tree);
/* The session's operations; its user data is the tree. */
extern const struct fuse_lowlevel_ops fs_tree_ops;

FsGuestTree *fs_tree_guest(FsTree *tree, FsGuest *guest);

/* Attributes every node shares: inode, type and mode, owner, one link, block size. The mode is at
 * most that given, what SOURCE lets whom do with the guest's store (or in SOURCE itself), and what
 * umask leaves. */
void fs_tree_fill(FsTree *tree, const FsNode *node, mode_t type_and_mode, struct stat *attr);
void fs_stat_set_mtime(struct stat *attr, int64_t mtime_ns);
int64_t fs_stat_mtime_ns(const struct stat *st);
/* Of the guest's store, or what stands for it. */
int64_t fs_tree_guest_mtime_ns(const FsGuest *guest);
/* A folder of the guest is being told: where its files are not what the kernel was told before, all
 * attributes of them are void. FS_NEED_LOOK. */
void fs_tree_follow_owner(FsTree *tree, FsGuest *guest);

/* What was told of the guest's files, but its variables, may not hold any longer. */
void fs_tree_guest_changed(FsTree *tree, FsGuest *guest);
/* ... because a variable changed, as variables do many times in a row: of the folders, which the
 * kernel asks about again on each way through them, it is told no more often than a local file
 * system's clock ticks. */
void fs_tree_contents_changed(FsTree *tree, FsGuest *guest);
/* The kernel's attributes of a node no longer hold. Safe inside a request. */
void fs_tree_invalidate(FsTree *tree, FsNode *node);
/* The node stands for nothing any more: no name here, and (from another thread, at leisure) none in
 * the kernel. */
void fs_tree_node_gone(FsTree *tree, FsNode *node, bool tell_kernel);

/* Inode numbers: a guest's sequence in the upper half, and in the lower one of these. */
enum {
    FS_SLOT_ROOT = 1,
    FS_SLOT_GUESTS = 2,
    FS_SLOT_GUEST = 1,
    FS_SLOT_VARS = 2,
    FS_SLOT_FILES = 0x10,    /* and the index in the table of files */
    FS_SLOT_VIRTUALS = 0x20, /* and the index of the generated subtree */
    FS_SLOT_CHANGES = 3,
    FS_SLOT_TRACES = 4,           /* and the kind of the trace */
    FS_SLOT_VIEWS = 0x30,         /* and the index of the view */
    FS_SLOT_VARIABLES = 0x1000,   /* and the entry's sequence */
    FS_SLOT_STAGING = 0x40000000, /* and a counter */
    FS_SLOT_VIRTUAL = 0x80000000, /* and a hash of the path, see tree-virtual.c */
};
uint64_t fs_inode(const FsGuest *guest, uint64_t slot);
