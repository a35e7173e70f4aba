/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What a list with whole looks is believed, and that it undoes nothing that is known better. */

#include "fleet-private.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
    FsSource base;
    uint64_t asked[FS_ASKS]; /* the last question's id of each kind */
} Fake;

typedef struct {
    Fake source;
    FsFleet *fleet;
    FsGuest *guest;
} World;

static int fake_send(FsSource *source, const FsQuestion *question, const int *fds, size_t n_fds)
{
    ((Fake *)source)->asked[question->kind] = question->id;
    return 0;
}

static int fake_start(FsSource *source, FsPoll *poll)
{
    return 0;
}

static void fake_free(FsSource *source)
{
    memset(source, 0, sizeof(Fake));
}

static FsLook look(uint32_t flags, uint64_t config)
{
    FsLook look = {.flags = FS_LOOK_STORE | FS_LOOK_CONFIG | flags,
                   .mode = 0100600,
                   .config = {{config}},
                   .file = "a.json",
                   .store_name = "a.json"};

    return look;
}

/* The list that was asked for tells of the guest. */
static void tell(World *world, uint32_t flags, uint64_t config)
{
    FsTold told = {.guest = "a", .look = look(flags, config)};
    FsAnswer answer = {.kind = FS_TELL_GUESTS, .id = world->source.asked[FS_ASK_LIST], .number = 1};
    int fds[FS_QUESTION_FDS] = {memfd_create("told", MFD_CLOEXEC), -1, -1};

    g_assert_cmpint(write(fds[0], &told, sizeof(told)), ==, sizeof(told));
    fs_source_deliver(&world->source.base, &answer, fds);
}

static void answer(World *world, FsAsk kind, uint64_t config)
{
    FsAnswer answer = {.kind = FS_TELL_ANSWER,
                       .id = world->source.asked[kind],
                       .guest = "a",
                       .look = look(FS_LOOK_WATCHED, config)};
    int fds[FS_QUESTION_FDS] = {-1, -1, -1};

    fs_source_deliver(&world->source.base, &answer, fds);
}

static void set_up(World *world, const void *data)
{
    static const FsSourceClass class = {.send = fake_send, .start = fake_start, .free = fake_free};
    static const FsFleetOptions options = {.engines = 1, .idle_s = 1, .processors = 1};
    const FsSourceFacts facts = {.path = (char *)"/source", .sockdir = (char *)"/sock"};

    fs_source_init(&world->source.base, &class, &facts);
    world->fleet = fs_fleet_new(&world->source.base, &options, NULL, NULL);
    g_assert_nonnull(world->fleet);
    tell(world, FS_LOOK_BRIEF, 0);
    answer(world, FS_ASK_LIST, 0);
    world->guest = fleet_guest(world->fleet, "a");
    g_assert_nonnull(world->guest);
    g_assert_false(guest_look_current(world->guest, FS_NEED_LOOK));
    fleet_ask_list(world->fleet, true);
}

static void tear_down(World *world, const void *data)
{
    fs_fleet_free(world->fleet);
}

static uint64_t config(const World *world)
{
    return world->guest->look.config.word[0];
}

static void test_told(World *world, const void *data)
{
    tell(world, FS_LOOK_WATCHED, 1);
    g_assert_true(guest_look_current(world->guest, FS_NEED_LOOK));
    g_assert_cmpuint(config(world), ==, 1);
}

static void test_brief(World *world, const void *data)
{
    tell(world, FS_LOOK_BRIEF, 0);
    g_assert_false(guest_look_current(world->guest, FS_NEED_LOOK));
}

/* Inotify told of a change, which the list may not have seen. */
static void test_changed_since(World *world, const void *data)
{
    guest_is_stale(world->guest);
    tell(world, FS_LOOK_WATCHED, 1);
    g_assert_cmpuint(config(world), ==, 0);
    g_assert_false(guest_look_current(world->guest, FS_NEED_LOOK));
}

/* A file beside it changed, and was asked about after the list. */
static void test_known_better(World *world, const void *data)
{
    fleet_ask_file(world->fleet, "a.config.json");
    answer(world, FS_ASK_FILE, 2);
    tell(world, FS_LOOK_WATCHED, 1);
    g_assert_cmpuint(config(world), ==, 2);
}

static void test_look_under_way(World *world, const void *data)
{
    guest_ask_look(world->guest);
    tell(world, FS_LOOK_WATCHED, 1);
    g_assert_cmpuint(config(world), ==, 0);
    g_assert_false(guest_look_current(world->guest, FS_NEED_LOOK));
    answer(world, FS_ASK_LOOK, 2);
    g_assert_cmpuint(config(world), ==, 2);
    g_assert_true(guest_look_current(world->guest, FS_NEED_LOOK));
    tell(world, FS_LOOK_WATCHED, 1);
    g_assert_cmpuint(config(world), ==, 2);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(World *world, const void *data);
    } tests[] = {
        {"/looks/told", test_told},
        {"/looks/brief", test_brief},
        {"/looks/changed-since", test_changed_since},
        {"/looks/known-better", test_known_better},
        {"/looks/look-under-way", test_look_under_way},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, World, NULL, set_up, tests[i].test, tear_down);
    return g_test_run();
}
