/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What engines said of views.
 *
 * What is kept counts for the store that it was made of (as its engine identified it), and goes
 * when the engine tells of a change of a variable or of its state.
 */

#include "views.h"

#include "fleet-private.h"

#include <string.h>

/* Of all guests together; those of one, of texts. */
#define KEPT_MAX (48u * 1024 * 1024)
#define TEXT_MAX (16u * 1024)
#define TEXTS_MAX 32

typedef struct {
    FsViewKind view;
    GBytes *text;
    char path[];
} FsKeptText;

struct FsViewCache {
    FsGuest *guest;
    FsIdentity of; /* the store that all of it is of */
    GBytes *lists[FS_VIEWS];
    int64_t mtime_ns[FS_VIEWS];
    GPtrArray *texts; /* FsKeptText, the first one first */
    size_t bytes;
    GList in_fleet;
};

static void kept_text_free(void *data)
{
    FsKeptText *text = data;

    g_bytes_unref(text->text);
    g_free(text);
}

void guest_views_clear(FsGuest *guest)
{
    FsViewCache *cache = guest->live ? g_steal_pointer(&guest->live->views) : NULL;

    if (!cache)
        return;
    guest->fleet->views_bytes -= cache->bytes;
    g_queue_unlink(&guest->fleet->views, &cache->in_fleet);
    for (FsViewKind view = 0; view < FS_VIEWS; view++)
        g_clear_pointer(&cache->lists[view], g_bytes_unref);
    g_ptr_array_unref(cache->texts);
    g_free(cache);
}

void guest_views_changed(FsGuest *guest)
{
    guest->live->views_generation++;
    guest_views_clear(guest);
}

void guest_store_is_now(FsGuest *guest, const FsIdentity *identity)
{
    FsViewCache *cache = guest->live->views;

    if (cache && fs_identity_equal(&cache->of, &guest->live->identity))
        cache->of = *identity;
    guest->live->identity = *identity;
}

/* Where there is an engine it has told all it did. */
static FsViewCache *current(const FsGuest *guest)
{
    const FsLive *live = guest->live;
    FsViewCache *cache = live ? live->views : NULL;

    if (!cache || live->stale || !fs_identity_equal(&cache->of, &guest->look.store))
        return NULL;
    if (live->engine)
        return live->engine->state == FS_ENGINE_READY && live->engine->io ? cache : NULL;
    return guest->look.flags & FS_LOOK_JOURNAL ? NULL : cache;
}

static void account(FsViewCache *cache, size_t bytes)
{
    FsFleet *fleet = cache->guest->fleet;

    cache->bytes += bytes;
    fleet->views_bytes += bytes;
    g_queue_unlink(&fleet->views, &cache->in_fleet);
    g_queue_push_tail_link(&fleet->views, &cache->in_fleet);
    while (fleet->views_bytes > KEPT_MAX && fleet->views.length > 1) {
        FsGuest *oldest = ((FsViewCache *)fleet->views.head->data)->guest;
        guest_views_clear(oldest);
        guest_forget_kept(oldest);
    }
}

/* The cache for what the engine has just said. */
static FsViewCache *cache_for(FsGuest *guest)
{
    FsLive *live = guest->live;

    if (live->views && !fs_identity_equal(&live->views->of, &live->identity))
        guest_views_clear(guest);
    if (!live->views) {
        live->views = g_new0(FsViewCache, 1);
        live->views->guest = guest;
        live->views->of = live->identity;
        live->views->in_fleet.data = live->views;
        live->views->texts = g_ptr_array_new_with_free_func(kept_text_free);
        g_queue_push_tail_link(&guest->fleet->views, &live->views->in_fleet);
        account(live->views, sizeof(FsViewCache));
    }
    return live->views;
}

static const FsKeptText *find_text(const FsViewCache *cache, FsViewKind view, const char *path)
{
    for (guint i = 0; i < cache->texts->len; i++) {
        const FsKeptText *text = cache->texts->pdata[i];
        if (text->view == view && strcmp(text->path, path) == 0)
            return text;
    }
    return NULL;
}

void guest_views_keep_text(FsGuest *guest, FsViewKind view, const char *path, GBytes *bytes)
{
    FsViewCache *cache = cache_for(guest);
    const size_t path_bytes = strlen(path) + 1;
    FsKeptText *text;

    if (g_bytes_get_size(bytes) > TEXT_MAX || cache->texts->len >= TEXTS_MAX ||
        find_text(cache, view, path))
        return;
    text = g_malloc(sizeof(*text) + path_bytes);
    *text = (FsKeptText){view, g_bytes_ref(bytes)};
    memcpy(text->path, path, path_bytes);
    g_ptr_array_add(cache->texts, text);
    account(cache, sizeof(*text) + path_bytes + g_bytes_get_size(bytes));
}

