/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What comes from an engine. An engine parses what guests make, so it may be taken over: nothing
 * here trusts it. A frame that is not what it should be ends the connection; names must be file
 * names, contents are opaque.
 *
 * Events come before the replies they precede (an engine tells of a change before it answers who
 * made it), so when a call is delivered the replica has what it did.
 */

#include "fleet-record.h"

#include "hash.h"
#include "uv-limits.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Taken at a time: an engine that never stops sending does not keep the others waiting. */
#define FRAMES_A_TURN 512
#define BYTES_A_TURN (256u * 1024)
/* Of non-volatile variables, and of volatile ones. */
#define ENTRIES_MAX (2 * UV_VARIABLES_MAX)
/* What one guest's variables can take here, with all that is kept of small ones. */
#define REPLICA_MAX (2 * UV_WIRE_BLOB_MAX)
#define BUILD_MAX 256
#define ERROR_TEXT_MAX 1024
/* Engines in a row whose store was replaced while they started: where that is done every ten
 * milliseconds and others keep the machine busy, eight were not always enough. */
#define OUTDATED_MAX 32

uint32_t host_frame_cap(uint16_t type, void *data)
{
    switch (type) {
    case UV_WIRE_REPLY | UV_HOST_HELLO:
    case UV_WIRE_REPLY | UV_HOST_SET:
    case UV_WIRE_REPLY | UV_HOST_TOUCH:
    case UV_WIRE_REPLY | UV_HOST_IMPORT:
    case UV_WIRE_REPLY | UV_HOST_BREAK:
    case UV_WIRE_REPLY | UV_HOST_VIEW_ACT:
    case UV_WIRE_REPLY | UV_HOST_LISTENER:
    case UV_WIRE_REPLY | UV_HOST_CHECK:
    case UV_WIRE_REPLY | UV_HOST_END:
    case UV_WIRE_REPLY | UV_WIRE_ERROR:
    case UV_HOST_STATE:
        return 65536;
    case UV_WIRE_REPLY | UV_HOST_STATUS:
    case UV_WIRE_REPLY | UV_HOST_SELFTEST:
    case UV_WIRE_REPLY | UV_HOST_VIEW_LIST:
        return 1024 * 1024;
    case UV_WIRE_REPLY | UV_HOST_VIEW_READ:
        return 4 * 1024 * 1024 + 4096;
    case UV_WIRE_REPLY | UV_HOST_SNAPSHOT:
    case UV_WIRE_REPLY | UV_HOST_EXPORT:
    case UV_HOST_CHANGED:
        return 2 * UV_WIRE_BLOB_MAX;
    default:
        return 0;
    }
}

static void read_identity(UvReader *reader, FsIdentity *ret_identity)
{
    for (size_t i = 0; i < G_N_ELEMENTS(ret_identity->word); i++)
        ret_identity->word[i] = uv_read_u64(reader);
}

/* u32 state, usage, identity: what every report begins with. Written only if all of it is there. */
static bool read_report(UvReader *reader, FsEngine *engine)
{
    FsLive *live = engine->guest->live;
    FsUsage usage;
    FsIdentity identity;

    uint32_t state = uv_read_u32(reader);
    usage.total_bytes = uv_read_u64(reader);
    usage.remaining_bytes = uv_read_u64(reader);
    usage.largest_bytes = uv_read_u64(reader);
    read_identity(reader, &identity);
    if (reader->failed)
        return false;
    if (live->state != state)
        guest_views_changed(engine->guest);
    live->state = state;
    live->usage = usage;
    guest_store_is_now(engine->guest, &identity);
    return true;
}

/* A report, and which process the guest is: one that runs from before an upgrade does not tell. */
static bool take_state(FsEngine *engine, UvReader *reader)
{
    if (!read_report(reader, engine))
        return false;
    engine->guest_process = reader->left > 0 ? uv_read_u32(reader) : 0;
    return !reader->failed;
}

