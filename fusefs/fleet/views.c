/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What engines said of views, and asking them.
 *
 * What is kept counts for the store that it was made of (as its engine identified it), and goes
 * when the engine tells of a change of a variable or of its state. An answer is kept only if
 * nothing changed between the question and its delivery.
 */

#include "views.h"

#include "efi-errno.h"
#include "fleet-private.h"

#include "uv-limits.h"

#include <errno.h>
#include <string.h>

/* Of all guests together; those of one, of texts. */
#define KEPT_MAX (48u * 1024 * 1024)
#define TEXT_MAX (16u * 1024)
#define TEXTS_MAX 32

typedef struct FsKeptText FsKeptText;
struct FsKeptText {
    FsKeptText *next;
    FsViewKind view;
    GBytes *text;
    char path[];
};

struct FsViewCache {
    FsGuest *guest;
    FsIdentity of; /* the store that all of it is of */
    GBytes *lists[FS_VIEWS];
    int64_t mtime_ns[FS_VIEWS];
    FsKeptText *texts;
    unsigned n_texts;
    size_t bytes;
    GList in_fleet;
};

static const char *const names[FS_VIEWS] = {"boot", "secure-boot", "next-boot"};

const char *fs_view_name(FsViewKind view)
{
    return names[view];
}

/* Keeping */

static void free_texts(FsViewCache *cache)
{
    for (FsKeptText *text = cache->texts, *next; text; text = next) {
        next = text->next;
        g_bytes_unref(text->text);
        g_free(text);
    }
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
    free_texts(cache);
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

    if (cache && memcmp(&cache->of, &guest->live->identity, sizeof(cache->of)) == 0)
        cache->of = *identity;
    guest->live->identity = *identity;
}

/* Where there is an engine it has told all it did. */
static FsViewCache *current(const FsGuest *guest)
{
    const FsLive *live = guest->live;
    FsViewCache *cache = live ? live->views : NULL;

    if (!cache || live->stale || memcmp(&cache->of, &guest->look.store, sizeof(cache->of)) != 0)
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

    if (live->views && memcmp(&live->views->of, &live->identity, sizeof(live->identity)) != 0)
        guest_views_clear(guest);
    if (!live->views) {
        live->views = g_new0(FsViewCache, 1);
        live->views->guest = guest;
        live->views->of = live->identity;
        live->views->in_fleet.data = live->views;
        g_queue_push_tail_link(&guest->fleet->views, &live->views->in_fleet);
        account(live->views, sizeof(FsViewCache));
    }
    return live->views;
}

static const FsKeptText *find_text(const FsViewCache *cache, FsViewKind view, const char *path)
{
    for (const FsKeptText *text = cache->texts; text; text = text->next) {
        if (text->view == view && strcmp(text->path, path) == 0)
            return text;
    }
    return NULL;
}

static void keep_text(FsGuest *guest, FsViewKind view, const char *path, GBytes *bytes)
{
    FsViewCache *cache = cache_for(guest);
    const size_t path_bytes = strlen(path) + 1;
    FsKeptText *text;

    if (g_bytes_get_size(bytes) > TEXT_MAX || cache->n_texts >= TEXTS_MAX ||
        find_text(cache, view, path))
        return;
    text = g_malloc(sizeof(*text) + path_bytes);
    *text = (FsKeptText){NULL, view, g_bytes_ref(bytes)};
    memcpy(text->path, path, path_bytes);
    FsKeptText **end = &cache->texts;
    while (*end)
        end = &(*end)->next;
    *end = text;
    cache->n_texts++;
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

/* Of the newest of them; where there is none, of the oldest of all: it must stay the same when the
 * store is written anew, or each backup would copy the view. */
static int64_t newest_shown(const FsGuest *guest, FsViewKind view)
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

/* false: one is kept. */
static bool keep_list(FsGuest *guest, FsViewKind view, GBytes *list)
{
    FsViewCache *cache = cache_for(guest);

    if (cache->lists[view])
        return false;
    cache->lists[view] = g_bytes_ref(list);
    cache->mtime_ns[view] = newest_shown(guest, view);
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
    for (const FsKeptText *text = texts ? cache->texts : NULL; text; text = text->next)
        visit(text->view, text->path, 0, text->text, data);
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
    if (guest && keep_list(guest, view, list))
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
        keep_text(guest, view, name, text);
    }
    return true;
}

/* Asking */

typedef struct {
    FsViewKind view;
    void *request;
    uint32_t generation;
    bool recalled; /* what is kept beside the store was read */
    FsReply go_on;
    void *data;
    char path[]; /* "": the list */
} Asking;

static void end(Asking *asking, FsGuest *guest, int error, GBytes *reply)
{
    asking->go_on(guest, error, reply, asking->data);
    g_free(asking);
}

static void took_list(Asking *asking, FsGuest *guest, GBytes *list)
{
    if (!fs_view_list_check(list)) {
        fs_guest_log(guest, "its engine listed a view that can't be");
        end(asking, guest, EIO, NULL);
        return;
    }
    guest->live->view_mtime_ns[asking->view] = newest_shown(guest, asking->view);
    if (asking->generation == guest->live->views_generation)
        keep_list(guest, asking->view, list);
    end(asking, guest, 0, list);
}

