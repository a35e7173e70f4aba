/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "nodes.h"

#include "hash.h"

#include <string.h>

#define DEPTH_MAX 16

struct FsNodes {
    GHashTable *by_id;
    GHashTable *by_name; /* parent and name */
    uint64_t next_id;
};

static guint name_hash(gconstpointer key)
{
    const FsNode *node = key;
    return uv_hash_text(node->name) ^ g_direct_hash(node->parent);
}

static gboolean name_equal(gconstpointer a, gconstpointer b)
{
    const FsNode *left = a, *right = b;
    return left->parent == right->parent && strcmp(left->name, right->name) == 0;
}

FsNodes *fs_nodes_new(void)
{
    FsNodes *nodes = g_new0(FsNodes, 1);
    nodes->by_id = g_hash_table_new(g_direct_hash, g_direct_equal);
    nodes->by_name = g_hash_table_new(name_hash, name_equal);
    nodes->next_id = 1; /* FUSE_ROOT_ID, for the first one made */
    return nodes;
}

static void node_free(FsNode *node)
{
    if (node->data_free)
        node->data_free(node->data);
    g_free(node->name);
    g_free(node);
}

void fs_nodes_free(FsNodes *nodes)
{
    GHashTableIter iter;
    gpointer node;

    g_hash_table_iter_init(&iter, nodes->by_id);
    while (g_hash_table_iter_next(&iter, NULL, &node))
        node_free(node);
    g_hash_table_unref(nodes->by_id);
    g_hash_table_unref(nodes->by_name);
    g_free(nodes);
}

FsNode *fs_nodes_get(const FsNodes *nodes, uint64_t id)
{
    return g_hash_table_lookup(nodes->by_id, GSIZE_TO_POINTER(id));
}

FsNode *fs_nodes_child(const FsNodes *nodes, const FsNode *parent, const char *name)
{
    FsNode key = {.parent = (FsNode *)parent, .name = (char *)name};
    return g_hash_table_lookup(nodes->by_name, &key);
}

static void hash_name(FsNodes *nodes, FsNode *node)
{
    node->hashed = true;
    g_hash_table_add(nodes->by_name, node);
}

void fs_nodes_join_guest(FsNode *node, FsGuest *guest, FsNode *head)
{
    node->guest = guest;
    node->guest_previous = head;
    node->guest_next = head->guest_next;
    if (node->guest_next)
        node->guest_next->guest_previous = node;
    head->guest_next = node;
}

FsNode *fs_nodes_add(FsNodes *nodes, const FsNodeClass *class, FsNode *parent, const char *name,
                     uint64_t inode)
{
    FsNode *node = g_new0(FsNode, 1);
    node->id = nodes->next_id++;
    node->inode = inode;
    node->class = class;
    node->name = g_strdup(name);
    node->parent = parent;
    if (parent)
        fs_node_hold(parent);
    if (parent && parent->guest)
        fs_nodes_join_guest(node, parent->guest, parent); /* behind it */
    g_hash_table_insert(nodes->by_id, GSIZE_TO_POINTER(node->id), node);
    hash_name(nodes, node);
    return node;
}

FsNode *fs_nodes_make(FsNodes *nodes, const FsNodeClass *class, FsNode *parent, const char *name,
                      uint64_t inode, const void *data)
{
    FsNode *node = fs_nodes_child(nodes, parent, name);

    if (!node) {
        node = fs_nodes_add(nodes, class, parent, name, inode);
        node->data = (void *)data;
    }
    return node;
}

char *fs_node_path_below(const FsNode *node, const char *name, bool (*is_top)(const FsNode *node))
{
    const char *names[DEPTH_MAX + 1] = {NULL};
    int at = DEPTH_MAX;

    if (name)
        names[--at] = name;
    for (; at > 0 && !is_top(node); node = node->parent)
        names[--at] = node->name;
    return g_strjoinv("/", (char **)names + at);
}

static bool is_subtree(const FsNode *node)
{
    return !node->parent || node->parent->data != node->data;
}

char *fs_node_path(const FsNode *node)
{
    return fs_node_path_below(node, NULL, is_subtree);
}

char *fs_node_child_path(const FsNode *folder, const char *name)
{
    return fs_node_path_below(folder, name, is_subtree);
}

static void leave_guest(FsNode *node)
{
    if (node->guest_previous)
        node->guest_previous->guest_next = node->guest_next;
    if (node->guest_next)
        node->guest_next->guest_previous = node->guest_previous;
}

void fs_nodes_unhash(FsNodes *nodes, FsNode *node)
{
    if (node->hashed) {
        g_hash_table_remove(nodes->by_name, node);
        node->hashed = false;
    }
}

void fs_nodes_rename(FsNodes *nodes, FsNode *node, const char *name)
{
    FsNode *other = fs_nodes_child(nodes, node->parent, name);

    if (other == node)
        return;
    if (other) {
        fs_nodes_unhash(nodes, other);
        other->gone = true;
    }
    fs_nodes_unhash(nodes, node);
    g_free(node->name);
    node->name = g_strdup(name);
    hash_name(nodes, node);
}

/* Frees the node if neither kernel nor front has it, and then perhaps the parent it held. */
void fs_nodes_discard(FsNodes *nodes, FsNode *node)
{
    while (node && node->lookups == 0 && node->references == 0) {
        FsNode *parent = node->parent;
        fs_nodes_unhash(nodes, node);
        leave_guest(node);
        g_hash_table_remove(nodes->by_id, GSIZE_TO_POINTER(node->id));
        node_free(node);
        if (parent)
            parent->references--;
        node = parent;
    }
}

void fs_node_hold(FsNode *node)
{
    node->references++;
}

void fs_nodes_drop(FsNodes *nodes, FsNode *node)
{
    node->references--;
    fs_nodes_discard(nodes, node);
}

void fs_nodes_forget(FsNodes *nodes, uint64_t id, uint64_t lookups)
{
    FsNode *node = fs_nodes_get(nodes, id);

    if (node) {
        node->lookups -= MIN(lookups, node->lookups);
        fs_nodes_discard(nodes, node);
    }
}
