/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Questions under way: their number, their answers in any order, their descriptors, their end. */

#include "source.h"

#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    FsSource base;
    GArray *sent; /* FsQuestion */
    bool full, freed;
    size_t n_fds; /* of the last one */
} Fake;

static int fake_send(FsSource *source, const FsQuestion *question, const int *fds, size_t n_fds)
{
    Fake *fake = (Fake *)source;

    if (fake->full)
        return -EAGAIN;
    for (size_t i = 0; i < n_fds; i++)
        g_assert_cmpint(fcntl(fds[i], F_GETFD), >=, 0);
    fake->n_fds = n_fds;
    g_array_append_val(fake->sent, *question);
    return 0;
}

static int fake_start(FsSource *source, FsPoll *poll)
{
    return 0;
}

static void fake_free(FsSource *source)
{
    ((Fake *)source)->freed = true;
}

typedef struct {
    Fake fake;
    GString *said;
} World;

static void on_told(const FsAnswer *tell, int fds[FS_QUESTION_FDS], void *data)
{
    g_string_append_printf(((World *)data)->said, "told-%s ", tell->guest);
}

static void on_lost(void *data)
{
    g_string_append(((World *)data)->said, "lost ");
}

static void set_up(World *world, const void *data)
{
    static const FsSourceClass class = {.send = fake_send, .start = fake_start, .free = fake_free};
    static const FsSourceEvents events = {.told = on_told, .lost = on_lost};
    const FsSourceFacts facts = {.path = (char *)"/source", .sockdir = (char *)"/sock"};

    world->said = g_string_new(NULL);
    world->fake.sent = g_array_new(FALSE, FALSE, sizeof(FsQuestion));
    fs_source_init(&world->fake.base, &class, &facts);
    g_assert_cmpint(fs_source_start(&world->fake.base, NULL, &events, world), ==, 0);
}

static void tear_down(World *world, const void *data)
{
    if (!world->fake.freed)
        fs_source_free(&world->fake.base);
    g_array_unref(world->fake.sent);
    g_string_free(world->said, TRUE);
}

static void on_answer(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    World *world = data;

    g_string_append_printf(world->said, "%d", (int)answer->id);
    if (answer->error)
        g_string_append_printf(world->said, ":%s", g_strerror(-answer->error));
    g_string_append_c(world->said, ' ');
}

static void ask(World *world, const char *guest)
{
    FsQuestion question = fs_question(FS_ASK_LOOK, guest);
    fs_source_ask(&world->fake.base, &question, NULL, 0, on_answer, world);
}

static void deliver(World *world, FsAnswer *answer)
{
    int fds[FS_QUESTION_FDS] = {-1, -1, -1};
    fs_source_deliver(&world->fake.base, answer, fds);
}

static void answer(World *world, uint64_t id)
{
    deliver(world, &(FsAnswer){.kind = FS_TELL_ANSWER, .id = id});
}

static void test_any_order(World *world, const void *data)
{
    for (int i = 0; i < 3; i++)
        ask(world, "g");
    g_assert_cmpuint(world->fake.sent->len, ==, 3);
    g_assert_cmpstr(g_array_index(world->fake.sent, FsQuestion, 2).guest, ==, "g");
    answer(world, 3);
    answer(world, 1);
    answer(world, 1); /* nobody's any more */
    answer(world, 99);
    deliver(world, &(FsAnswer){.kind = FS_TELL_KNOCK, .guest = "g"});
    answer(world, 2);
    g_assert_cmpstr(world->said->str, ==, "3 1 told-g 2 ");
}

static void test_at_most(World *world, const void *data)
{
    for (unsigned i = 0; i < FS_QUESTIONS_MAX + 10; i++)
        ask(world, "g");
    g_assert_cmpuint(world->fake.sent->len, ==, FS_QUESTIONS_MAX);
    answer(world, 5);
    g_assert_cmpuint(world->fake.sent->len, ==, FS_QUESTIONS_MAX + 1);
    world->fake.full = true;
    answer(world, 6);
    g_assert_cmpuint(world->fake.sent->len, ==, FS_QUESTIONS_MAX + 1);
    world->fake.full = false;
    fs_source_flush(&world->fake.base);
    g_assert_cmpuint(world->fake.sent->len, ==, FS_QUESTIONS_MAX + 2);
}

static void test_descriptors(World *world, const void *data)
{
    int pipes[2], fds[FS_QUESTION_FDS] = {-1, -1, -1};
    FsQuestion question = fs_question(FS_ASK_WRITE, "g");

    g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
    int write_end = pipes[1], read_end = pipes[0];
    fs_source_ask(&world->fake.base, &question, &pipes[1], 1, NULL, NULL);
    g_assert_cmpint(pipes[1], ==, -1);
    g_assert_cmpuint(world->fake.n_fds, ==, 1);
    g_assert_cmpint(fcntl(write_end, F_GETFD), ==, -1); /* it is the peer's now */
    fds[0] = read_end;
    fs_source_deliver(&world->fake.base, &(FsAnswer){.kind = FS_TELL_ANSWER, .id = 1}, fds);
    g_assert_cmpint(fcntl(read_end, F_GETFD), ==, -1); /* nobody took it */
}

static void test_end(World *world, const void *data)
{
    ask(world, "a");
    world->fake.full = true;
    ask(world, "b");
    fs_source_lose(&world->fake.base);
    g_assert_nonnull(strstr(world->said->str, "1:"));
    g_assert_nonnull(strstr(world->said->str, "2:"));
    g_assert_true(g_str_has_suffix(world->said->str, "lost "));
    g_string_truncate(world->said, 0);
    ask(world, "c"); /* not answered from inside, nor forgotten */
    g_assert_cmpstr(world->said->str, ==, "");
    fs_source_free(&world->fake.base);
    g_autofree char *cancelled = g_strdup_printf("3:%s ", g_strerror(ECANCELED));
    g_assert_cmpstr(world->said->str, ==, cancelled);
    g_assert_true(world->fake.freed);
}

static void test_not_believed(World *world, const void *data)
{
    FsAnswer broken = {.kind = FS_TELL_ANSWER, .id = 1};

    ask(world, "a");
    memset(broken.text, 'x', sizeof(broken.text));
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "*can't be*");
    deliver(world, &broken);
    g_test_assert_expected_messages();
    g_assert_true(g_str_has_suffix(world->said->str, "lost "));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add(name, World, NULL, set_up, function, tear_down)
    ADD("/source/any-order", test_any_order);
    ADD("/source/at-most", test_at_most);
    ADD("/source/descriptors", test_descriptors);
    ADD("/source/end", test_end);
    ADD("/source/not-believed", test_not_believed);
    return g_test_run();
}
