/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A journal that does not belong to the file: never applied, never deleted. */

#include "store-json-private.h"

#include <fcntl.h>
#include <unistd.h>

/* false: another engine has the lock, or it can't be had. */
static bool lock_for_a_moment(JsonStore *json)
{
    return uv_store_lock_take(&json->store.lock, "", 0, NULL);
}

/* File and journal are those that were read before the lock was taken. */
static bool is_as_seen(JsonStore *json)
{
    struct stat st;

    return uv_json_store_same_now(json, UV_FILE_STORE, &json->store.identity) &&
           uv_folder_stat(json->store.folder, UV_FILE_JOURNAL, &st, NULL) &&
           st.st_dev == json->seen.device && st.st_ino == json->seen.inode &&
           (uint64_t)st.st_size == json->seen.size_bytes;
}

static void rename_to_conflict(JsonStore *json, const char *why)
{
    UvFolder *folder = json->store.folder;
    const char *journal = uv_folder_path(folder, UV_FILE_JOURNAL);
    g_autoptr(GError) error = NULL;

    if (uv_folder_rename(folder, UV_FILE_JOURNAL, UV_FILE_CONFLICT, &error)) {
        uv_store_warn(&json->store, "%s: %s; not applied, set aside as %s", journal, why,
                      uv_folder_path(folder, UV_FILE_CONFLICT));
        json->seen.present = false;
    } else {
        uv_store_warn(&json->store, "%s: %s; not applied, but cannot be set aside: %s", journal,
                      why, error->message);
    }
}

/* With the lock the journal is renamed out of the way; without, it is only not applied. */
void uv_json_store_set_aside(JsonStore *json, const char *why)
{
    const bool had_lock = uv_store_lock_is_held(&json->store.lock);

    if (!had_lock && (json->never_write || !lock_for_a_moment(json))) {
        uv_store_warn(&json->store, "%s: %s; not applied",
                      uv_folder_path(json->store.folder, UV_FILE_JOURNAL), why);
        return;
    }
    if (is_as_seen(json))
        rename_to_conflict(json, why);
    else
        json->seen.overtaken = true; /* what is there now may be another engine's good journal */
    if (!had_lock)
        uv_store_lock_drop(&json->store.lock);
}
