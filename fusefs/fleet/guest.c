/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One guest: what the tree asks of it without an engine. */

#include "fleet-private.h"

#include "filelock.h"
#include "sidecars.h"

#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

FsLive *guest_live(FsGuest *guest)
{
    if (!guest->live) {
        guest->live = g_new0(FsLive, 1);
        guest->live->replica = fs_replica_new();
        g_queue_init(&guest->live->calls);
    }
    return guest->live;
}

uint64_t guest_hash(FsGuest *guest)
{
    if (guest->hash == 0) {
        guest->hash = fs_sockdir_hash(guest->name);
        g_hash_table_insert(guest->fleet->by_hash, &guest->hash, guest);
    }
    return guest->hash;
}

static void live_free(FsLive *live)
{
    fs_replica_free(live->replica);
    g_clear_pointer(&live->warnings, g_hash_table_unref);
    g_free(live->quick_path);
    g_free(live->quick_journal);
    g_free(live->last_reason);
    g_free(live->failure);
    g_strfreev(live->shadowed);
    g_free(live);
}

void guest_free(FsGuest *guest)
{
    if (guest->tree && guest->tree_destroy)
        guest->tree_destroy(guest->tree);
    guest_watch_listener(guest, false);
    replica_warm(guest);
    if (guest->listener_fd >= 0)
        close(guest->listener_fd);
    g_clear_pointer(&guest->live, live_free);
    g_free(guest->name);
    g_free(guest);
}

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

/* Changes that inotify does not tell (of another host, through a hard link) show that late. */
#define UNWATCHED_US (G_USEC_PER_SEC / 10)

static bool same_file(const FsIdentity *identity, const struct stat *st)
{
    return identity->device == st->st_dev && identity->inode == st->st_ino &&
           identity->size_bytes == (uint64_t)st->st_size &&
           identity->mtime_ns == nanoseconds(&st->st_mtim) &&
           identity->ctime_ns == nanoseconds(&st->st_ctim);
}

/*
 * Nothing is opened or allocated where the store is still the same file at the same place, which is
 * nearly always. Links do not matter: it is compared, and not read.
 */
static bool is_still_there(FsGuest *guest)
{
    FsLive *live = guest->live;
    bool engine = live->engine != NULL;
    const FsFleet *fleet = guest->fleet;
    int64_t now = g_get_monotonic_time();
    struct stat st;

    if (engine && fleet->quiet && live->seen_watched && live->seen_epoch == fleet->epoch &&
        now - live->seen_at < UNWATCHED_US)
        return true;
    live->seen_epoch = fleet->epoch;
    live->seen_at = now;
    return live->quick_path && stat(live->quick_path, &st) == 0 &&
           same_file(&live->identity, &st) &&
           (engine || faccessat(AT_FDCWD, live->quick_journal, F_OK, AT_SYMLINK_NOFOLLOW) < 0);
}

static char *journal_path(const char *folder, const char *store)
{
    g_autofree char *sidecars = NULL, *journal = uv_sidecar_name(store, "journal");
    int fd = uv_open_dir(AT_FDCWD, folder, 0);

    sidecars = uv_sidecars_path(fd, store);
    if (fd >= 0)
        close(fd);
    return g_build_filename(folder, sidecars, journal, NULL);
}

static void remember_place(FsGuest *guest)
{
    FsLive *live = guest->live;
    struct stat st;
    g_autofree char *path = fs_guest_store_path(guest);

    g_clear_pointer(&live->quick_path, g_free);
    g_clear_pointer(&live->quick_journal, g_free);
    live->seen_watched = false;
    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode)) {
        g_autofree char *folder = g_path_get_dirname(path);
        g_autofree char *name = g_path_get_basename(path);
        live->quick_path = g_steal_pointer(&path);
        live->seen_watched = guest->fleet->inotify_fd >= 0 && guest->rule != FS_RULE_FOLDER &&
                             guest->rule != FS_RULE_SOURCE;
        live->quick_journal = journal_path(folder, name);
    }
}

