/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "fake-source.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
    uint64_t id;
    uint32_t kind;
} Asked;

static GArray *asked; /* Asked */

static int fake_send(FsSource *source, const FsQuestion *question, const int *fds, size_t n_fds)
{
    const Asked one = {question->id, question->kind};

    g_array_append_val(asked, one);
    return 0;
}

static int fake_start(FsSource *source, FsPoll *poll)
{
    return 0;
}

static void fake_free(FsSource *source)
{
}

void fake_answer_all(FsFleet *fleet, int connection)
{
    while (asked->len > 0) {
        const Asked one = g_array_index(asked, Asked, 0);
        FsAnswer answer = {.kind = FS_TELL_ANSWER, .id = one.id, .error = -ECONNREFUSED};
        int fds[FS_QUESTION_FDS] = {-1, -1, -1};

        g_array_remove_index(asked, 0);
        if (one.kind == FS_ASK_CONNECT && connection >= 0) {
            answer.error = 0;
            fds[0] = connection;
            connection = -1;
        }
        fs_source_deliver(fleet->source, &answer, fds);
    }
    if (connection >= 0)
        close(connection);
}

static void quiet(const char *domain, GLogLevelFlags level, const char *message, void *data)
{
}

FsFleet *fake_fleet(void)
{
    static FsFleet *fleet;
    static FsSource source;
    static const FsFleetOptions options = {.engines = 1, .idle_s = 1};
    static const FsFleetEvents events = {0};
    static const FsSourceClass class = {.send = fake_send, .start = fake_start, .free = fake_free};
    const FsSourceFacts facts = {.path = (char *)"/source", .sockdir = (char *)"/sock"};
    const FsLook look = {.flags = FS_LOOK_STORE, .file = "a.json", .store_name = "a.json"};

    if (fleet)
        return fleet;
    g_log_set_default_handler(quiet, NULL);
    asked = g_array_new(FALSE, FALSE, sizeof(Asked));
    fs_source_init(&source, &class, &facts);
    fleet = fs_fleet_new(&source, &options, NULL, NULL);
    g_assert_nonnull(fleet);
    fs_fleet_set_events(fleet, &events, NULL);
    g_assert_nonnull(fleet_take_look(fleet, "a", 0, &look));
    fake_answer_all(fleet, -1);
    return fleet;
}

FsEngine *fake_engine(FsFleet *fleet, int fd)
{
    FsEngine *engine = engine_new(fs_fleet_next(fleet, 0));

    if (fd >= 0)
        engine->io = uv_frame_io_new(fd, host_frame_cap, NULL);
    return engine;
}

static void check(bool right)
{
    if (!right)
        abort();
}

void fake_check_replica(const FsReplica *replica)
{
    const FsEntry *entry;
    size_t bytes = 0, count = 0;

    for (uint64_t after = 0; (entry = fs_replica_next(replica, after)); after = entry->sequence) {
        const size_t content = entry->content ? g_bytes_get_size(entry->content) : 0;

        check(strlen(entry->name) > 37 && !strchr(entry->name, '/'));
        check(entry->bytes >= 4 && (!entry->content || content == entry->bytes));
        check(fs_replica_lookup(replica, entry->name) == entry);
        bytes += FS_ENTRY_BYTES + strlen(entry->name) + content;
        count++;
    }
    check(bytes == fs_replica_bytes(replica) && count == fs_replica_count(replica));
}

static void append_frame(UvWriter *out, uint16_t type, uint64_t cookie, UvReader *payload)
{
    uv_write_u32(out, (uint32_t)payload->left);
    uv_write_u16(out, type);
    uv_write_u16(out, 0);
    uv_write_u64(out, cookie);
    uv_write_bytes(out, payload->at, payload->left);
}

GBytes *fake_frames(const uint16_t *types, size_t n_types, const uint8_t *data, size_t size)
{
    UvReader in, payload;
    g_auto(UvWriter) out = uv_writer(1u << 20);

    in = uv_reader(data, size);
    while (in.left > 3) {
        const uint8_t kind = uv_read_u8(&in);
        const size_t wanted = uv_read_u16(&in), length = MIN(wanted, in.left);

        payload = uv_reader(uv_read_bytes(&in, length), length);
        append_frame(&out, types[kind % n_types], kind / n_types, &payload);
    }
    if (in.left > 0)
        uv_write_bytes(&out, in.at, in.left);
    return uv_writer_steal(&out);
}