/* An outcome, with the text in place of a reason. */
#define OUTCOME_BYTES 12

static void took_text(Asking *asking, FsGuest *guest, GBytes *reply)
{
    g_autofree char *reason = NULL;
    const int error = fs_outcome_parse(reply, &reason);

    if (error) {
        end(asking, guest, error, NULL);
        return;
    }
    g_autoptr(GBytes) text =
        g_bytes_new_from_bytes(reply, OUTCOME_BYTES, g_bytes_get_size(reply) - OUTCOME_BYTES);
    if (asking->generation == guest->live->views_generation)
        keep_text(guest, asking->view, asking->path, text);
    end(asking, guest, 0, text);
}

static void answered(FsGuest *guest, int error, GBytes *reply, void *data)
{
    Asking *asking = data;

    if (!guest || error)
        end(asking, guest, error, NULL);
    else if (!*asking->path)
        took_list(asking, guest, reply);
    else
        took_text(asking, guest, reply);
}

static void write_text(UvWriter *writer, const char *text)
{
    const size_t size = strlen(text);

    uv_write_u16(writer, (uint16_t)size);
    uv_write_bytes(writer, text, size);
}

static void ask(FsGuest *guest, int error, void *data)
{
    Asking *asking = data;
    g_auto(UvWriter) writer = {0};

    if (!guest || error) {
        end(asking, guest, error, NULL);
        return;
    }
    uv_writer_init(&writer, UV_HOST_REQUEST_MAX);
    write_text(&writer, names[asking->view]);
    if (*asking->path)
        write_text(&writer, asking->path);
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    if (!payload) {
        end(asking, guest, ENAMETOOLONG, NULL);
        return;
    }
    asking->generation = guest->live->views_generation;
    fs_guest_call(guest, asking->request, *asking->path ? UV_HOST_VIEW_READ : UV_HOST_VIEW_LIST,
                  payload, answered, asking);
}

/* A new reference, or NULL. */
static GBytes *kept(const FsGuest *guest, const Asking *asking)
{
    const FsViewCache *cache = current(guest);
    const FsKeptText *text;

    if (!cache)
        return NULL;
    guest->live->view_mtime_ns[asking->view] = cache->mtime_ns[asking->view];
    if (!*asking->path)
        return cache->lists[asking->view] ? g_bytes_ref(cache->lists[asking->view]) : NULL;
    text = find_text(cache, asking->view, asking->path);
    return text ? g_bytes_ref(text->text) : NULL;
}

static void looked(FsGuest *guest, int error, void *data)
{
    Asking *asking = data;
    g_autoptr(GBytes) reply = guest && !error ? kept(guest, asking) : NULL;
    const bool engine = guest && guest->live && guest->live->engine && !guest_engine_ends(guest);
    const bool recalls = !asking->recalled && guest && !engine;

    if (reply || !guest || error) {
        end(asking, guest, error, reply);
    } else if (recalls) {
        asking->recalled = true;
        fs_guest_need(guest, FS_NEED_HINT, asking->request, looked, asking);
    } else {
        /* An engine that is there looks at the store again, if that has changed. */
        fs_guest_need_replica(guest, asking->request, ask, asking);
    }
}

static void begin(FsGuest *guest, void *request, FsViewKind view, const char *path, FsReply go_on,
                  void *data)
{
    const size_t path_bytes = strlen(path) + 1;
    Asking *asking = g_malloc(sizeof(*asking) + path_bytes);

    *asking = (Asking){.view = view, .request = request, .go_on = go_on, .data = data};
    memcpy(asking->path, path, path_bytes);
    fs_guest_need(guest, FS_NEED_FRESH_LOOK, request, looked, asking);
}

void fs_guest_view_list(FsGuest *guest, void *request, FsViewKind view, FsReply go_on, void *data)
{
    begin(guest, request, view, "", go_on, data);
}

void fs_guest_view_read(FsGuest *guest, void *request, FsViewKind view, const char *path,
                        FsReply go_on, void *data)
{
    begin(guest, request, view, path, go_on, data);
}

static void ignore(FsGuest *guest, int error, GBytes *reply, void *data)
{
}

void fs_guest_view_expect(FsGuest *guest, FsViewKind view, const char *path)
{
    const FsViewCache *cache = current(guest);

    if (cache && guest->live->engine && !find_text(cache, view, path))
        fs_guest_view_read(guest, NULL, view, path, ignore, NULL);
}

/* Changing */

void fs_guest_view_act(FsGuest *guest, void *request, FsViewKind view, FsViewAct act,
                       const char *path, GBytes *content, FsContinue go_on, void *data)
{
    g_auto(UvWriter) writer = {0};
    gsize size = 0;
    const void *bytes = content ? g_bytes_get_data(content, &size) : NULL;

    if (view == FS_VIEW_NEXT_BOOT)
        guest_unkeep(guest);
    uv_writer_init(&writer, UV_VIEW_FRAME_MAX);
    uv_write_u32(&writer, act);
    write_text(&writer, names[view]);
    write_text(&writer, path);
    if (size > 0)
        uv_write_bytes(&writer, bytes, size);
    call_submit_outcome(guest, request, UV_HOST_VIEW_ACT, &writer, true, go_on, data);
}