bool guest_replica_valid(FsGuest *guest)
{
    static const FsIdentity no_file;
    const FsLive *live = guest->live;
    struct stat st;
    bool journal;

    if (!live || !live->filled || live->stale)
        return false;
    if (is_still_there(guest))
        return true;
    int result = fs_local_stat(guest->fleet->source, guest->rule, guest->name, &st, &journal);
    if (result == -ENOENT)
        return memcmp(&live->identity, &no_file, sizeof(no_file)) == 0;
    if (result < 0)
        return true; /* it can't be looked at now: what is known serves */
    if (!same_file(&live->identity, &st) || (!live->engine && journal))
        return false;
    remember_place(guest);
    return true;
}

bool guest_has_store(const FsGuest *guest)
{
    struct stat st;
    bool journal;
    return fs_local_stat(guest->fleet->source, guest->rule, guest->name, &st, &journal) == 0;
}

FsFleet *fs_guest_fleet(const FsGuest *guest)
{
    return guest->fleet;
}

const char *fs_guest_name(const FsGuest *guest)
{
    return guest->name;
}

uint64_t fs_guest_sequence(const FsGuest *guest)
{
    return guest->sequence;
}

FsStoreKind fs_guest_store_kind(const FsGuest *guest)
{
    return guest_has_store(guest) ? FS_STORE_FILE : FS_STORE_NONE;
}

char *fs_guest_store_path(const FsGuest *guest)
{
    const FsLocal *source = guest->fleet->source;

    if (guest->rule == FS_RULE_SOURCE)
        return g_strdup(source->path);
    g_autofree char *file = NULL;
    if (guest->rule != FS_RULE_FOLDER) {
        file = fs_local_file(source, guest->rule, guest->name);
        return g_build_filename(source->path, file, NULL);
    }
    int fd = fs_local_place(source, guest->rule, guest->name, &file);
    if (fd >= 0)
        close(fd);
    return g_build_filename(source->path, guest->name, file ? file : "vars.json", NULL);
}

char *fs_guest_config_path(const FsGuest *guest)
{
    g_autofree char *file = fs_local_config(guest->rule, guest->name);

    return g_build_filename(guest->fleet->source->path, file, NULL);
}

char *fs_guest_socket_path(const FsGuest *guest)
{
    return fs_sockdir_file(guest->fleet->sockdir, guest_hash((FsGuest *)guest), ".sock");
}

void fs_guest_stat(const FsGuest *guest, struct stat *ret_stat)
{
    fs_local_stat_owner(guest->fleet->source, guest->rule, guest->name, ret_stat);
}

void fs_guest_owner(const FsGuest *guest, uid_t *ret_uid, gid_t *ret_gid)
{
    struct stat st;

    fs_guest_stat(guest, &st);
    *ret_uid = st.st_uid;
    *ret_gid = st.st_gid;
}

const char *const *fs_guest_shadowed(const FsGuest *guest)
{
    static const char *const none[] = {NULL};
    FsLive *live = guest_live((FsGuest *)guest);
    FsRule rule;

    if (!live->shadowed_known)
        fs_local_find(guest->fleet->source, guest->name, &rule, &live->shadowed);
    live->shadowed_known = true;
    return live->shadowed ? (const char *const *)live->shadowed : none;
}

void fs_guest_set_tree(FsGuest *guest, void *tree, GDestroyNotify destroy)
{
    guest->tree = tree;
    guest->tree_destroy = destroy;
}

void *fs_guest_tree(const FsGuest *guest)
{
    return guest->tree;
}

void fs_guest_set_warning(FsGuest *guest, const char *topic, const char *text)
{
    FsLive *live = guest_live(guest);

    if (!text) {
        if (live->warnings)
            g_hash_table_remove(live->warnings, topic);
        return;
    }
    if (!live->warnings)
        live->warnings = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert(live->warnings, g_strdup(topic), g_utf8_make_valid(text, -1));
}

