/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The JSON store's functions, and when something is due (store-json-private.h has the theory). */

#include "store-json-private.h"

#include "fd.h"
#include "journal-record.h"
#include "json.h"
#include "replace-store.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static bool json_load(UvStore *store, GPtrArray **ret_variables, GError **error)
{
    return uv_json_store_load((JsonStore *)store, ret_variables, error);
}

static bool append_record(JsonStore *json, uint32_t kind, GBytes *payload, GError **error)
{
    bool at_once;

    if (!uv_json_store_begin(json, true, error) ||
        !uv_journal_append(json->journal, kind, payload, error))
        return false;
    json->journal_done = false;
    json->store.generation++;
    uv_json_store_raise_guard(json);
    if (json->backoff_us) /* a compaction failed: its next time stands */
        return true;
    at_once = uv_journal_size(json->journal) > UV_JSON_JOURNAL_BYTES || kind == UV_RECORD_REPLACE ||
              json->publish_again || uv_json_store_is_wanted(json);
    json->compact_due_us = g_get_monotonic_time() + (at_once ? 0 : UV_JSON_COMPACT_US);
    return true;
}

static bool json_apply(UvStore *store, const UvChange *change, GError **error)
{
    g_autoptr(GBytes) payload = uv_record_of_change(change);

    return !payload || append_record((JsonStore *)store, UV_RECORD_CHANGE, payload, error);
}

static bool json_replace(UvStore *store, const UvVarset *set, GError **error)
{
    g_autoptr(GBytes) payload = uv_record_of_set(set);

    return append_record((JsonStore *)store, UV_RECORD_REPLACE, payload, error);
}

static void json_touch(UvStore *store, const UvVariable *variable)
{
    JsonStore *json = (JsonStore *)store;

    if (!json->never_write && !json->meta_due_us)
        json->meta_due_us = g_get_monotonic_time() + UV_JSON_COMPACT_US;
}

/* Heals a store that another process had; makes no file for that. */
static void look_whether_free(JsonStore *json)
{
    json->probe_due_us = g_get_monotonic_time() + UV_JSON_PROBE_US;
    if (uv_store_lock_is_held(&json->store.lock) || uv_store_lock_is_free(&json->store.lock))
        uv_json_store_probe(json, NULL);
}

/* Tries again later; the journal goes on meanwhile. */
static void back_off(JsonStore *json, const GError *error)
{
    json->backoff_us =
        json->backoff_us ? MIN(2 * json->backoff_us, UV_JSON_BACKOFF_MAX_US) : UV_JSON_COMPACT_US;
    json->compact_due_us = g_get_monotonic_time() + json->backoff_us;
    json->meta_due_us = json->meta_due_us ? json->compact_due_us : 0;
    uv_store_unwarn(&json->store, UV_JSON_BEHIND);
    uv_store_warn(&json->store, UV_JSON_BEHIND "%s", error->message);
}

static bool is_due(int64_t when_us, int64_t now_us)
{
    return when_us != 0 && when_us <= now_us;
}

static bool json_tick(UvStore *store, const UvVarset *set, GError **error)
{
    JsonStore *json = (JsonStore *)store;
    int64_t now = g_get_monotonic_time();
    GError *local = NULL;

    if (is_due(json->probe_due_us, now))
        look_whether_free(json);
    json->guard_due_us = json->leased ? now + UV_JSON_GUARD_US : 0;
    if (!is_due(json->compact_due_us, now) && !is_due(json->meta_due_us, now) &&
        !uv_json_store_is_wanted(json))
        return true;
    if (uv_json_store_compact(json, set, &local)) {
        json->compact_due_us = json->meta_due_us = 0;
        return true;
    }
    back_off(json, local);
    return uv_fail_with(error, local);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a == 0 ? b : b == 0 ? a : MIN(a, b);
}

static int64_t json_due(UvStore *store)
{
    JsonStore *json = (JsonStore *)store;

    return sooner(sooner(json->probe_due_us, json->guard_due_us),
                  sooner(json->compact_due_us, json->meta_due_us));
}