char *read_entry_name(UvReader *reader)
{
    uint16_t size = uv_read_u16(reader);
    const uint8_t *bytes = uv_read_bytes(reader, size);
    if (!bytes || size <= UV_FILE_NAME_GUID_BYTES || size > UV_FILE_NAME_MAX ||
        memchr(bytes, '/', size) || memchr(bytes, '\0', size))
        return NULL;
    return g_strndup((const char *)bytes, size);
}

/* An entry's fields after its name; NULL if malformed. */
static GBytes *read_content(UvReader *reader, int64_t *ret_mtime_ns)
{
    *ret_mtime_ns = (int64_t)uv_read_u64(reader);
    uint32_t size = uv_read_u32(reader);
    const uint8_t *bytes = uv_read_bytes(reader, size);
    if (!bytes || size < 4)
        return NULL;
    return g_bytes_new(bytes, size);
}

static bool put_entry(FsGuest *guest, const char *name, GBytes *content, int64_t mtime_ns)
{
    FsLive *live = guest->live;

    if (fs_replica_bytes(live->replica) + g_bytes_get_size(content) > REPLICA_MAX ||
        fs_replica_count(live->replica) >= ENTRIES_MAX)
        return false;
    FsEntryEvent event =
        fs_replica_lookup(live->replica, name) ? FS_ENTRY_CHANGED : FS_ENTRY_APPEARED;
    if (fs_replica_put(live->replica, name, content, mtime_ns) && live->named) {
        guest_views_changed(guest);
        fleet_entry_changed(guest, name, event);
    }
    return true;
}

void guest_put_size(FsGuest *guest, const char *name, uint32_t bytes, uint32_t attributes,
                    int64_t mtime_ns)
{
    FsLive *live = guest->live;
    FsEntryEvent event =
        fs_replica_lookup(live->replica, name) ? FS_ENTRY_CHANGED : FS_ENTRY_APPEARED;

    if (fs_replica_put_size(live->replica, name, bytes, attributes, mtime_ns) && live->named)
        fleet_entry_changed(guest, name, event);
}

static void remove_entry(FsGuest *guest, const char *name)
{
    if (fs_replica_remove(guest->live->replica, name) && guest->live->named) {
        guest_views_changed(guest);
        fleet_entry_changed(guest, name, FS_ENTRY_REMOVED);
    }
}

/* What the snapshot does not name is gone. */
void guest_remove_others(FsGuest *guest, GHashTable *named)
{
    const FsEntry *entry;
    uint64_t after = 0;

    while ((entry = fs_replica_next(guest->live->replica, after))) {
        after = entry->sequence;
        if (g_hash_table_contains(named, entry->name))
            continue;
        g_autofree char *name = g_strdup(entry->name);
        remove_entry(guest, name);
    }
}

static bool take_snapshot(FsEngine *engine, UvReader *reader)
{
    FsGuest *guest = engine->guest;
    g_autoptr(GHashTable) named = g_hash_table_new_full(uv_hash_text, g_str_equal, g_free, NULL);

    if (!read_report(reader, engine))
        return false;
    uint32_t count = uv_read_u32(reader);
    if (reader->failed || count > ENTRIES_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        int64_t mtime_ns;
        g_autofree char *name = read_entry_name(reader);
        g_autoptr(GBytes) content = name ? read_content(reader, &mtime_ns) : NULL;
        if (!content || !put_entry(guest, name, content, mtime_ns))
            return false;
        g_hash_table_add(named, g_steal_pointer(&name));
    }
    if (!uv_reader_done(reader))
        return false;
    guest_remove_others(guest, named);
    if (!guest->live->filled || guest->live->stale)
        guest_views_changed(guest); /* the engine has not told what changed */
    guest->live->named = guest->live->filled = true;
    guest->live->stale = false;
    guest->live->failures = guest->live->outdated = 0;
    g_clear_pointer(&guest->live->failure, g_free);
    g_clear_pointer(&engine->failure, g_free);
    fs_guest_set_warning(guest, "engine", NULL);
    engine->served = true;
    if (engine->state == FS_ENGINE_STARTING)
        engine->state = FS_ENGINE_READY;
    engine_tell_refused(engine);
    engine_check_config(guest);
    if (guest->live->state & UV_HOST_STATE_GUEST)
        engine_send(engine, UV_HOST_CHECK, NULL); /* which process it is */
    return true;
}

