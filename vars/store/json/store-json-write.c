/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Before a write: may we, is the store still what we loaded, and where does the journal go on. */

#include "store-json-private.h"

#include "fd.h"
#include "filelock.h"
#include "replace-store.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void uv_json_store_set_read_only(JsonStore *json, const char *reason)
{
    if (g_strcmp0(json->store.read_only_reason, reason) == 0)
        return;
    g_free(json->store.read_only_reason);
    json->store.read_only_reason = g_strdup(reason);
    if (!reason)
        g_clear_pointer(&json->store.lock_holder, g_free);
}

void uv_json_store_forget_journal(JsonStore *json)
{
    g_clear_pointer(&json->journal, uv_journal_free);
    json->journal_done = json->publish_again = false;
}

void uv_json_store_let_go(JsonStore *json)
{
    uv_json_store_forget_journal(json);
    uv_store_lock_drop(&json->store.lock);
    uv_fd_clear(&json->fd);
    json->leased = false;
    json->guard_due_us = 0;
}

/* Read-only for now: looked at again later. */
static bool refuse(JsonStore *json, GError *reason, GError **error)
{
    uv_json_store_set_read_only(json, reason->message);
    json->probe_due_us = g_get_monotonic_time() + UV_JSON_PROBE_US;
    return uv_fail_with(error, reason);
}

/* What uv_folder_* said: we may not (read-only from now on), or it went wrong. */
static bool folder_refused(JsonStore *json, GError *reason, GError **error)
{
    uv_map_folder_error(&reason);
    if (g_error_matches(reason, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY))
        return refuse(json, reason, error);
    return uv_fail_with(error, reason);
}

/* Another engine or host has it. */
static bool held_by_another(JsonStore *json, GError *reason, GError **error)
{
    const char *holder = json->store.lock.holder;

    g_free(json->store.lock_holder);
    json->store.lock_holder = g_strdup(holder ? holder : "another engine");
    return refuse(json, reason, error);
}

/* `ret_changed`: whether the store is another than the one that was read before. */
static bool take_lock(JsonStore *json, bool *ret_changed, GError **error)
{
    const char *name = uv_folder_path(json->store.folder, UV_FILE_STORE);
    GError *local = NULL;
    UvStoreLock *lock = &json->store.lock;

    /* Whatever happened before it was locked must show: looked at as by one who has it not. */
    if (uv_store_lock_take(lock, name, json->waited ? 0 : UV_FILELOCK_WAIT_MS, &local)) {
        json->waited = false;
        *ret_changed = uv_json_store_changed_by_others(json);
        return true;
    }
    if (local->domain == G_FILE_ERROR)
        return folder_refused(json, local, error);
    json->waited = true; /* once: the holder is no predecessor on its way out */
    return held_by_another(json, local, error);
}

bool uv_json_store_probe(JsonStore *json, GError **error)
{
    UvFilelockSharing sharing = UV_FILELOCK_ALONE;
    const char *name = uv_folder_path(json->store.folder, UV_FILE_STORE);
    GError *local = NULL;

    if (uv_json_store_guard_fell(json))
        uv_json_store_lower_guard(json);
    /* A program that waits has not opened it yet. */
    if (json->fd >= 0 && !json->leased)
        sharing = uv_filelock_settled(json->fd, json->shared ? 0 : UV_FILELOCK_SETTLE_MS);
    json->shared = sharing == UV_FILELOCK_SHARED;
    if (sharing == UV_FILELOCK_UNKNOWN)
        uv_store_warn(&json->store,
                      "%s: cannot tell whether another program (QEMU) has it open for writing",
                      name);
    if (sharing != UV_FILELOCK_SHARED) {
        uv_json_store_set_read_only(json, NULL);
        json->probe_due_us = 0;
        return true;
    }
    if (!json->store.lock_holder) { /* a confined engine is not told; its front looks, too */
        g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", json->fd);
        g_autofree char *path = g_file_read_link(link, NULL);
        json->store.lock_holder = path ? uv_filelock_who(path, getpid()) : NULL;
    }
    g_set_error(&local, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY,
                "%s: opened by another program%s%s", name, json->store.lock_holder ? ": " : "",
                json->store.lock_holder ? json->store.lock_holder : "");
    return refuse(json, local, error);
}

