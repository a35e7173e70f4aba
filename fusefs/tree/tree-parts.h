/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of the tree offer each other. */

#include "op.h"
#include "virtual.h"

/* tree-root.c */
FsNode *fs_root_node(FsTree *tree);

/* tree-guest.c: a guest's directory, and what is generated in it. */
FsNode *fs_guest_node(FsTree *tree, FsGuest *guest); /* made or found */
/* Returns what the kernel may keep. */
FsKeep fs_guest_fill(FsTree *tree, const FsNode *node, struct stat *ret_attr);

/* tree-vars.c. `parent` NULL: it is the root. */
FsNode *fs_vars_node(FsTree *tree, FsGuest *guest, FsNode *parent);
void fs_vars_statfs(FsOp *op);
void fs_vars_entry_changed(FsTree *tree, FsNode *vars, const char *name, FsEntryEvent event);

/* tree-variable.c: `name` is folded or canonical. */
extern const FsNodeClass fs_variable_class;
FsNode *fs_variable_node(FsTree *tree, FsNode *vars, const char *name);
/* Inside a step that has the replica. `entry` NULL: a zero-length file. */
void fs_variable_fill(FsTree *tree, FsNode *node, const FsEntry *entry, struct stat *attr);
/* The replica changed: the kernel is told if it knows something else. */
void fs_variable_changed(FsTree *tree, FsNode *node, const FsEntry *entry);
/* Of a handle to write through: where the program writes in pieces, they are one value. */
void fs_variable_collect(const FsOp *op, FsHandle *handle);
extern const char fs_variable_immutable[]; /* why what is so can't be changed */
bool fs_variable_default_immutable(const FsTree *tree, const char *name);
bool fs_variable_is_immutable(const FsTree *tree, const FsNode *node);
void fs_variable_set_immutable(FsTree *tree, FsNode *node, bool immutable);

/* variable-write.c: 0, or the errno of a content that is not even tried: attributes and data. */
int fs_variable_check(const FsTree *tree, FsGuest *guest, GBytes *content);

/* control-files.c: store.json, status.json, config.json and links. */
typedef struct FsControl FsControl;
const FsControl *fs_control_find(const char *name);
const FsControl *fs_control_at(size_t index);                           /* NULL: no more */
bool fs_control_exists(const FsControl *control, const FsGuest *guest); /* FS_NEED_LOOK */

/* tree-control.c: their nodes. */
/* Where op->node is the guest's directory and the name is the control file's. */
void fs_control_create(FsOp *op, const FsControl *control);
void fs_control_symlink(FsOp *op, const FsControl *control);
FsNode *fs_control_node(FsTree *tree, FsNode *guest_node, const FsControl *control);

/* op->node is the guest's directory: `staging` takes the control file's place, if it commits. */
void fs_control_rename_onto(FsOp *op, FsNode *staging);

/* tree-virtual.c: firmware/ of the mount and of a guest. */
FsNode *fs_virtual_top(FsTree *tree);
/* Made or found; NULL: that is not its name. */
FsNode *fs_virtual_guest(FsTree *tree, FsNode *guest_node, const char *name);

/* tree-changes.c: the record of changes. */
#define FS_CHANGES_NAME "changes"
FsNode *fs_changes_node(FsTree *tree, FsNode *guest_node);

/* tree-trace.c: what the guest does. */
bool fs_trace_file_is(const char *name);
FsNode *fs_trace_file_node(FsTree *tree, FsNode *guest_node, const char *name);

/* tree-view.c: boot/, secure-boot/ and next-boot/ of a guest. */
FsNode *fs_view_folder(FsTree *tree, FsNode *guest_node, const char *name); /* NULL: none of them */
const char *fs_view_folder_at(const FsTree *tree, size_t index);            /* NULL: no more */

/* staging.c */
extern const FsNodeClass fs_staging_class;
bool fs_node_is_staging(const FsNode *node); /* a file, a link or a folder */
/* The one that is called op->name in op->node; NULL: nothing is, or something else. */
FsNode *fs_staging_child(const FsOp *op);
/* op->node is the directory; only names that programs give temporary files. */
void fs_staging_create(FsOp *op);
/* Under whatever name; `brief`: gone when it is closed. */
void fs_staging_create_sink(FsOp *op, bool brief);
void fs_staging_folder(FsOp *op);
void fs_staging_link(FsOp *op);
void fs_staging_forget_guest(FsTree *tree, FsGuest *guest); /* NULL: all */
GBytes *fs_staging_content(const FsNode *node);
int64_t fs_staging_mtime(const FsNode *node); /* 0: no program set it */
void fs_staging_remove(FsTree *tree, FsNode *node);
/* The staging file has become what the kernel takes it for now: a node of that class and name. */
void fs_staging_become(FsTree *tree, FsNode *node, const FsNodeClass *class, const char *name,
                       uint64_t inode);
void fs_staging_fill(FsTree *tree, const FsNode *node, struct stat *attr);
/* A staging file takes another name in its directory. */
void fs_staging_rename(FsOp *op);
