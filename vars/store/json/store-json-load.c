/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Reading a JSON store: the file's text and what the journal adds to it. */

#include "store-json-private.h"

#include "fd.h"
#include "journal-record.h"
#include "json.h"
#include "replace-store.h"
#include "times.h"
#include "uv-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

/* How often a file that is being replaced under us is read again. */
#define TRIES 10
/* So many writings in place may be unfinished, one after the other. */
#define IMAGES_MAX 16

/* File and journal, read together. */
typedef struct {
    GBytes *text;
    UvStoreIdentity identity; /* zero: absent */
    GBytes *journal;          /* NULL: none */
    UvStoreIdentity journal_identity;
    UvFileId file_id, journal_id;
    UvDigest digest; /* of the text */
} Snapshot;

static void snapshot_clear(Snapshot *snapshot)
{
    g_clear_pointer(&snapshot->text, g_bytes_unref);
    g_clear_pointer(&snapshot->journal, g_bytes_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Snapshot, snapshot_clear)

/* The whole file, NULL if absent. `ret_id` and `ret_fd` (or NULL) get which file, and its
 * descriptor.
 */
static bool read_role(UvFolder *folder, UvFileRole role, size_t max, GBytes **ret_bytes,
                      UvStoreIdentity *ret_identity, UvFileId *ret_id, int *ret_fd, GError **error)
{
    struct stat st;
    uv_autofd int fd = -1;

    *ret_bytes = NULL;
    *ret_identity = (UvStoreIdentity){0};
    if (!uv_folder_open_present(folder, role, &fd, error))
        return uv_map_folder_error(error);
    if (fd >= 0) {
        if (fstat(fd, &st) == 0)
            uv_store_identity_from_stat(ret_identity, &st);
        if (role == UV_FILE_STORE && !S_ISREG(st.st_mode))
            return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_PARSE,
                           "%s: expected a file or an image", uv_folder_path(folder, role));
        if (ret_id)
            *ret_id = uv_file_id(fd);
        *ret_bytes = uv_read_file(fd, uv_folder_path(folder, role), max, error);
        if (!*ret_bytes)
            return false;
    }
    if (ret_fd)
        *ret_fd = uv_fd_steal(&fd);
    return true;
}

/* A folder that we may not look into keeps us from writing, but not from showing the file. */
static bool read_journal(JsonStore *json, Snapshot *snapshot, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (read_role(json->store.folder, UV_FILE_JOURNAL, UV_JOURNAL_MAX, &snapshot->journal,
                  &snapshot->journal_identity, &snapshot->journal_id, NULL, &local))
        return true;
    if (!g_error_matches(local, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY))
        return uv_fail_with(error, g_steal_pointer(&local));
    uv_store_warn(&json->store, "%s; changes that are not in the file yet do not show",
                  local->message);
    return true;
}

bool uv_json_store_same_now(JsonStore *json, UvFileRole role, const UvStoreIdentity *identity)
{
    UvStoreIdentity now = {0};
    struct stat st;

    if (uv_folder_stat(json->store.folder, role, &st, NULL))
        uv_store_identity_from_stat(&now, &st);
    if (role == UV_FILE_STORE)
        return uv_store_identity_equal(&now, identity);
    /* Appended to is fine: those changes come later. */
    return now.inode == identity->inode && now.device == identity->device;
}

/* A pair that was there together: file, journal, and both still in place afterwards. */
static bool take_snapshot(JsonStore *json, Snapshot *ret_snapshot, int *ret_fd, GError **error)
{
    for (int i = 0;; i++) {
        g_auto(Snapshot) snapshot = {0};
        uv_autofd int fd = -1;

        if (!read_role(json->store.folder, UV_FILE_STORE, UV_JSON_FILE_MAX, &snapshot.text,
                       &snapshot.identity, &snapshot.file_id, &fd, error))
            return false;
        if (!read_journal(json, &snapshot, error))
            return false;
        if (i + 1 < TRIES &&
            (!uv_json_store_same_now(json, UV_FILE_STORE, &snapshot.identity) ||
             !uv_json_store_same_now(json, UV_FILE_JOURNAL, &snapshot.journal_identity))) {
            g_usleep(1000 << i);
            continue;
        }
        if (!snapshot.text)
            snapshot.text = g_bytes_new(NULL, 0);
        if (!uv_folder_is_held(json->store.folder)) /* that one is never compared */
            snapshot.digest = uv_digest_of_bytes(snapshot.text);
        *ret_snapshot = snapshot;
        snapshot = (Snapshot){0};
        *ret_fd = uv_fd_steal(&fd);
        return true;
    }
}

/* The text of record `i` on its way into the file, or one of those before it. */
static bool image_is_under_way(const UvJournalContent *content, guint i, const Snapshot *snapshot,
                               UvRecordImage *ret_image)
{
    UvRecordImage images[IMAGES_MAX];
    size_t n = IMAGES_MAX, size;
    const uint8_t *text = g_bytes_get_data(snapshot->text, &size);

    if (!uv_record_read_image(&g_array_index(content->records, UvRecord, i), ret_image))
        return false;
    images[--n] = *ret_image;
    while (i-- > 0 && n > 0)
        if (uv_record_read_image(&g_array_index(content->records, UvRecord, i), &images[n - 1]))
            n--;
    return uv_record_image_matches(images + n, IMAGES_MAX - n, text, size);
}

