/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the kernel knows of the tree.
 *
 * Three id spaces. A node id is a fresh 64-bit number for each node, never reused, and names it to
 * the kernel. An inode number (st_ino) is derived from what the node stands for, so it is the same
 * when the kernel forgot the node and asks again. A name is unique among the hashed children of a
 * directory node; an unhashed node has lost its name, perhaps to another node, and lives until
 * the kernel forgets it.
 *
 * A node is freed when the kernel's lookups and the references held here are both gone.
 */

#include "fleet.h"

typedef struct FsNode FsNode;
typedef struct FsNodeClass FsNodeClass;
typedef struct FsNodes FsNodes;

struct FsNode {
    uint64_t id;
    uint64_t inode;
    const FsNodeClass *class;
    FsNode *parent; /* holds a reference */
    char *name;
    FsGuest *guest; /* NULL: belongs to none, or it is gone */
    FsNode *guest_next, *guest_previous;
    uint64_t lookups;
    unsigned references;
    unsigned opens;
    bool hashed;
    bool gone; /* what it stood for is not there any more */

    /* It was there when last looked at; a delete of ours (of a variable) is under way; what the
     * kernel was told of it last. */
    bool existed, unlinking, told;
    size_t told_size;
    int64_t told_mtime_ns;

    void *data; /* the class's own */
    GDestroyNotify data_free;
};

FsNodes *fs_nodes_new(void);
void fs_nodes_free(FsNodes *nodes);

FsNode *fs_nodes_get(const FsNodes *nodes, uint64_t id);
/* The hashed child of that name, or NULL. */
FsNode *fs_nodes_child(const FsNodes *nodes, const FsNode *parent, const char *name);
/* The names from the first node below one that is a top down to this one, and to `name` in it
 * (NULL: itself); to be freed. */
char *fs_node_path_below(const FsNode *node, const char *name, bool (*is_top)(const FsNode *node));
/* Below the topmost folder with the same `data`, as in a view or another subtree of one owner; "":
 * it is that folder. To be freed, as is where its child of that name is. */
char *fs_node_path(const FsNode *node);
char *fs_node_child_path(const FsNode *folder, const char *name);
/* A new hashed child (`parent` NULL: the root), of its parent's guest. It is held by none yet: hand
 * it to the kernel, hold it, or give it to fs_nodes_discard(). */
FsNode *fs_nodes_add(FsNodes *nodes, const FsNodeClass *class, FsNode *parent, const char *name,
                     uint64_t inode);
/* The hashed child of that name, whatever it is; else such a new one with that `data`. */
FsNode *fs_nodes_make(FsNodes *nodes, const FsNodeClass *class, FsNode *parent, const char *name,
                      uint64_t inode, const void *data);
/* Into the list of a guest's nodes; `head` is that list's sentinel, no node itself. */
void fs_nodes_join_guest(FsNode *node, FsGuest *guest, FsNode *head);
void fs_nodes_discard(FsNodes *nodes, FsNode *node);
void fs_nodes_unhash(FsNodes *nodes, FsNode *node);
/* Takes the place of whatever has that name now (which is unhashed). */
void fs_nodes_rename(FsNodes *nodes, FsNode *node, const char *name);

void fs_node_hold(FsNode *node);
void fs_nodes_drop(FsNodes *nodes, FsNode *node);
void fs_nodes_forget(FsNodes *nodes, uint64_t id, uint64_t lookups);