/* An engine that could not write the file shall not replace it either. */
static bool check_writable(JsonStore *json, GError **error)
{
    const char *name = uv_folder_path(json->store.folder, UV_FILE_STORE);
    GError *local = NULL;
    uv_autofd int fd = uv_folder_open(json->store.folder, UV_FILE_STORE, O_WRONLY, &local);

    if (fd >= 0)
        return true;
    if (g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_ACCES)) {
        g_clear_error(&local);
        g_set_error(&local, G_FILE_ERROR, G_FILE_ERROR_ACCES,
                    "%s: the engine's user may not write it: Permission denied", name);
    }
    return folder_refused(json, local, error);
}

/* An absent file begins as an empty one, which is an empty store for QEMU too. */
static bool create_store(JsonStore *json, GError **error)
{
    GError *local = NULL;
    uv_autofd int fd =
        uv_folder_open(json->store.folder, UV_FILE_STORE, O_WRONLY | O_CREAT | O_EXCL, &local);

    if (fd >= 0) {
        uv_fd_clear(&fd);
        json->fd = uv_folder_open(json->store.folder, UV_FILE_STORE, O_RDONLY, &local);
    }
    if (json->fd >= 0)
        return uv_json_store_look(json, error);
    return folder_refused(json, local, error);
}

/* After a release the file is there, but not open. */
static bool open_again(JsonStore *json, GError **error)
{
    GError *local = NULL;

    if (json->fd >= 0 || json->store.identity.inode == 0)
        return true;
    json->fd = uv_folder_open(json->store.folder, UV_FILE_STORE, O_RDONLY, &local);
    return json->fd >= 0 ? uv_json_store_unchanged(json, error)
                         : folder_refused(json, local, error);
}

static UvJournal *new_journal(JsonStore *json, int fd)
{
    const UvFileId store = uv_file_id(json->fd);

    return uv_journal_new(fd, uv_folder_path(json->store.folder, UV_FILE_JOURNAL), &json->digest,
                          &store);
}

/* The journal that was replayed when loading: goes on behind its last whole record. */
static bool adopt_journal(JsonStore *json, GError **error)
{
    UvFolder *folder = json->store.folder;
    const char *name = uv_folder_path(folder, UV_FILE_JOURNAL);
    g_autoptr(UvJournalContent) content = NULL;
    g_autoptr(GBytes) bytes = NULL;
    GError *local = NULL;
    uv_autofd int fd = -1;

    if (!json->seen.fits)
        return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY, "%s: in the way", name);
    fd = uv_folder_open(folder, UV_FILE_JOURNAL, O_RDWR, &local);
    if (fd < 0)
        return folder_refused(json, local, error);
    bytes = uv_read_file(fd, name, UV_JOURNAL_MAX, error);
    if (!bytes)
        return false;
    switch (uv_journal_read(bytes, &content)) {
    case UV_JOURNAL_VALID:
        json->journal = uv_journal_continue(uv_fd_steal(&fd), name, content);
        break;
    case UV_JOURNAL_UNBORN:
        json->journal = new_journal(json, uv_fd_steal(&fd));
        break;
    default: /* it was valid when it was replayed */
        return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY,
                       "%s: in the way, and not a journal of this version", name);
    }
    json->journal_done = json->seen.done;
    json->seen.present = false;
    return true;
}

