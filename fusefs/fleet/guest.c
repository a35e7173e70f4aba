/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One guest: what the tree asks of it without an engine. */

#include "fleet-record.h"

#include "json-put.h"

#include <string.h>

#define VARS "vars/" /* the tree's folder of variables */

FsLive *guest_live(FsGuest *guest)
{
    if (!guest->live) {
        guest->live = g_new0(FsLive, 1);
        guest->live->replica = fs_replica_new();
        g_queue_init(&guest->live->calls);
        g_queue_init(&guest->live->untold);
    }
    return guest->live;
}

static void live_free(FsLive *live)
{
    fs_replica_free(live->replica);
    g_clear_pointer(&live->warnings, g_hash_table_unref);
    guest_texts_clear(live);
    g_clear_pointer(&live->status, g_bytes_unref);
    g_free(live->holder);
    g_free(live->reason);
    g_clear_pointer(&live->refusals, fs_refusals_free);
    g_free(live->failure);
    g_strfreev(live->shadowed);
    g_free(live);
}

void guest_free(FsGuest *guest)
{
    for (FsRoom room = 0; room < FS_ROOMS; room++)
        if (guest->data[room] && guest->destroy[room])
            guest->destroy[room](guest->data[room]);
    replica_warm(guest);
    guest_views_clear(guest);
    if (guest->live)
        guest_untold_clear(guest);
    g_clear_pointer(&guest->live, live_free);
    g_free(guest->file);
    g_free(guest->store_name);
    g_free(guest->domains_store);
    g_free(guest->name);
    g_free(guest);
}

FsGuest *fs_guest_hold(FsGuest *guest)
{
    guest->holds++;
    return guest;
}

