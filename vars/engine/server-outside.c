/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What another program made of the store while no engine had it, recorded by the engine that starts
 * next: a line a variable that is not as it was last known. That is how an engine left the store
 * (times.h), and what is on record since. Who did it and when is not known; the store's file has a
 * time.
 *
 * A store that no engine has left, and one whose file is as it was left, has none. Nor has one on
 * shared storage, where another host's engine may be writing. Of a flash image the last change of
 * an engine that was killed right then, before its own line was written, is found so, too.
 */

#include <string.h>

#include "hash.h"
#include "record-read.h"
#include "server-internal.h"
#include "shown-name.h"
#include "times.h"

typedef struct {
    UvServer *server;
    UvActor actor;
    GHashTable *known; /* UvRecordValue, by the name as vars/ lists it */
    bool complete;     /* nothing happened that is not known */
} Comparison;

static void value_free(void *data)
{
    UvRecordValue *value = data;

    g_clear_pointer(&value->data, g_bytes_unref);
    g_free(value);
}

/* ---- what was known ---- */

static GHashTable *known_when_left(const UvMeta *left)
{
    GHashTable *known = g_hash_table_new_full(uv_hash_text, g_str_equal, g_free, value_free);
    GHashTableIter iter;
    void *key;

    g_hash_table_iter_init(&iter, left->variables);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        const UvLeft *variable = key;
        UvRecordValue *value = g_new0(UvRecordValue, 1);

        value->attributes = variable->attributes;
        value->data_bytes = variable->data_bytes;
        value->digest = variable->digest;
        value->data = variable->data ? g_bytes_ref(variable->data) : NULL;
        g_hash_table_insert(known, uv_shown_name_format(variable->name, &variable->guid), value);
    }
    return known;
}

static bool is_value(const UvRecordValue *known, uint32_t attributes, uint64_t data_bytes,
                     const UvDigest *digest)
{
    return known && known->attributes == attributes && known->data_bytes == data_bytes &&
           uv_digest_equal(&known->digest, digest);
}

/* Of what is on record the data is not. */
static void take_recorded(const UvRecorded *change, void *data)
{
    GHashTable *known = data;
    UvRecordValue *value = g_hash_table_lookup(known, change->variable);

    if (!change->there) {
        g_hash_table_remove(known, change->variable);
        return;
    }
    if (is_value(value, change->attributes, change->data_bytes, &change->digest))
        return;
    value = g_new0(UvRecordValue, 1);
    value->attributes = change->attributes;
    value->data_bytes = change->data_bytes;
    value->digest = change->digest;
    g_hash_table_insert(known, g_strdup(change->variable), value);
}

/* ---- what is there ---- */

static void record(const Comparison *comparison, const char *name, const UvRecordValue *before,
                   const UvVariable *after)
{
    UvServer *server = comparison->server;
    const UvRecordFound found = {
        .variable = name,
        .is_known = comparison->complete,
        .before = before,
        .after = after,
        .file_time_us = server->store->identity.mtime_ns / 1000,
    };

    uv_record_found(server->record, &comparison->actor, &found);
    uv_log_found(server, &comparison->actor, &found);
}

/* What is left of `known` then is not there any more. */
static void compare_variable(Comparison *comparison, const UvVariable *variable)
{
    g_autofree char *name = uv_shown_name_format(variable->name, &variable->guid);
    const UvRecordValue *known = g_hash_table_lookup(comparison->known, name);
    const UvDigest digest = uv_digest_of_bytes(variable->data);

    if (!is_value(known, variable->attributes, g_bytes_get_size(variable->data), &digest))
        record(comparison, name, known, variable);
    g_hash_table_remove(comparison->known, name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void compare(Comparison *comparison)
{
    const UvVarset *set = uv_service_variables(comparison->server->service);

    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v))
        if (uv_variable_is_nv(v))
            compare_variable(comparison, v);
    g_autoptr(GList) names = g_list_sort(g_hash_table_get_keys(comparison->known), by_name);
    for (const GList *link = names; link; link = link->next)
        record(comparison, link->data, g_hash_table_lookup(comparison->known, link->data), NULL);
}

void uv_outside_record(UvServer *server)
{
    const UvMeta *left = server->store->left;

    if (!left || !server->record || uv_hold_is_shared(server))
        return;
    g_autoptr(GHashTable) known = known_when_left(left);
    Comparison comparison = {
        .server = server, .actor.door = UV_RECORD_OUTSIDE, .known = known, .complete = true};

    comparison.complete = uv_record_read(server->store->folder, left->at_us, take_recorded, known);
    compare(&comparison);
    uv_record_flush(server->record);
}
