/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What is kept of a store beside it (FS_TEXT_HINT), so that to list, size up or ask for the
 * state of a guest that has not changed starts no engine, also after the front was started anew:
 * names, sizes, times and attributes of the variables, the state as the engine told it when it
 * ended, and of the views what users have read. No content of a variable.
 *
 *   magic and version, what else it depends on (text), the store's identity, config.json's;
 *   then parts: u16 kind, u32 size, what the kind says
 *
 * It counts for that very store only, and is never needed. Of a block device nothing is kept, nor
 * known without an engine: who writes through another node of it (libvirt's QEMU has its own)
 * leaves no mark, and another volume may come by its name. The folder's owner may have written
 * anything there: it is taken as from an engine that was taken over, all of it or nothing.
 */

#include "fleet-private.h"

#include "hash.h"
#include "sealed.h"
#include "uv-limits.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static const uint8_t magic[8] = {'u', 'v', 'e', 'x', 'p', 'r', 't', 3};

typedef enum {
    PART_NAMES = 1, /* {u16 length, name, u64 time, u32 bytes, u32 attributes} */
    PART_USAGE,     /* three u64 */
    PART_STATUS,    /* status.json's text, as the engine made it */
    PART_EXPORT,    /* u64: of store.json */
    PART_LIST,      /* u8 view, u64 time, the list */
    PART_TEXT,      /* u8 view, u16 length, path, the text */
} Part;

#define KEY_MAX 256
#define STATUS_MAX (32u * 1024)
#define NAMES_MAX 4096

static void write_head(const FsGuest *guest, const FsIdentity *store, UvWriter *writer)
{
    const char *key = guest->fleet->options->known_by ? guest->fleet->options->known_by : "";

    uv_write_bytes(writer, magic, sizeof(magic));
    uv_write_u16(writer, (uint16_t)MIN(strlen(key), KEY_MAX));
    uv_write_bytes(writer, key, MIN(strlen(key), KEY_MAX));
    for (size_t i = 0; i < G_N_ELEMENTS(store->word); i++)
        uv_write_u64(writer, store->word[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(guest->look.config.word); i++)
        uv_write_u64(writer, guest->look.config.word[i]);
}

/* false: it is not of this store, or not ours. */
static bool read_head(const FsGuest *guest, UvReader *reader)
{
    g_auto(UvWriter) writer = uv_writer(sizeof(magic) + 2 + KEY_MAX + 2 * sizeof(FsIdentity));

    write_head(guest, &guest->look.store, &writer);
    g_autoptr(GBytes) expected = uv_writer_steal(&writer);
    const gsize size = g_bytes_get_size(expected);
    const uint8_t *bytes = uv_read_bytes(reader, size);
    return bytes && memcmp(bytes, g_bytes_get_data(expected, NULL), size) == 0;
}

/* Reading: once to see whether all of it can be, then to take it. */

/* With a guest they are put into its replica, and `ret_names` is filled. */
static bool read_names(UvReader body, FsGuest *guest, GHashTable *ret_names)
{
    for (guint count = 0; body.left > 0; count++) {
        g_autofree char *name = read_entry_name(&body);
        const int64_t mtime_ns = (int64_t)uv_read_u64(&body);
        const uint32_t bytes = uv_read_u32(&body);
        const uint32_t attributes = uv_read_u32(&body);

        if (body.failed || !name || bytes < 4 || bytes > UV_WIRE_BLOB_MAX || count >= NAMES_MAX)
            return false;
        if (!guest)
            continue;
        guest_put_size(guest, name, bytes, attributes, mtime_ns);
        g_hash_table_add(ret_names, g_steal_pointer(&name));
    }
    return true;
}

static void take_names(FsGuest *guest, UvReader body)
{
    g_autoptr(GHashTable) named = g_hash_table_new_full(uv_hash_text, g_str_equal, g_free, NULL);
    FsLive *live = guest->live;

    if (live->named && !live->stale && fs_identity_equal(&live->identity, &guest->look.store))
        return; /* all that and more is known */
    read_names(body, guest, named);
    guest_remove_others(guest, named);
    guest_views_changed(guest);
    guest_store_is_now(guest, &guest->look.store);
    live->named = true;
    live->filled = live->stale = false;
}

static bool read_usage(FsGuest *guest, UvReader *body, bool take)
{
    FsUsage usage;

    usage.total_bytes = uv_read_u64(body);
    usage.remaining_bytes = uv_read_u64(body);
    usage.largest_bytes = uv_read_u64(body);
    if (take)
        guest->live->usage = usage;
    return uv_reader_done(body);
}

static bool read_export(FsGuest *guest, UvReader *body, bool take)
{
    const uint64_t bytes = uv_read_u64(body);

    if (take)
        fs_guest_set_export_bytes(guest, bytes);
    return uv_reader_done(body) && bytes <= UV_WIRE_BLOB_MAX;
}

static bool read_status(FsGuest *guest, UvReader *body, bool take)
{
    const size_t size = body->left;

    if (take)
        guest_knows_status(guest, uv_read_bytes(body, size), size);
    return size <= STATUS_MAX;
}

static bool read_part(FsGuest *guest, Part kind, UvReader body, bool take)
{
    switch (kind) {
    case PART_NAMES:
        if (take)
            take_names(guest, body);
        return take || read_names(body, NULL, NULL);
    case PART_USAGE:
        return read_usage(guest, &body, take);
    case PART_STATUS:
        return read_status(guest, &body, take);
    case PART_EXPORT:
        return read_export(guest, &body, take);
    case PART_LIST:
        return guest_views_read_list(take ? guest : NULL, &body);
    case PART_TEXT:
        return guest_views_read_text(take ? guest : NULL, &body);
    }
    return false;
}

/* The names come first: what is kept of views is kept with them. */
static bool read_parts(FsGuest *guest, UvReader reader, bool take)
{
    for (bool first = true; reader.left > 0; first = false) {
        const uint16_t kind = uv_read_u16(&reader);
        const uint32_t size = uv_read_u32(&reader);
        const UvReader body = uv_read_sub(&reader, size);

        if (reader.failed || (first && kind != PART_NAMES) || !read_part(guest, kind, body, take))
            return false;
    }
    return true;
}

bool guest_is_never_known(const FsGuest *guest)
{
    return S_ISBLK(guest->look.mode);
}

void guest_recall(FsGuest *guest)
{
    FsCachedText *text = &guest->live->texts[FS_TEXT_HINT];
    g_autoptr(GBytes) bytes = g_steal_pointer(&text->bytes);
    UvReader reader = uv_reader_of(bytes);

    if (bytes && guest->live->engine)
        guest_forget_kept(guest); /* for when it has ended: now it knows better */
    if (!bytes || guest->gone || guest->live->engine || guest_is_never_known(guest))
        return;
    if (!read_head(guest, &reader) || !read_parts(guest, reader, false))
        return;
    read_parts(guest, reader, true);
    guest->live->kept_hash = g_bytes_hash(bytes);
    replica_cold(guest);
}

/* Writing */

static size_t begin_part(UvWriter *writer, Part kind)
{
    uv_write_u16(writer, kind);
    uv_write_u32(writer, 0);
    return uv_writer_size(writer);
}

static void end_part(UvWriter *writer, size_t begun)
{
    uv_write_u32_at(writer, begun - 4, (uint32_t)(uv_writer_size(writer) - begun));
}

static void write_names(const FsGuest *guest, UvWriter *writer)
{
    const size_t begun = begin_part(writer, PART_NAMES);
    const FsEntry *entry;

    for (uint64_t after = 0; (entry = fs_replica_next(guest->live->replica, after));) {
        after = entry->sequence;
        uv_write_u16(writer, (uint16_t)strlen(entry->name));
        uv_write_bytes(writer, entry->name, strlen(entry->name));
        uv_write_u64(writer, (uint64_t)entry->mtime_ns);
        uv_write_u32(writer, entry->bytes);
        uv_write_u32(writer, entry->attributes);
    }
    end_part(writer, begun);
}

static void write_state(const FsGuest *guest, UvWriter *writer)
{
    const FsLive *live = guest->live;
    size_t begun = begin_part(writer, PART_USAGE);
    gsize size = 0;

    uv_write_u64(writer, live->usage.total_bytes);
    uv_write_u64(writer, live->usage.remaining_bytes);
    uv_write_u64(writer, live->usage.largest_bytes);
    end_part(writer, begun);
    if (live->status) {
        begun = begin_part(writer, PART_STATUS);
        const void *text = g_bytes_get_data(live->status, &size);
        uv_write_bytes(writer, text, size);
        end_part(writer, begun);
    }
    if (live->export_bytes && fs_identity_equal(&live->export_of, &live->identity)) {
        begun = begin_part(writer, PART_EXPORT);
        uv_write_u64(writer, live->export_bytes);
        end_part(writer, begun);
    }
}

static void write_view(FsViewKind view, const char *path, int64_t mtime_ns, GBytes *bytes,
                       void *data)
{
    UvWriter *writer = data;
    const size_t begun = begin_part(writer, path ? PART_TEXT : PART_LIST);
    gsize size;
    const void *text = g_bytes_get_data(bytes, &size);

    uv_write_u8(writer, (uint8_t)view);
    if (path) {
        uv_write_u16(writer, (uint16_t)strlen(path));
        uv_write_bytes(writer, path, strlen(path));
    } else {
        uv_write_u64(writer, (uint64_t)mtime_ns);
    }
    uv_write_bytes(writer, text, size);
    end_part(writer, begun);
}

/* NULL: it is too much. */
static GBytes *encode(const FsGuest *guest, bool texts)
{
    g_auto(UvWriter) writer = uv_writer(FS_HINT_BYTES_MAX);

    write_head(guest, &guest->live->identity, &writer);
    write_names(guest, &writer);
    write_state(guest, &writer);
    guest_views_visit(guest, texts, write_view, &writer);
    return uv_writer_steal(&writer);
}

static void on_kept(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    FsFleet *fleet = data;

    if (answer->error != -ECANCELED)
        fleet->keeping--;
}

/* What is known of the store is not touched by it. */
static void write_kept(FsGuest *guest, GBytes *bytes)
{
    FsQuestion question = fs_question(FS_ASK_WRITE, guest->name);
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    int fd = uv_sealed_new(data, size);

    if (fd < 0)
        return;
    question.text = FS_TEXT_HINT;
    guest->fleet->keeping++;
    fs_source_ask(guest->fleet->source, &question, &fd, 1, on_kept, guest->fleet);
}

/* The look is current: what was kept before is known, too. */
static void keep(FsGuest *guest /* nullable */, int error)
{
    FsLive *live = guest && !error ? guest->live : NULL;
    g_autoptr(GBytes) hint = NULL;

    if (!live || !live->named || live->stale || live->engine || !fs_guest_has_store(guest) ||
        !fs_identity_equal(&live->identity, &guest->look.store) ||
        guest->look.flags & FS_LOOK_JOURNAL)
        return;
    hint = encode(guest, true);
    if (!hint)
        hint = encode(guest, false);
    if (!hint || (guest->look.flags & FS_LOOK_HINT && live->kept_hash == g_bytes_hash(hint)))
        return;
    live->kept_hash = g_bytes_hash(hint);
    write_kept(guest, hint);
}

static void keep_looked_at(FsGuest *guest, int error, void *data)
{
    FsFleet *fleet = data;

    keep(guest, error);
    fleet->keeping--;
}

void guest_keep(FsGuest *guest)
{
    FsFleet *fleet = guest->fleet;

    if (fleet->options->read_only || fleet->lost || guest->gone || !guest->live->named)
        return;
    if (!fleet->stopping) {
        fleet->keeping++;
        /* A list would not tell what is kept; a look that was asked for since does. */
        guest->look_stale |= guest->look_asked == guest->look_done;
        guest_need_own(guest, FS_NEED_FRESH_LOOK | FS_NEED_HINT, keep_looked_at, fleet);
        return;
    }
    /* No request waits for answers any more; the store is what its engine left. */
    if (guest->look.flags & FS_LOOK_HINT && !guest_text_current(guest, FS_TEXT_HINT) &&
        !guest->live->kept_hash) /* neither read nor written here */
        return;
    guest->look.store = guest->live->identity;
    guest->look.flags &= ~(uint32_t)FS_LOOK_JOURNAL;
    keep(guest, 0);
}

void guest_unkeep(FsGuest *guest)
{
    g_autoptr(GBytes) nothing = g_bytes_new(NULL, 0);

    if (guest->look.flags & FS_LOOK_HINT && !guest->fleet->options->read_only)
        write_kept(guest, nothing);
}

void guest_forget_kept(FsGuest *guest)
{
    FsCachedText *text = &guest->live->texts[FS_TEXT_HINT];

    g_clear_pointer(&text->bytes, g_bytes_unref);
    if (text->asked == text->done)
        text->identity = (FsIdentity){{1}}; /* no file's: it is read again */
}

/* The state as of the store */

void guest_knows_status(FsGuest *guest, const void *text, size_t size)
{
    FsLive *live = guest->live;

    g_clear_pointer(&live->status, g_bytes_unref);
    if (size == 0 || size > STATUS_MAX)
        return;
    live->status = g_bytes_new(text, size);
    live->status_of[0] = live->identity;
    live->status_of[1] = guest->look.config;
}

bool fs_guest_is_at_rest(const FsGuest *guest)
{
    return !(guest->live && guest->live->engine) && !(guest->look.flags & FS_LOOK_JOURNAL);
}

GBytes *fs_guest_known_status(const FsGuest *guest)
{
    const FsLive *live = guest->live;

    if (!live || live->stale || !live->status || !fs_guest_is_at_rest(guest) ||
        !fs_identity_equal(&live->status_of[0], &guest->look.store) ||
        !fs_identity_equal(&live->status_of[1], &guest->look.config))
        return NULL;
    return live->status;
}

void fs_guest_set_export_bytes(FsGuest *guest, uint64_t bytes)
{
    FsLive *live = guest_live(guest);

    live->export_bytes = bytes;
    live->export_of = guest->look.store;
}

bool fs_guest_export_bytes(const FsGuest *guest, uint64_t *ret_bytes)
{
    const FsLive *live = guest->live;

    if (!live || !live->export_bytes || !fs_identity_equal(&live->export_of, &guest->look.store))
        return false;
    *ret_bytes = live->export_bytes;
    return true;
}