/*
 * The journal is the very file that it says it is, and none of the files that it names is the
 * store: that was made anew, with the same content or not. If the journal is another one too, both
 * were copied or restored, and the texts decide.
 */
static bool is_another_store(const UvJournalContent *content, const Snapshot *snapshot)
{
    if (!uv_file_id_equal(&content->head.own, &snapshot->journal_id) ||
        content->head.store.inode == 0 ||
        uv_file_id_equal(&content->head.store, &snapshot->file_id))
        return false;
    for (guint i = 0; i < content->records->len; i++) {
        const UvRecord *record = &g_array_index(content->records, UvRecord, i);
        UvDigest digest;
        UvFileId file;

        if (uv_record_read_compaction(record, &digest, &file) &&
            uv_file_id_equal(&file, &snapshot->file_id))
            return false;
    }
    return true;
}

/*
 * Which text the content starts from and which records are still to be done; false if the journal
 * does not belong to the file.
 */
static bool find_start(const UvJournalContent *content, const Snapshot *snapshot,
                       UvRecordImage *ret_image, guint *ret_first)
{
    bool found = uv_digest_equal(&content->head.base, &snapshot->digest);

    *ret_first = 0;
    *ret_image = (UvRecordImage){0};
    for (guint i = content->records->len; i-- > 0;) {
        const UvRecord *record = &g_array_index(content->records, UvRecord, i);
        UvDigest digest;
        UvFileId file;

        if (uv_record_read_compaction(record, &digest, &file) &&
            uv_digest_equal(&digest, &snapshot->digest)) {
            *ret_image = (UvRecordImage){0};
            *ret_first = i + 1;
            return true;
        }
        if (image_is_under_way(content, i, snapshot, ret_image)) {
            *ret_first = i + 1;
            return true;
        }
    }
    *ret_image = (UvRecordImage){0};
    return found;
}

static GPtrArray *variables_of(const UvVarset *set)
{
    GPtrArray *variables = g_ptr_array_new_with_free_func((GDestroyNotify)uv_variable_unref);

    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v))
        g_ptr_array_add(variables, uv_variable_ref(v));
    return variables;
}

static GPtrArray *parse(JsonStore *json, const void *text, size_t size, GError **error)
{
    const char *name = uv_folder_path(json->store.folder, UV_FILE_STORE);
    unsigned left_out;
    GPtrArray *variables = uv_json_parse(name, text, size, &left_out, error);

    if (variables && left_out > 0)
        uv_store_warn(&json->store, "%s: left out what no store keeps: volatile variables (%u)",
                      name, left_out);
    return variables;
}

/* NULL without an error: the records are not ours. */
static GPtrArray *replay(JsonStore *json, const UvJournalContent *content, guint first,
                         const UvRecordImage *image, const Snapshot *snapshot, GError **error)
{
    g_autoptr(GPtrArray) start = NULL;
    g_autoptr(UvVarset) set = uv_varset_new();

    start = image->new_text ? parse(json, image->new_text, image->new_size, error)
                            : parse(json, g_bytes_get_data(snapshot->text, NULL),
                                    g_bytes_get_size(snapshot->text), error);
    if (!start)
        return NULL;
    for (guint i = 0; i < start->len; i++)
        uv_varset_put(set, start->pdata[i]);
    for (guint i = first; i < content->records->len; i++)
        if (!uv_record_replay(&g_array_index(content->records, UvRecord, i), set))
            return NULL;
    return variables_of(set);
}

/* The variables of a snapshot; without a journal that fits, of its text alone. */
static GPtrArray *resolve(JsonStore *json, const Snapshot *snapshot, GError **error)
{
    g_autoptr(UvJournalContent) content = NULL;
    UvJournalState state = UV_JOURNAL_UNBORN;
    GError *local = NULL;
    UvRecordImage image;
    guint first;

    if (snapshot->journal)
        state = uv_journal_read(snapshot->journal, &content);
    if (state == UV_JOURNAL_VALID && is_another_store(content, snapshot)) {
        uv_json_store_set_aside(json, "the store was made anew since");
    } else if (state == UV_JOURNAL_VALID && find_start(content, snapshot, &image, &first)) {
        GPtrArray *variables = replay(json, content, first, &image, snapshot, &local);
        size_t torn = g_bytes_get_size(content->bytes) - content->end;

        if (torn > 0 && variables)
            uv_store_warn(&json->store, "%s: an unfinished change at its end (%zu bytes) dropped",
                          uv_folder_path(json->store.folder, UV_FILE_JOURNAL), torn);
        json->seen.fits = json->seen.goes_on = variables;
        json->seen.done = first == content->records->len && !image.new_text;
        if (local)
            g_propagate_error(error, local);
        if (variables || local)
            return variables;
        state = UV_JOURNAL_FOREIGN;
    } else if (state == UV_JOURNAL_VALID) {
        uv_json_store_set_aside(json, "the store was changed by another program since");
    }
    if (state == UV_JOURNAL_UNBORN)
        json->seen.fits = json->seen.done = json->seen.present;
    if (state == UV_JOURNAL_FOREIGN)
        uv_json_store_set_aside(json, "not a journal of this version");
    return parse(json, g_bytes_get_data(snapshot->text, NULL), g_bytes_get_size(snapshot->text),
                 error);
}

