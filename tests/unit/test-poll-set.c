/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One source for many descriptors: a turn takes all that is ready, and what was removed is not
 * called. */

#include "poll-set.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WATCHES 200

typedef struct {
    GMainContext *context;
    FsPoll *poll;
    FsWatch watches[WATCHES];
    unsigned called;
    bool removes; /* the first one that is called removes all others */
} Fixture;

typedef struct {
    Fixture *fixture;
    int fd;
} Ready;

static Ready ready[WATCHES];

static void on_ready(void *data, uint32_t events)
{
    const Ready *one = data;
    Fixture *f = one->fixture;

    g_assert_cmphex(events, ==, EPOLLIN);
    f->called++;
    for (unsigned i = 0; f->removes && i < WATCHES; i++)
        fs_watch_remove(&f->watches[i]);
}

static void set_up(Fixture *f, const void *data)
{
    g_autoptr(GError) error = NULL;

    f->context = g_main_context_new();
    f->poll = fs_poll_new(f->context, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < WATCHES; i++) {
        ready[i] = (Ready){f, eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)};
        fs_watch_add(&f->watches[i], f->poll, ready[i].fd, EPOLLIN, on_ready, &ready[i]);
    }
}

static void tear_down(Fixture *f, const void *data)
{
    for (unsigned i = 0; i < WATCHES; i++) {
        fs_watch_remove(&f->watches[i]);
        close(ready[i].fd);
    }
    fs_poll_free(f->poll);
    g_main_context_unref(f->context);
}

static void test_all_in_a_turn(Fixture *f, const void *data)
{
    g_assert_true(g_main_context_iteration(f->context, FALSE));
    g_assert_cmpuint(f->called, ==, WATCHES);
}

static void test_removed(Fixture *f, const void *data)
{
    f->removes = true;
    g_assert_true(g_main_context_iteration(f->context, FALSE));
    g_assert_cmpuint(f->called, ==, 1);
    g_assert_false(g_main_context_iteration(f->context, FALSE));
    g_assert_cmpuint(f->called, ==, 1);
}

/* Of a regular file no set has events, and it is always ready. */
static void test_aside(Fixture *f, const void *data)
{
    g_autofree char *name = NULL;
    const int fd = g_file_open_tmp("poll-set-XXXXXX", &name, NULL);
    Ready one = {f, fd};
    FsWatch watch = {0};

    f->removes = true;
    g_assert_true(g_main_context_iteration(f->context, FALSE));
    f->removes = false;
    f->called = 0;
    fs_watch_add(&watch, f->poll, fd, EPOLLIN, on_ready, &one);
    g_assert_nonnull(watch.aside);
    g_assert_true(g_main_context_iteration(f->context, FALSE));
    g_assert_cmpuint(f->called, ==, 1);
    fs_watch_modify(&watch, 0);
    g_assert_false(g_main_context_iteration(f->context, FALSE));
    fs_watch_modify(&watch, EPOLLIN);
    g_assert_true(g_main_context_iteration(f->context, FALSE));
    g_assert_cmpuint(f->called, ==, 2);
    fs_watch_remove(&watch);
    g_assert_false(g_main_context_iteration(f->context, FALSE));
    fs_watch_remove(&watch);
    close(fd);
    unlink(name);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/poll-set/all-in-a-turn", Fixture, NULL, set_up, test_all_in_a_turn, tear_down);
    g_test_add("/poll-set/removed", Fixture, NULL, set_up, test_removed, tear_down);
    g_test_add("/poll-set/aside", Fixture, NULL, set_up, test_aside, tear_down);
    return g_test_run();
}
