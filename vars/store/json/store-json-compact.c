/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The journal goes into the file. By renaming: the new text is written aside, a COMPACT record
 * names it, it takes the file's place, the journal is removed; a crash anywhere in between finds a
 * file and a journal that fit. Where a file can't be renamed over (it is mounted on, has several
 * names, the folder or an attribute is not ours to write, others label it) an IMAGE record keeps
 * the old and the new text, and the new one is written over the old.
 */

#include "store-json-private.h"

#include "fd.h"
#include "filelock.h"
#include "journal-record.h"
#include "json.h"
#include "replace-store.h"
#include "times.h"
#include "uv-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

typedef enum {
    OUTCOME_DONE,
    OUTCOME_IMPOSSIBLE, /* this way; the file is untouched */
    OUTCOME_FAILED,
} Outcome;

/* The file is now what `text` is: opens it anew for reading. */
static bool look_again(JsonStore *json, GError **error)
{
    uv_fd_clear(&json->fd); /* and with it a lease */
    json->leased = false;
    json->guard_due_us = 0;
    json->fd = uv_folder_open(json->store.folder, UV_FILE_STORE, O_RDONLY, error);
    if (json->fd < 0)
        return uv_map_folder_error(error);
    return uv_json_store_look(json, error);
}

static bool append(JsonStore *json, uint32_t kind, GBytes *payload /* takes ownership */,
                   GError **error)
{
    g_autoptr(GBytes) owned = payload;

    return uv_journal_append(json->journal, kind, owned, error);
}

/* What says that renaming is the wrong way, not that the disk is. */
static bool speaks_against_renaming(const GError *error)
{
    return g_error_matches(error, G_FILE_ERROR, g_file_error_from_errno(EBUSY)) ||
           g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_PERM) ||
           g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_ACCES) ||
           g_error_matches(error, G_FILE_ERROR, g_file_error_from_errno(EXDEV)) ||
           g_error_matches(error, G_FILE_ERROR, g_file_error_from_errno(ENOTSUP));
}

static Outcome give_up(JsonStore *json, GError *reason, GError **error)
{
    uv_publish_abort(json->store.folder);
    if (speaks_against_renaming(reason)) {
        g_error_free(reason);
        return OUTCOME_IMPOSSIBLE;
    }
    uv_map_folder_error(&reason);
    g_propagate_error(error, reason);
    return OUTCOME_FAILED;
}

static Outcome by_renaming(JsonStore *json, GBytes *text, const UvDigest *digest, GError **error)
{
    GError *local = NULL;
    UvFileId file;
    struct stat st;
    int fd;

    if (fstat(json->fd, &st) == 0 && st.st_nlink > 1)
        return OUTCOME_IMPOSSIBLE;
    fd = uv_publish_prepare(json->store.folder, json->fd, text, &local);
    if (fd < 0)
        return give_up(json, local, error);
    file = uv_file_id(fd);
    uv_fd_clear(&fd);
    /* The look for others comes last: what opens the file from here on opens the new one, or one
     * that has lost its name. */
    if (!append(json, UV_RECORD_COMPACT, uv_record_of_compaction(digest, &file), &local) ||
        !uv_json_store_unchanged(json, &local) || !uv_json_store_probe(json, &local)) {
        uv_publish_abort(json->store.folder);
        g_propagate_error(error, local);
        return OUTCOME_FAILED;
    }
    if (uv_json_store_is_wanted(json)) { /* since a moment ago */
        uv_publish_abort(json->store.folder);
        return OUTCOME_IMPOSSIBLE;
    }
    if (!uv_publish(json->store.folder, &local)) {
        /* It may have happened all the same, and only the sync have failed. */
        look_again(json, NULL);
        json->publish_again = uv_digest_equal(&json->digest, digest);
        return give_up(json, local, error);
    }
    return look_again(json, error) ? OUTCOME_DONE : OUTCOME_FAILED;
}

/* Space first: nothing is torn by a full disk then. */
static bool write_over(JsonStore *json, int fd, GBytes *text, GError **error)
{
    const char *name = uv_folder_path(json->store.folder, UV_FILE_STORE);
    size_t size = g_bytes_get_size(text);

    if (!uv_write_file_at(fd, name, g_bytes_get_data(text, NULL), size, 0, error))
        return false;
    if (ftruncate(fd, size) < 0)
        return uv_set_store_error(error, name, "cannot shorten", errno);
    return uv_sync_file(fd, name, false, error);
}

