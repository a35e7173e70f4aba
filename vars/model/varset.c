/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "varset.h"

typedef struct {
    UvGuid guid;
    const UvName *name;
} Key;

static guint key_hash(gconstpointer p)
{
    const Key *key = p;

    return uv_guid_hash(&key->guid) ^ uv_name_hash(key->name);
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
    const Key *x = a, *y = b;

    return uv_guid_equal(&x->guid, &y->guid) && uv_name_equal(x->name, y->name);
}

/* ---- the set ---- */

typedef struct {
    Key key; /* first; its name is the variable's */
    UvVariable *variable;
    GList link; /* in `lists[is nv]`; data is the node */
} Node;

struct UvVarset {
    GHashTable *nodes; /* Key (the node itself) -> Node, owned */
    GQueue lists[2];   /* of Node: volatile, non-volatile; in order of insertion */
    size_t used_bytes[2];
};

static void node_free(gpointer p)
{
    Node *node = p;

    uv_variable_unref(node->variable);
    g_free(node);
}

UvVarset *uv_varset_new(void)
{
    UvVarset *set = g_new0(UvVarset, 1);

    set->nodes = g_hash_table_new_full(key_hash, key_equal, NULL, node_free);
    return set;
}

void uv_varset_free(UvVarset *set)
{
    if (!set)
        return;
    g_hash_table_unref(set->nodes);
    g_free(set);
}

static Node *find(const UvVarset *set, const UvGuid *guid, const UvName *name)
{
    const Key key = {*guid, name};

    return g_hash_table_lookup(set->nodes, &key);
}

const UvVariable *uv_varset_lookup(const UvVarset *set, const UvGuid *guid, const UvName *name)
{
    const Node *node = find(set, guid, name);

    return node ? node->variable : NULL;
}

static const UvVariable *variable_of(const GList *link)
{
    return link ? ((const Node *)link->data)->variable : NULL;
}

const UvVariable *uv_varset_first(const UvVarset *set)
{
    return variable_of(set->lists[false].head ? set->lists[false].head : set->lists[true].head);
}

const UvVariable *uv_varset_next(const UvVarset *set, const UvVariable *variable)
{
    const Node *node = find(set, &variable->guid, variable->name);

    if (!node)
        return NULL;
    if (!node->link.next && !uv_variable_is_nv(node->variable))
        return variable_of(set->lists[true].head);
    return variable_of(node->link.next);
}

size_t uv_varset_count(const UvVarset *set)
{
    return g_hash_table_size(set->nodes);
}

size_t uv_varset_used_bytes(const UvVarset *set, bool nv)
{
    return set->used_bytes[nv];
}

static void unlink_node(UvVarset *set, Node *node)
{
    const bool nv = uv_variable_is_nv(node->variable);

    g_queue_unlink(&set->lists[nv], &node->link);
    set->used_bytes[nv] -= uv_variable_record_bytes(node->variable);
    g_hash_table_remove(set->nodes, &node->key);
}

void uv_varset_put(UvVarset *set, const UvVariable *variable)
{
    const bool nv = uv_variable_is_nv(variable);
    Node *node = g_new0(Node, 1);

    node->variable = uv_variable_ref(variable);
    node->key = (Key){variable->guid, variable->name};
    node->link.data = node;
    uv_varset_remove(set, &variable->guid, variable->name);
    g_hash_table_insert(set->nodes, &node->key, node);
    g_queue_push_tail_link(&set->lists[nv], &node->link);
    set->used_bytes[nv] += uv_variable_record_bytes(variable);
}

void uv_varset_remove(UvVarset *set, const UvGuid *guid, const UvName *name)
{
    Node *node = find(set, guid, name);

    if (node)
        unlink_node(set, node);
}

const UvVariable *uv_varset_touch(UvVarset *set, const UvGuid *guid, const UvName *name,
                                  int64_t mtime_ns)
{
    Node *node = find(set, guid, name);

    if (!node)
        return NULL;
    UvVariable *old = node->variable;
    node->variable = uv_variable_new(old);
    node->variable->mtime_ns = mtime_ns;
    uv_variable_unref(old); /* the key's name lives on in the new one */
    return node->variable;
}

/* ---- a change ---- */

typedef struct {
    Key key; /* first; its name is that of `before` or `after` */
    UvChangeItem item;
} Entry;