static bool take_changed(FsEngine *engine, UvReader *reader)
{
    FsGuest *guest = engine->guest;

    if (!read_report(reader, engine))
        return false;
    uint32_t count = uv_read_u32(reader);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t put = uv_read_u8(reader);
        g_autofree char *name = read_entry_name(reader);
        if (!name)
            return false;
        if (!put) {
            remove_entry(guest, name);
            continue;
        }
        int64_t mtime_ns;
        g_autoptr(GBytes) content = read_content(reader, &mtime_ns);
        if (!content || !put_entry(guest, name, content, mtime_ns))
            return false;
    }
    return uv_reader_done(reader);
}

static bool take_hello(FsEngine *engine, UvReader *reader)
{
    FsIdentity identity;
    uint32_t version = uv_read_u32(reader);
    uint32_t state = uv_read_u32(reader);
    uint32_t pid = uv_read_u32(reader);

    read_identity(reader, &identity);
    size_t build_bytes = MIN(reader->left, BUILD_MAX);
    const char *build = (const char *)uv_read_bytes(reader, build_bytes);
    if (reader->failed)
        return false;
    if (version != UV_WIRE_VERSION) {
        g_free(engine->failure);
        engine->failure = g_strdup("its engine, older or newer, speaks another version");
        return false;
    }
    g_free(engine->build);
    engine->build = g_utf8_make_valid(build, (gssize)build_bytes);
    engine->guest->live->state = state;
    engine->guest_process = 0;
    /* Of one that was started here more is known than what it says of itself. */
    if (engine->pid == 0 && pid > 1 && pid <= INT32_MAX)
        engine_attach_process(engine, (int)syscall(SYS_pidfd_open, pid, 0), (pid_t)pid, false);
    return true;
}

static void take_listener(FsEngine *engine, UvFrame *frame)
{
    if (frame->fd < 0 || !engine->guest->away)
        return;
    uv_frame_io_refuse_descriptors(engine->io);
    guest_take_listener(engine->guest, frame->fd);
    frame->fd = -1;
}

static bool take_end(FsEngine *engine, UvReader *reader)
{
    uint32_t ends = uv_read_u32(reader);
    FsIdentity identity;

    read_identity(reader, &identity);
    if (reader->failed)
        return false;
    if (ends == 0) { /* a guest came first */
        engine->state = FS_ENGINE_READY;
        engine_used(engine);
        return true;
    }
    engine->ended = true;
    guest_store_is_now(engine->guest, &identity);
    const size_t size = reader->left;
    guest_knows_status(engine->guest, uv_read_bytes(reader, size), size);
    return true;
}

static bool take_error(FsEngine *engine, const UvFrame *frame, UvReader *reader)
{
    uint32_t code = uv_read_u32(reader);
    size_t size = MIN(reader->left, ERROR_TEXT_MAX);
    const char *text = (const char *)uv_read_bytes(reader, size);
    if (reader->failed)
        return false;
    g_autofree char *valid = g_utf8_make_valid(text, (gssize)size);
    FsLive *live = engine->guest->live;
    FsCall *call = guest_find_call(engine->guest, frame->cookie);
    if (frame->cookie && call) {
        call->reason = g_steal_pointer(&valid);
        call_finish(call, code == UV_WIRE_E_STATE ? EBUSY : EIO, NULL);
    } else if (engine->state == FS_ENGINE_STARTING && code == UV_WIRE_E_CHANGED &&
               live->outdated < OUTDATED_MAX) {
        live->outdated++; /* the next one gets the store that is there */
        live->failures--; /* until its end, which is counted */
    } else if (engine->state == FS_ENGINE_STARTING) {
        g_free(engine->failure);
        engine->failure = g_steal_pointer(&valid);
    }
    return true;
}

