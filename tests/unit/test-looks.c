/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Who goes through the guests has the next ones looked at together; who is left out is asked about
 * alone, and nothing that is known better is undone. */

#include "fleet-private.h"
#include "told.h"

#include <string.h>

typedef struct {
    FsSource base;
    unsigned asks[FS_ASKS];
    FsQuestion last[FS_ASKS]; /* of each kind */
} Fake;

typedef struct {
    Fake source;
    FsFleet *fleet;
    FsGuest *c, *d; /* who come next */
} World;

static int fake_send(FsSource *source, const FsQuestion *question, const int *fds, size_t n_fds)
{
    Fake *fake = (Fake *)source;

    fake->asks[question->kind]++;
    fake->last[question->kind] = *question;
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

static FsTold told_of(const char *guest, uint32_t flags, uint64_t config)
{
    FsTold told = {.look = {.flags = FS_LOOK_STORE | FS_LOOK_CONFIG | flags,
                            .mode = 0100600,
                            .config = {{config}}}};

    g_strlcpy(told.guest, guest, sizeof(told.guest));
    g_snprintf(told.look.file, sizeof(told.look.file), "%s.json", guest);
    g_strlcpy(told.look.store_name, told.look.file, sizeof(told.look.store_name));
    return told;
}

static void answer_with(World *world, FsTell kind, FsAsk ask, const FsTold *told, unsigned n)
{
    FsAnswer answer = {.kind = kind, .id = world->source.last[ask].id, .number = n};
    int fds[FS_QUESTION_FDS] = {fs_told_write(told, n), -1, -1};

    fs_source_deliver(&world->source.base, &answer, fds);
}

static void answer_alone(World *world, const char *guest, uint64_t config, int error)
{
    const FsTold told = told_of(guest, FS_LOOK_WATCHED, config);
    FsAnswer answer = {.id = world->source.last[FS_ASK_LOOK].id, .look = told.look, .error = error};
    int fds[FS_QUESTION_FDS] = {-1, -1, -1};

    g_strlcpy(answer.guest, guest, sizeof(answer.guest));
    fs_source_deliver(&world->source.base, &answer, fds);
}

static void nothing(FsGuest *guest, int error, void *data)
{
}

static FsGuest *go_to(World *world, const char *name)
{
    FsGuest *guest = fleet_guest(world->fleet, name);

    g_assert_nonnull(guest);
    fs_guest_need(guest, FS_NEED_LOOK, NULL, nothing, NULL);
    return guest;
}

/* Somebody has gone to the first one. */
static void set_up(World *world, const void *data)
{
    static const FsSourceClass class = {.send = fake_send, .start = fake_start, .free = fake_free};
    static const FsFleetOptions options = {.engines = 1, .idle_s = 1, .processors = 1};
    const FsSourceFacts facts = {.path = (char *)"/source", .sockdir = (char *)"/sock"};
    const FsTold all[] = {told_of("a", FS_LOOK_BRIEF, 0), told_of("c", FS_LOOK_BRIEF, 0),
                          told_of("d", FS_LOOK_BRIEF, 0)};

    fs_source_init(&world->source.base, &class, &facts);
    world->fleet = fs_fleet_new(&world->source.base, &options, NULL, NULL);
    g_assert_nonnull(world->fleet);
    answer_with(world, FS_TELL_GUESTS, FS_ASK_LIST, all, G_N_ELEMENTS(all));
    answer_with(world, FS_TELL_ANSWER, FS_ASK_LIST, all, 0);
    go_to(world, "a");
    g_assert_cmpuint(world->source.asks[FS_ASK_LOOK], ==, 1);
    g_assert_cmpuint(world->source.asks[FS_ASK_LOOKS], ==, 1);
    g_assert_cmpstr(world->source.last[FS_ASK_LOOKS].path, ==, "c/d");
    world->c = go_to(world, "c");
    world->d = go_to(world, "d");
    g_assert_cmpuint(world->source.asks[FS_ASK_LOOK], ==, 1);
}

static void tear_down(World *world, const void *data)
{
    fs_fleet_free(world->fleet);
}

static void test_all(World *world, const void *data)
{
    const FsTold both[] = {told_of("c", FS_LOOK_WATCHED, 1), told_of("d", FS_LOOK_WATCHED, 2)};

    answer_with(world, FS_TELL_ANSWER, FS_ASK_LOOKS, both, 2);
    g_assert_true(guest_look_current(world->c, FS_NEED_LOOK));
    g_assert_true(guest_look_current(world->d, FS_NEED_LOOK));
    g_assert_cmpuint(world->c->look.config.word[0], ==, 1);
    g_assert_cmpuint(world->d->look.config.word[0], ==, 2);
    g_assert_cmpuint(world->source.asks[FS_ASK_LOOK], ==, 1);
}

static void test_left_out(World *world, const void *data)
{
    const FsTold one = told_of("d", FS_LOOK_WATCHED, 2);

    answer_with(world, FS_TELL_ANSWER, FS_ASK_LOOKS, &one, 1);
    g_assert_true(guest_look_current(world->d, FS_NEED_LOOK));
    g_assert_cmpuint(world->source.asks[FS_ASK_LOOK], ==, 2);
    g_assert_cmpstr(world->source.last[FS_ASK_LOOK].guest, ==, "c");
    g_assert_false(guest_look_current(world->c, FS_NEED_LOOK));
    answer_alone(world, "c", 1, 0);
    g_assert_true(guest_look_current(world->c, FS_NEED_LOOK));
    g_assert_cmpuint(world->c->look.config.word[0], ==, 1);
}

static void test_left_out_and_gone(World *world, const void *data)
{
    answer_with(world, FS_TELL_ANSWER, FS_ASK_LOOKS, NULL, 0);
    g_assert_cmpuint(world->source.asks[FS_ASK_LOOK], ==, 3);
    g_assert_cmpstr(world->source.last[FS_ASK_LOOK].guest, ==, "d");
    answer_alone(world, "d", 0, -ENOENT);
    g_assert_null(fleet_guest(world->fleet, "d"));
}

/* Inotify told of a change that the looks may not have seen. */
static void test_changed_since(World *world, const void *data)
{
    const FsTold both[] = {told_of("c", FS_LOOK_WATCHED, 1), told_of("d", FS_LOOK_WATCHED, 2)};

    guest_is_stale(world->c);
    answer_with(world, FS_TELL_ANSWER, FS_ASK_LOOKS, both, 2);
    g_assert_false(guest_look_current(world->c, FS_NEED_LOOK));
    g_assert_true(guest_look_current(world->d, FS_NEED_LOOK));
}

/* Of a list of many the names come first: nothing is shown of them that is not known, and what is
 * known is not undone. */
static void test_names(World *world, const void *data)
{
    const FsTold names[] = {told_of("e", FS_LOOK_BRIEF | FS_LOOK_NAME, 0),
                            told_of("c", FS_LOOK_BRIEF | FS_LOOK_NAME, 0)};
    const FsTold briefly = told_of("e", FS_LOOK_BRIEF, 0);
    const FsTold both[] = {told_of("c", FS_LOOK_WATCHED, 1), told_of("d", FS_LOOK_WATCHED, 2)};

    answer_with(world, FS_TELL_ANSWER, FS_ASK_LOOKS, both, 2);
    answer_with(world, FS_TELL_GUESTS, FS_ASK_LIST, names, 2);
    g_assert_true(guest_look_current(world->c, FS_NEED_LOOK));
    FsGuest *e = fleet_guest(world->fleet, "e");
    g_assert_nonnull(e);
    g_assert_false(fs_guest_look_serves(e));
    answer_with(world, FS_TELL_GUESTS, FS_ASK_LIST, &briefly, 1);
    g_assert_true(fleet_guest(world->fleet, "e") == e);
    g_assert_true(fs_guest_look_serves(e));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(World *world, const void *data);
    } tests[] = {
        {"/looks/all", test_all},
        {"/looks/left-out", test_left_out},
        {"/looks/left-out-and-gone", test_left_out_and_gone},
        {"/looks/changed-since", test_changed_since},
        {"/looks/names", test_names},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, World, NULL, set_up, tests[i].test, tear_down);
    return g_test_run();
}