struct UvChange {
    const UvVarset *set; /* borrowed */
    GHashTable *entries; /* Key (the entry itself) -> Entry, owned */
    GPtrArray *order;    /* of Entry */
};

static void entry_free(gpointer p)
{
    Entry *entry = p;

    uv_variable_unref(entry->item.before);
    uv_variable_unref(entry->item.after);
    uv_name_unref((UvName *)entry->key.name);
    g_free(entry);
}

UvChange *uv_change_new(const UvVarset *set)
{
    UvChange *change = g_new0(UvChange, 1);

    change->set = set;
    change->entries = g_hash_table_new_full(key_hash, key_equal, NULL, entry_free);
    change->order = g_ptr_array_new();
    return change;
}

void uv_change_free(UvChange *change)
{
    if (!change)
        return;
    g_ptr_array_unref(change->order);
    g_hash_table_unref(change->entries);
    g_free(change);
}

static Entry *find_entry(const UvChange *change, const UvGuid *guid, const UvName *name)
{
    const Key key = {*guid, name};

    return g_hash_table_lookup(change->entries, &key);
}

const UvVariable *uv_change_lookup(const UvChange *change, const UvGuid *guid, const UvName *name)
{
    const Entry *entry = find_entry(change, guid, name);

    return entry ? entry->item.after : uv_varset_lookup(change->set, guid, name);
}

static bool is_no_step(const UvVariable *before, const UvVariable *after)
{
    return before && after ? uv_variable_same(before, after) : before == after;
}

static Entry *entry_new(const UvGuid *guid, const UvName *name, const UvVariable *before)
{
    Entry *entry = g_new0(Entry, 1);

    entry->key = (Key){*guid, uv_name_ref(name)};
    entry->item.before = before ? uv_variable_ref(before) : NULL;
    return entry;
}

/* `after` NULL removes. An entry that comes back to what the set has goes away. */
static void touch(UvChange *change, const UvGuid *guid, const UvName *name, const UvVariable *after)
{
    const UvVariable *before = uv_varset_lookup(change->set, guid, name);
    Entry *entry = find_entry(change, guid, name);

    if (is_no_step(before, after)) {
        if (entry) {
            g_ptr_array_remove(change->order, entry);
            g_hash_table_remove(change->entries, &entry->key);
        }
        return;
    }
    if (!entry) {
        entry = entry_new(guid, name, before);
        g_hash_table_insert(change->entries, &entry->key, entry);
        g_ptr_array_add(change->order, entry);
    }
    UvVariable *old = entry->item.after;
    entry->item.after = after ? uv_variable_ref(after) : NULL;
    uv_variable_unref(old);
}

void uv_change_put(UvChange *change, const UvVariable *variable)
{
    touch(change, &variable->guid, variable->name, variable);
}

void uv_change_remove(UvChange *change, const UvGuid *guid, const UvName *name)
{
    touch(change, guid, name, NULL);
}

size_t uv_change_count(const UvChange *change)
{
    return change->order->len;
}

const UvChangeItem *uv_change_item(const UvChange *change, size_t i)
{
    const Entry *entry = g_ptr_array_index(change->order, i);

    return &entry->item;
}

static size_t class_bytes(const UvVariable *variable, bool nv)
{
    return variable && uv_variable_is_nv(variable) == nv ? uv_variable_record_bytes(variable) : 0;
}

size_t uv_change_used_bytes(const UvChange *change, bool nv)
{
    size_t added = uv_varset_used_bytes(change->set, nv), taken = 0;

    for (size_t i = 0; i < uv_change_count(change); i++) {
        const UvChangeItem *item = uv_change_item(change, i);
        added += class_bytes(item->after, nv);
        taken += class_bytes(item->before, nv);
    }
    return added - taken;
}

bool uv_change_touches_nv(const UvChange *change)
{
    for (size_t i = 0; i < uv_change_count(change); i++) {
        const UvChangeItem *item = uv_change_item(change, i);
        if ((item->before && uv_variable_is_nv(item->before)) ||
            (item->after && uv_variable_is_nv(item->after)))
            return true;
    }
    return false;
}

void uv_change_apply(const UvChange *change, UvVarset *set)
{
    for (size_t i = 0; i < uv_change_count(change); i++) {
        const Entry *entry = g_ptr_array_index(change->order, i);
        if (entry->item.after)
            uv_varset_put(set, entry->item.after);
        else
            uv_varset_remove(set, &entry->key.guid, entry->key.name);
    }
}