static bool create_journal(JsonStore *json, GError **error)
{
    UvFolder *folder = json->store.folder;
    GError *local = NULL;
    int fd = uv_folder_open(folder, UV_FILE_JOURNAL, O_RDWR | O_CREAT | O_EXCL, &local);

    /* One that could neither be made durable nor be removed before. */
    if (fd < 0 && g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_EXIST) &&
        uv_folder_unlink(folder, UV_FILE_JOURNAL, NULL)) {
        g_clear_error(&local);
        fd = uv_folder_open(folder, UV_FILE_JOURNAL, O_RDWR | O_CREAT | O_EXCL, &local);
    }
    if (fd < 0)
        return folder_refused(json, local, error);
    json->journal = new_journal(json, fd);
    json->journal_done = !json->publish_again;
    return true;
}

static bool changed_error(JsonStore *json, GError **error)
{
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED,
                   "%s: changed by another program since it was read",
                   uv_folder_path(json->store.folder, UV_FILE_STORE));
}

/* What is in the journal is another host's now, to replay and to complete. */
static bool lose_lock(JsonStore *json, GError *reason, GError **error)
{
    uv_json_store_let_go(json);
    json->compact_due_us = json->meta_due_us = 0;
    return held_by_another(json, reason, error);
}

bool uv_json_store_unchanged(JsonStore *json, GError **error)
{
    const char *name = uv_folder_path(json->store.folder, UV_FILE_STORE);
    UvStoreLock *lock = &json->store.lock;
    GError *local = NULL;
    UvStoreIdentity now;
    struct stat st;

    if (uv_store_lock_is_held(lock) && !uv_store_lock_check(lock, name, &local))
        return lose_lock(json, local, error);

    /* Replaced or removed shows in the change time of the file that we have: it lost its name. */
    if (json->fd >= 0 && fstat(json->fd, &st) == 0) {
        uv_store_identity_from_stat(&now, &st);
        if (uv_store_identity_equal(&now, &json->store.identity))
            return true;
    }
    return !uv_json_store_changed(json) || changed_error(json, error);
}

/* Others may have had the lock since we read: what is there now must still be that. */
static bool lock_unchanged(JsonStore *json, GError **error)
{
    const bool exists = json->store.identity.inode != 0, shared = json->store.lock.host;
    bool changed = false;

    if (uv_store_lock_is_held(&json->store.lock))
        return uv_json_store_unchanged(json, error);
    /* With the lock where another host may write: a file that is open for writing, if only to see
     * whether it can be, is one that its engine must not write. */
    if ((!shared && exists && !check_writable(json, error)) || !take_lock(json, &changed, error))
        return false;
    if (!changed && (!shared || !exists || check_writable(json, error)))
        return true;
    uv_store_lock_drop(&json->store.lock);
    return changed && changed_error(json, error);
}

/*
 * Another program removed the journal: what was in it is in memory only, until the next compaction,
 * which is now due. Appending to a file without a name would be writing to nowhere.
 */
static void check_journal_is_there(JsonStore *json)
{
    struct stat st;

    if (!json->journal || (fstat(uv_journal_fd(json->journal), &st) == 0 && st.st_nlink > 0))
        return;
    if (!json->journal_done) {
        uv_store_warn(&json->store, "%s: removed while it was needed",
                      uv_folder_path(json->store.folder, UV_FILE_JOURNAL));
        json->publish_again = true;
        json->compact_due_us = g_get_monotonic_time();
    }
    g_clear_pointer(&json->journal, uv_journal_free);
}

bool uv_json_store_begin(JsonStore *json, bool create, GError **error)
{
    if (json->never_write || !json->loaded)
        return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY, "%s: %s",
                       uv_folder_path(json->store.folder, UV_FILE_STORE),
                       json->never_write ? "opened for reading only" : "could not be read");
    if (!lock_unchanged(json, error) || !open_again(json, error) ||
        !uv_json_store_probe(json, error))
        return false;
    if (json->fd < 0 && !create_store(json, error))
        return false;
    check_journal_is_there(json);
    if (json->journal)
        return true;
    if (json->seen.present && !json->seen.fits)
        uv_json_store_set_aside(json, "it does not belong to the store");
    if (json->seen.present)
        return adopt_journal(json, error);
    return (!create && !json->publish_again) || create_journal(json, error);
}