static bool json_compact(UvStore *store, const UvVarset *set, GError **error)
{
    return uv_json_store_compact((JsonStore *)store, set, error);
}

static bool json_release(UvStore *store, const UvVarset *set, GError **error)
{
    JsonStore *json = (JsonStore *)store;

    if (!uv_json_store_compact(json, set, error))
        return false;
    uv_json_store_let_go(json);
    json->probe_due_us = 0;
    return true;
}

static bool json_acquire(UvStore *store, GError **error)
{
    JsonStore *json = (JsonStore *)store;

    /* With the lock from now on: another engine that wants to write finds out at once. */
    if (!uv_json_store_changed(json))
        return json->never_write || uv_json_store_begin(json, false, error);
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED,
                   "%s: changed by another program while it was released",
                   uv_folder_path(store->folder, UV_FILE_STORE));
}

static bool json_changed(UvStore *store)
{
    return uv_json_store_changed((JsonStore *)store);
}

/* Of a second store on the same folder: this one's state stays as it is. */
static GBytes *present_text(UvStore *store, GError **error)
{
    JsonStore reader = {
        .store = {.folder = store->folder, .lock.fd = -1}, .never_write = true, .fd = -1};
    g_autoptr(GPtrArray) variables = NULL;
    g_autoptr(UvVarset) set = uv_varset_new();
    bool loaded;

    reader.store.warnings = g_ptr_array_new_with_free_func(g_free);
    loaded = uv_json_store_load(&reader, &variables, error);
    uv_json_store_let_go(&reader);
    g_ptr_array_unref(reader.store.warnings);
    uv_meta_free(reader.store.left);
    if (!loaded)
        return NULL;
    for (guint i = 0; i < variables->len; i++)
        uv_varset_put(set, variables->pdata[i]);
    return uv_json_format(set);
}

static bool json_keep_before_load(UvStore *store, GError **error)
{
    JsonStore *json = (JsonStore *)store;
    const char *name = uv_folder_path(store->folder, UV_FILE_BEFORE_LOAD);
    g_autoptr(GBytes) text = NULL;
    uv_autofd int fd = -1;

    if (json->fd < 0 && !json->seen.present)
        return true;
    if (!uv_json_store_begin(json, false, error))
        return false;
    uv_json_store_lower_guard(json);
    text = present_text(store, error);
    if (!text)
        return false;
    fd = uv_folder_open(store->folder, UV_FILE_BEFORE_LOAD, O_WRONLY | O_CREAT, error);
    if (fd < 0)
        return uv_map_folder_error(error);
    return uv_write_file_at(fd, name, g_bytes_get_data(text, NULL), g_bytes_get_size(text), 0,
                            error) &&
           uv_sync_file(fd, name, false, error);
}

static void json_free(UvStore *store)
{
    JsonStore *json = (JsonStore *)store;

    uv_json_store_let_go(json);
    if (!json->never_write)
        uv_store_tidy(&store->lock);
    uv_store_clear(store);
    g_free(store);
}

static const UvStoreOps json_ops = {
    .format = "json",
    .load = json_load,
    .apply = json_apply,
    .replace = json_replace,
    .touch = json_touch,
    .tick = json_tick,
    .due = json_due,
    .compact = json_compact,
    .release = json_release,
    .acquire = json_acquire,
    .changed = json_changed,
    .keep_before_load = json_keep_before_load,
    .free = json_free,
};

UvStore *uv_store_json_open(UvFolder *folder, const UvStoreOptions *options, GError **error)
{
    JsonStore *json = g_new0(JsonStore, 1);

    uv_store_init(&json->store, &json_ops, folder, options);
    json->fd = -1;
    json->never_write = options->read_only;
    /* Of another host's programs the kernel knows nothing. */
    json->guards = options->guard && !options->in_place && !options->host;
    json->in_place = options->in_place;
    if (json->never_write)
        uv_json_store_set_read_only(json, "opened for reading only");
    return &json->store;
}