static int open_for_writing_over(JsonStore *json, size_t size, GError **error)
{
    const char *name = uv_folder_path(json->store.folder, UV_FILE_STORE);
    uv_autofd int fd = json->leased
                           ? fcntl(json->fd, F_DUPFD_CLOEXEC, 0)
                           : uv_folder_open(json->store.folder, UV_FILE_STORE, O_RDWR, error);

    if (fd < 0) {
        if (json->leased)
            uv_set_store_error(error, name, "cannot write", errno);
        uv_map_folder_error(error);
        return -1;
    }
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size) < 0 && (errno == ENOSPC || errno == EDQUOT)) {
        uv_set_store_error(error, name, "cannot write", errno);
        return -1;
    }
    return uv_fd_steal(&fd);
}

static bool in_place(JsonStore *json, GBytes *text, GError **error)
{
    const char *name = uv_folder_path(json->store.folder, UV_FILE_STORE);
    g_autoptr(GBytes) old = NULL;
    uv_autofd int fd = -1;
    bool written;

    if (!uv_json_store_unchanged(json, error) || !uv_json_store_probe(json, error))
        return false;
    old = uv_read_file(json->fd, name, UV_JSON_FILE_MAX, error);
    fd = old ? open_for_writing_over(json, g_bytes_get_size(text), error) : -1;
    if (fd < 0)
        return false;
    if (!append(json, UV_RECORD_IMAGE, uv_record_of_image(old, text), error))
        return false;
    written = write_over(json, fd, text, error);
    uv_fd_clear(&fd); /* a lease wants no other descriptor of the file */
    /* A program that waits for the file is let in only when the journal is gone. */
    if (json->leased && written)
        return uv_json_store_look(json, error);
    /* Also after a failure: what is there now is what the next image starts from. */
    return look_again(json, written ? error : NULL) && written;
}

static bool publish(JsonStore *json, GBytes *text, const UvDigest *digest, GError **error)
{
    /* Or the program that waits has this very file open already. */
    if (json->in_place || uv_json_store_is_wanted(json))
        return in_place(json, text, error);
    switch (by_renaming(json, text, digest, error)) {
    case OUTCOME_DONE:
        return true;
    case OUTCOME_IMPOSSIBLE:
        return in_place(json, text, error);
    default:
        return false;
    }
}

/* Not worth failing a compaction for. */
static void save_times(JsonStore *json, const UvVarset *set)
{
    g_autoptr(GError) error = NULL;

    if (!uv_meta_save(&json->store, set, &error))
        uv_store_warn(&json->store, "file times are not kept: %s", error->message);
    json->meta_due_us = 0;
}

/* One that lost its name is gone, durably or not: coming back, it would say that it is done. */
static bool remove_journal(JsonStore *json, GError **error)
{
    GError *local = NULL;
    struct stat st;

    if (uv_folder_unlink(json->store.folder, UV_FILE_JOURNAL, &local))
        return true;
    if (fstat(uv_journal_fd(json->journal), &st) == 0 && st.st_nlink == 0) {
        g_error_free(local);
        return true;
    }
    g_propagate_error(error, local);
    return uv_map_folder_error(error);
}

/* The file becomes what the set is, and the journal goes. */
static bool complete(JsonStore *json, const UvVarset *set, GError **error)
{
    g_autoptr(GBytes) text = uv_json_format(set);

    /* What could not be read again is not written. */
    if (g_bytes_get_size(text) > UV_JSON_FILE_MAX)
        return uv_set_store_error(error, uv_folder_path(json->store.folder, UV_FILE_STORE),
                                  "too large", EFBIG);
    const UvDigest digest = uv_digest_of_bytes(text);
    if (!json->journal_done && (json->publish_again || !uv_digest_equal(&digest, &json->digest)) &&
        !publish(json, text, &digest, error))
        return false;
    json->journal_done = true;
    json->publish_again = false;
    save_times(json, set);
    if (!remove_journal(json, error))
        return false;
    uv_json_store_forget_journal(json);
    json->seen.present = false;
    json->compact_due_us = json->backoff_us = 0;
    uv_store_unwarn(&json->store, UV_JSON_BEHIND);
    return true;
}

bool uv_json_store_compact(JsonStore *json, const UvVarset *set, GError **error)
{
    bool done = true;

    if (!json->journal && !json->seen.present && !json->meta_due_us)
        return true;
    if (!uv_json_store_begin(json, false, error))
        return false;
    if (json->journal)
        done = complete(json, set, error);
    else
        save_times(json, set);
    uv_json_store_lower_guard(json);
    malloc_trim(0);
    return done;
}