void fs_guest_release(FsGuest *guest)
{
    guest->holds--;
    if (guest->holds == 0 && guest->retired)
        guest_free(guest);
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

const FsGuestLook *fs_guest_look(const FsGuest *guest)
{
    return &guest->look;
}

bool fs_guest_has_store(const FsGuest *guest)
{
    return guest->look.flags & FS_LOOK_STORE;
}

char *fs_guest_store_path(const FsGuest *guest)
{
    const char *source = guest->fleet->source->facts.path;

    if (guest->domains_store)
        return g_strdup(guest->domains_store);
    if (guest->look.flags & FS_LOOK_SOURCE)
        return g_strdup(source);
    if (guest->look.flags & FS_LOOK_FOLDER)
        return g_build_filename(source, guest->file,
                                *guest->store_name ? guest->store_name : "vars.json", NULL);
    return g_build_filename(source, guest->file, NULL);
}

/* By the first 16 hex digits of the SHA-256 of its name: socket paths are short. */
char *fs_guest_socket_path(const FsGuest *guest)
{
    g_autofree char *hex = g_compute_checksum_for_string(G_CHECKSUM_SHA256, guest->name, -1);

    return g_strdup_printf("%s/%.16s.sock", guest->fleet->source->facts.sockdir, hex);
}

void fs_guest_set_data(FsGuest *guest, FsRoom room, void *data, GDestroyNotify destroy)
{
    guest->data[room] = data;
    guest->destroy[room] = destroy;
}

void *fs_guest_data(const FsGuest *guest, FsRoom room)
{
    return guest->data[room];
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

/* For the log: so many lines at once, then one a second. */
#define LOG_BURST 10

void fs_guest_log(FsGuest *guest, const char *format, ...)
{
    FsLive *live = guest_live(guest);
    int64_t now = g_get_monotonic_time();
    g_autofree char *text = NULL, *left_out = NULL;
    va_list arguments;

    if (live->log_until > now + (LOG_BURST - 1) * G_USEC_PER_SEC) {
        live->log_left_out++;
        return;
    }
    live->log_until = MAX(live->log_until, now) + G_USEC_PER_SEC;
    va_start(arguments, format);
    text = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    if (live->log_left_out > 0)
        left_out = g_strdup_printf(" (%u lines were left out)", live->log_left_out);
    live->log_left_out = 0;
    g_warning("guest %s: %s%s", guest->name, text, left_out ? left_out : "");
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

    g_free(live->reason);
    live->reason = g_strdup(reason);
}

char *fs_guest_take_reason(FsGuest *guest)
{
    return guest->live ? g_steal_pointer(&guest->live->reason) : NULL;
}

bool fs_guest_is_on_record(const FsGuest *guest)
{
    return guest->live && guest->live->is_on_record;
}

FsRefusals *fs_guest_refusals(FsGuest *guest)
{
    FsLive *live = guest_live(guest);

    if (!live->refusals)
        live->refusals = fs_refusals_new();
    return live->refusals;
}

const char *fs_guest_failure(const FsGuest *guest)
{
    return guest->live ? guest->live->failure : NULL;
}

bool guest_engine_ends(const FsGuest *guest)
{
    return guest->live && guest->live->engine && guest->live->engine->state == FS_ENGINE_ENDING;
}

static const char *engine_state_name(const FsEngine *engine)
{
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

static void add_engine(GString *out, const FsEngine *engine)
{
    if (!engine) {
        uv_json_put_null(out, "engine");
        return;
    }
    uv_json_begin(out, "engine", '{');
    uv_json_put_text(out, "state", engine_state_name(engine));
    if (engine->pid > 0)
        uv_json_put_number(out, "pid", engine->pid);
    if (engine->build)
        uv_json_put_text(out, "build", engine->build);
    uv_json_end(out, '}');
}

static void add_texts(GString *out, const char *member, const GPtrArray *texts)
{
    uv_json_begin(out, member, '[');
    for (guint i = 0; texts && i < texts->len; i++)
        uv_json_put_text(out, NULL, texts->pdata[i]);
    uv_json_end(out, ']');
}

static void add_front(GString *out, const FsFleetOptions *options)
{
    uv_json_begin(out, "front", '{');
    add_texts(out, "confinement", options->confined);
    add_texts(out, "not-confined", options->unconfined);
    uv_json_end(out, '}');
}

static void add_warnings(GString *out, const FsFleet *fleet, const FsLive *live)
{
    GHashTableIter iter;
    void *text;

    uv_json_begin(out, "warnings", '[');
    if (fleet->detached)
        uv_json_put_text(out, NULL, fleet->detached);
    if (live->warnings) {
        g_hash_table_iter_init(&iter, live->warnings);
        while (g_hash_table_iter_next(&iter, NULL, &text))
            uv_json_put_text(out, NULL, text);
    }
    uv_json_end(out, ']');
}

static void add_store(GString *out, const FsGuest *guest)
{
    g_autofree char *path = fs_guest_store_path(guest);

    uv_json_begin(out, "store", '{');
    uv_json_put_text(out, "path", path);
    if (guest->live->holder && fs_guest_state(guest) & UV_HOST_STATE_READ_ONLY)
        uv_json_put_text(out, "opened-by", guest->live->holder);
    uv_json_end(out, '}');
}

static void add_shadowed(GString *out, const FsLive *live)
{
    uv_json_begin(out, "shadowed", '[');
    for (char **name = live->shadowed; name && *name; name++)
        uv_json_put_text(out, NULL, *name);
    uv_json_end(out, ']');
}

/* A variable is named as in vars/; what else it was, its path says. */
static void add_last_refusal(GString *out, const FsRefusal *refusal)
{
    g_autofree char *time = refusal ? fs_refusal_time(refusal) : NULL;

    if (!refusal)
        return;
    uv_json_begin(out, "last-refusal", '{');
    uv_json_put_text(out, "time", time);
    uv_json_put_text(out, "file", *refusal->path ? refusal->path : ".");
    if (g_str_has_prefix(refusal->path, VARS))
        uv_json_put_text(out, "variable", refusal->path + strlen(VARS));
    uv_json_put_text(out, "operation", refusal->operation);
    uv_json_put_text(out, "errno", fs_refusal_errno(refusal));
    uv_json_put_text(out, "text", refusal->text);
    uv_json_end(out, '}');
}

char *fs_guest_status(FsGuest *guest)
{
    const FsLive *live = guest_live(guest);
    GString *out = g_string_new(NULL);
    g_autofree char *socket = fs_guest_socket_path(guest);

    uv_json_begin(out, NULL, '{');
    uv_json_put_text(out, "guest", guest->name);
    add_store(out, guest);
    uv_json_put_text(out, "socket", socket);
    add_engine(out, live->engine);
    add_front(out, guest->fleet->options);
    add_shadowed(out, live);
    add_warnings(out, guest->fleet, live);
    add_last_refusal(out, fs_refusals_last(live->refusals, ""));
    uv_json_end(out, '}');
    return g_string_free(out, FALSE);
}