static void remember(JsonStore *json, const Snapshot *snapshot, int fd)
{
    uv_fd_clear(&json->fd);
    json->fd = fd;
    json->digest = snapshot->digest;
    json->store.identity = snapshot->identity;
    json->seen.present = snapshot->journal;
    json->seen.fits = json->seen.goes_on = json->seen.done = json->seen.overtaken = false;
    json->seen.device = snapshot->journal_identity.device;
    json->seen.inode = snapshot->journal_identity.inode;
    json->seen.mtime_ns = snapshot->journal_identity.mtime_ns;
    json->seen.size_bytes = snapshot->journal ? g_bytes_get_size(snapshot->journal) : 0;
}

/* Once: file and journal, and what they say together; NULL if that can't be read. */
static GPtrArray *load_once(JsonStore *json, GError **error)
{
    g_auto(Snapshot) snapshot = {0};
    int fd;

    if (!take_snapshot(json, &snapshot, &fd, error))
        return NULL;
    remember(json, &snapshot, fd);
    return resolve(json, &snapshot, error);
}

bool uv_json_store_load(JsonStore *json, GPtrArray **ret_variables, GError **error)
{
    g_autoptr(GPtrArray) variables = NULL;

    uv_json_store_lower_guard(json);
    uv_json_store_forget_journal(json);
    json->loaded = false;
    json->compact_due_us = json->backoff_us = 0;
    for (int i = 0; i < TRIES && (i == 0 || json->seen.overtaken); i++) {
        g_clear_error(error);
        g_clear_pointer(&variables, g_ptr_array_unref);
        variables = load_once(json, error);
    }
    /* A tree of the text was built and freed: an idle engine need not keep that. */
    malloc_trim(0);
    if (!variables)
        return false;
    uv_meta_load(&json->store, variables, json->seen.goes_on);
    json->loaded = true;
    uv_store_new_generation(&json->store, MAX(json->store.identity.mtime_ns, json->seen.mtime_ns));
    if (json->seen.present && !json->never_write)
        json->compact_due_us = g_get_monotonic_time() + UV_JSON_COMPACT_US;
    *ret_variables = g_steal_pointer(&variables);
    return true;
}

bool uv_json_store_look(JsonStore *json, GError **error)
{
    g_autoptr(GBytes) text = NULL;
    struct stat st;
    const char *name = uv_folder_path(json->store.folder, UV_FILE_STORE);

    if (fstat(json->fd, &st) < 0)
        return uv_set_store_error(error, name, "cannot look at it", errno);
    text = uv_read_file(json->fd, name, UV_JSON_FILE_MAX, error);
    if (!text)
        return false;
    json->digest = uv_digest_of_bytes(text);
    uv_store_identity_from_stat(&json->store.identity, &st);
    return true;
}

/* Another engine's journal may have grown, come or gone. */
static bool journal_changed(JsonStore *json)
{
    struct stat st;
    bool present;

    present = uv_folder_stat(json->store.folder, UV_FILE_JOURNAL, &st, NULL);
    if (present != json->seen.present)
        return true;
    return present &&
           ((uint64_t)st.st_dev != json->seen.device || (uint64_t)st.st_ino != json->seen.inode ||
            (uint64_t)st.st_size != json->seen.size_bytes);
}

static bool file_changed(JsonStore *json)
{
    g_autoptr(GBytes) text = NULL;
    UvStoreIdentity identity;
    uv_autofd int fd = -1;

    if (uv_json_store_same_now(json, UV_FILE_STORE, &json->store.identity))
        return false;
    if (uv_folder_is_held(json->store.folder))
        return true;
    uv_json_store_lower_guard(json);
    /* Touched, or replaced by the same: then only what we remember changes. */
    if (!read_role(json->store.folder, UV_FILE_STORE, UV_JSON_FILE_MAX, &text, &identity, NULL, &fd,
                   NULL))
        return true;
    const UvDigest digest = uv_digest_of_bytes(text);
    /* With a journal it is another store, whatever is in it. */
    if (!uv_digest_equal(&digest, &json->digest) ||
        ((json->journal || json->seen.present) && identity.inode != json->store.identity.inode))
        return true;
    uv_fd_clear(&json->fd);
    json->fd = uv_fd_steal(&fd);
    json->store.identity = identity;
    return false;
}

bool uv_json_store_changed_by_others(JsonStore *json)
{
    return journal_changed(json) || file_changed(json);
}

bool uv_json_store_changed(JsonStore *json)
{
    return uv_store_lock_is_held(&json->store.lock) ? file_changed(json)
                                                    : uv_json_store_changed_by_others(json);
}