/* The variables that a view shows; next-boot/ shows none. */
static bool shows(FsViewKind view, const char *name)
{
    static const char *const boot[] = {"Boot", "Timeout-", "OsIndications-"};
    static const char *const keys[] = {"PK-", "KEK-", "db-", "dbx-", "dbt-", "dbr-", "SecureBoot"};
    const char *const *prefixes = view == FS_VIEW_BOOT ? boot : keys;
    const size_t n = view == FS_VIEW_BOOT          ? G_N_ELEMENTS(boot)
                     : view == FS_VIEW_SECURE_BOOT ? G_N_ELEMENTS(keys)
                                                   : 0;

    for (size_t i = 0; i < n; i++) {
        if (g_str_has_prefix(name, prefixes[i]))
            return true;
    }
    return false;
}

int64_t guest_views_newest_ns(const FsGuest *guest, FsViewKind view)
{
    int64_t newest = 0, oldest = 0;
    const FsEntry *entry;

    for (uint64_t after = 0; (entry = fs_replica_next(guest->live->replica, after));) {
        after = entry->sequence;
        if (shows(view, entry->name))
            newest = MAX(newest, entry->mtime_ns);
        if (oldest == 0 || entry->mtime_ns < oldest)
            oldest = entry->mtime_ns;
    }
    return newest ? newest : oldest;
}

bool guest_views_keep_list(FsGuest *guest, FsViewKind view, GBytes *list)
{
    FsViewCache *cache = cache_for(guest);

    if (cache->lists[view])
        return false;
    cache->lists[view] = g_bytes_ref(list);
    cache->mtime_ns[view] = guest_views_newest_ns(guest, view);
    account(cache, g_bytes_get_size(list));
    return true;
}

int64_t fs_guest_view_mtime_ns(const FsGuest *guest, FsViewKind view)
{
    return guest->live ? guest->live->view_mtime_ns[view] : 0;
}

/* Kept beside the store; what waits in next-boot/ is not in the store, so nothing would tell that
 * it is another: the front has it forgotten before it changes it (guest_unkeep()). */

void guest_views_visit(const FsGuest *guest, bool texts,
                       void (*visit)(FsViewKind view, const char *path, int64_t mtime_ns,
                                     GBytes *bytes, void *data),
                       void *data)
{
    const FsViewCache *cache = current(guest);

    if (!cache)
        return;
    for (FsViewKind view = 0; view < FS_VIEWS; view++)
        if (cache->lists[view])
            visit(view, NULL, cache->mtime_ns[view], cache->lists[view], data);
    for (guint i = 0; texts && i < cache->texts->len; i++) {
        const FsKeptText *text = cache->texts->pdata[i];
        visit(text->view, text->path, 0, text->text, data);
    }
}

bool guest_views_read_list(FsGuest *guest, UvReader *body)
{
    const uint8_t view = uv_read_u8(body);
    const int64_t mtime_ns = (int64_t)uv_read_u64(body);
    const size_t size = body->left;
    const uint8_t *bytes = uv_read_bytes(body, size);
    g_autoptr(GBytes) list = bytes ? g_bytes_new(bytes, size) : NULL;

    if (!list || view >= FS_VIEWS || !fs_view_list_check(list))
        return false;
    if (guest && guest_views_keep_list(guest, view, list))
        guest->live->views->mtime_ns[view] = mtime_ns;
    return true;
}

bool guest_views_read_text(FsGuest *guest, UvReader *body)
{
    const uint8_t view = uv_read_u8(body);
    const size_t path_bytes = uv_read_u16(body);
    const char *path = (const char *)uv_read_bytes(body, path_bytes);
    const size_t size = body->left;
    const uint8_t *bytes = uv_read_bytes(body, size);

    if (!path || !bytes || view >= FS_VIEWS || path_bytes == 0 || memchr(path, '\0', path_bytes))
        return false;
    if (guest) {
        g_autofree char *name = g_strndup(path, path_bytes);
        g_autoptr(GBytes) text = g_bytes_new(bytes, size);
        guest_views_keep_text(guest, view, name, text);
    }
    return true;
}

GBytes *guest_views_kept(FsGuest *guest, FsViewKind view, const char *path)
{
    const FsViewCache *cache = current(guest);
    const FsKeptText *text;

    if (!cache)
        return NULL;
    guest->live->view_mtime_ns[view] = cache->mtime_ns[view];
    if (!*path)
        return cache->lists[view] ? g_bytes_ref(cache->lists[view]) : NULL;
    text = find_text(cache, view, path);
    return text ? g_bytes_ref(text->text) : NULL;
}

bool guest_views_miss(const FsGuest *guest, FsViewKind view, const char *path)
{
    const FsViewCache *cache = current(guest);

    return cache && !find_text(cache, view, path);
}