FsReplica *fs_guest_replica(const FsGuest *guest)
{
    return guest_live((FsGuest *)guest)->replica;
}

const FsUsage *fs_guest_usage(const FsGuest *guest)
{
    return &guest_live((FsGuest *)guest)->usage;
}

uint32_t fs_guest_state(const FsGuest *guest)
{
    return guest->live && guest->live->engine ? guest->live->state : 0;
}

void fs_guest_refused(FsGuest *guest, const char *reason)
{
    FsLive *live = guest_live(guest);

    g_free(live->last_reason);
    live->last_reason = g_strdup(reason);
}

const char *fs_guest_last_reason(const FsGuest *guest)
{
    return guest->live ? guest->live->last_reason : NULL;
}

const char *fs_guest_failure(const FsGuest *guest)
{
    return guest->live ? guest->live->failure : NULL;
}

static void add_text(JsonBuilder *builder, const char *member, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    json_builder_set_member_name(builder, member);
    json_builder_add_string_value(builder, valid);
}

static const char *engine_state_name(const FsEngine *engine)
{
    if (!engine)
        return "none";
    if (engine_silent_us(engine) > SILENT_US)
        return "silent";
    switch (engine->state) {
    case FS_ENGINE_STARTING:
        return "starting";
    case FS_ENGINE_READY:
        return "running";
    case FS_ENGINE_ENDING:
        return "ending";
    }
    return "unknown";
}

static void add_engine(JsonBuilder *builder, const FsEngine *engine)
{
    json_builder_set_member_name(builder, "engine");
    json_builder_begin_object(builder);
    add_text(builder, "state", engine_state_name(engine));
    if (engine && engine->pid > 0) {
        json_builder_set_member_name(builder, "pid");
        json_builder_add_int_value(builder, engine->pid);
    }
    if (engine && engine->build)
        add_text(builder, "build", engine->build);
    json_builder_end_object(builder);
}

static void add_warnings(JsonBuilder *builder, const FsLive *live)
{
    GHashTableIter iter;
    void *text;

    json_builder_set_member_name(builder, "warnings");
    json_builder_begin_array(builder);
    if (live->warnings) {
        g_hash_table_iter_init(&iter, live->warnings);
        while (g_hash_table_iter_next(&iter, NULL, &text))
            json_builder_add_string_value(builder, text);
    }
    json_builder_end_array(builder);
}

/* A confined engine sees no other process. */
static void add_store(JsonBuilder *builder, const FsGuest *guest)
{
    g_autofree char *path = fs_guest_store_path(guest), *real = NULL, *users = NULL;
    const FsEngine *engine = guest->live->engine;

    if (engine && (guest->live->state & UV_HOST_STATE_READ_ONLY))
        real = realpath(path, NULL);
    if (real)
        users = uv_filelock_who(real, engine->pid);
    json_builder_set_member_name(builder, "store");
    json_builder_begin_object(builder);
    add_text(builder, "path", path);
    if (users)
        add_text(builder, "opened-by", users);
    json_builder_end_object(builder);
}

char *fs_guest_status_object(FsGuest *guest)
{
    const FsLive *live = guest_live(guest);
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autofree char *socket = fs_guest_socket_path(guest);
    const char *const *shadowed = fs_guest_shadowed(guest);

    json_builder_begin_object(builder);
    add_text(builder, "guest", guest->name);
    add_store(builder, guest);
    add_text(builder, "socket", socket);
    add_engine(builder, live->engine);
    json_builder_set_member_name(builder, "shadowed");
    json_builder_begin_array(builder);
    for (; *shadowed; shadowed++) {
        g_autofree char *valid = g_utf8_make_valid(*shadowed, -1);
        json_builder_add_string_value(builder, valid);
    }
    json_builder_end_array(builder);
    add_warnings(builder, live);
    if (live->last_reason)
        add_text(builder, "last-refusal", live->last_reason);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return json_to_string(root, TRUE);
}