/* A reply to one of the calls. One that came too late belongs to no call. */
static bool take_reply(FsEngine *engine, const UvFrame *frame, UvReader *reader)
{
    FsCall *call = frame->cookie ? guest_find_call(engine->guest, frame->cookie) : NULL;

    if (frame->type == (UV_WIRE_REPLY | UV_HOST_CHECK) && !take_state(engine, reader))
        return false;
    if (!call)
        return true;
    if (frame->type != (UV_WIRE_REPLY | call->type))
        return false;
    if (call->type == UV_HOST_VIEW_ACT)
        guest_views_changed(engine->guest); /* what waits in next-boot/ is no variable */
    call_finish(call, 0, frame->payload);
    return true;
}

static bool take_frame(FsEngine *engine, UvFrame *frame)
{
    UvReader reader = uv_reader_of(frame->payload);
    switch (frame->type) {
    case UV_HOST_CHANGED:
        return take_changed(engine, &reader);
    case UV_HOST_STATE:
        return take_state(engine, &reader);
    case UV_HOST_RECORDED:
        guest_record_grew(engine->guest);
        return true;
    case UV_WIRE_REPLY | UV_HOST_HELLO:
        return take_hello(engine, &reader);
    case UV_WIRE_REPLY | UV_HOST_SNAPSHOT:
        return take_snapshot(engine, &reader);
    case UV_WIRE_REPLY | UV_HOST_LISTENER:
        take_listener(engine, frame);
        return true;
    case UV_WIRE_REPLY | UV_HOST_END:
        return take_end(engine, &reader);
    case UV_WIRE_REPLY | UV_WIRE_ERROR:
        return take_error(engine, frame, &reader);
    default:
        return take_reply(engine, frame, &reader);
    }
}

/* It is at work; something of ours is unanswered: since when, for telling silent engines from busy
 * ones. */
static void note_answer(FsEngine *engine)
{
    bool waits = engine->state != FS_ENGINE_READY;
    for (GList *link = engine->guest->live->calls.head; link && !waits; link = link->next)
        waits = ((FsCall *)link->data)->cookie != 0;
    engine->waiting_since = waits ? g_get_monotonic_time() : 0;
    engine->knocked = false;
}

bool engine_receive(FsEngine *engine)
{
    UvFrameResult result = UV_FRAME_NONE;
    bool any = false;

    uv_frame_io_allow(engine->io, BYTES_A_TURN);
    for (int i = 0; i < FRAMES_A_TURN && engine->io; i++) {
        g_auto(UvFrame) frame = {.fd = -1};
        result = uv_frame_io_receive(engine->io, &frame);
        if (result != UV_FRAME_READY)
            break;
        any = true;
        if (!take_frame(engine, &frame)) {
            if (!engine->failure)
                fs_guest_log(engine->guest,
                             "its engine sent a frame that can't be (type %#x): cut off",
                             frame.type);
            result = UV_FRAME_MALFORMED;
            break;
        }
    }
    if (engine->io && uv_frame_io_has_buffered(engine->io))
        fleet_due(engine->fleet, g_get_monotonic_time()); /* the socket will not tell of those */
    if (any) {
        note_answer(engine);
        engine_relist(engine);
    }
    if (result == UV_FRAME_CLOSED || result == UV_FRAME_MALFORMED) {
        if (result == UV_FRAME_MALFORMED && !engine->failure)
            engine_kill(engine);
        engine_lost_connection(engine);
        return false;
    }
    if (any)
        guest_pump(engine->guest);
    return engine->io != NULL;
}
