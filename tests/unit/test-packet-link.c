/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What finds no room in a socket waits, comes in its order with its descriptors, and goes with its
 * link. */

#include "packet-link.h"

#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 500

typedef struct {
    FsPoll *poll;
    FsLink link;
    int peer;
    unsigned heard;
} Fixture;

static void on_ready(void *data, uint32_t events)
{
    Fixture *f = data;
    FsAnswer told;
    int fds[FS_QUESTION_FDS];

    if (events & EPOLLOUT)
        g_assert_cmpint(fs_link_flush(&f->link), ==, 0);
    if (events & EPOLLIN && fs_packet_receive(f->link.fd, &told, sizeof(told), fds) == 0)
        f->heard++;
}

static void set_up(Fixture *f, const void *data)
{
    int ends[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), ==,
                    0);
    f->poll = fs_poll_new(NULL, NULL);
    fs_link_open(&f->link, f->poll, ends[0], on_ready, f);
    f->peer = ends[1];
}

static void tear_down(Fixture *f, const void *data)
{
    fs_link_close(&f->link);
    fs_poll_free(f->poll);
    uv_fd_clear(&f->peer);
}

static void turn(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}

static unsigned count_open(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Each with a descriptor. */
static void send_many(Fixture *f)
{
    for (int i = 0; i < MANY; i++) {
        const FsAnswer told = {.kind = FS_TELL_KNOCK, .number = i, .text = "waits"};
        int fd = i % 10 == 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
        g_assert_cmpint(fs_link_send(&f->link, &told, sizeof(told), &fd, fd >= 0), ==, 0);
        g_assert_cmpint(fd, ==, -1);
    }
    g_assert_true(fs_link_is_congested(&f->link));
}

static void receive_many(const Fixture *f)
{
    FsAnswer told;
    int fds[FS_QUESTION_FDS];

    for (int i = 0; i < MANY; i++) {
        int result;
        while ((result = fs_packet_receive(f->peer, &told, sizeof(told), fds)) == -EAGAIN)
            turn();
        g_assert_cmpint(result, ==, 0);
        g_assert_cmpint(told.number, ==, i);
        g_assert_cmpstr(told.text, ==, "waits");
        g_assert_cmpuint(fs_packet_count(fds), ==, i % 10 == 0);
        fs_packet_close(fds);
    }
}

static void test_order(Fixture *f, const void *data)
{
    const unsigned open_before = count_open();

    send_many(f);
    receive_many(f);
    turn();
    g_assert_false(fs_link_is_congested(&f->link));
    g_assert_cmpuint(count_open(), ==, open_before);
}

static void test_close(Fixture *f, const void *data)
{
    const unsigned open_before = count_open();

    send_many(f);
    fs_link_close(&f->link);
    uv_fd_clear(&f->peer);
    g_assert_cmpuint(count_open(), ==, open_before - 2);
}

/* Who waits for room hears nothing if told so, and all of it later. */
static void test_deaf(Fixture *f, const void *data)
{
    const FsAnswer told = {.kind = FS_TELL_STOP};

    fs_link_listen(&f->link, false);
    g_assert_cmpint(fs_packet_send(f->peer, &told, sizeof(told), NULL, 0), ==, 0);
    send_many(f);
    receive_many(f);
    turn();
    g_assert_cmpuint(f->heard, ==, 0);
    fs_link_listen(&f->link, true);
    turn();
    g_assert_cmpuint(f->heard, ==, 1);
}

static void test_peer_is_gone(Fixture *f, const void *data)
{
    const FsAnswer told = {.kind = FS_TELL_STOP};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    send_many(f);
    uv_fd_clear(&f->peer);
    g_assert_cmpint(fs_link_flush(&f->link), <, 0); /* ECONNRESET or EPIPE */
    while (fs_link_is_congested(&f->link))
        (void)fs_link_flush(&f->link);
    g_assert_cmpint(fs_link_send(&f->link, &told, sizeof(told), &fd, 1), ==, -EPIPE);
    g_assert_cmpint(fd, ==, -1);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(Fixture *f, const void *data);
    } cases[] = {
        {"/packet-link/order", test_order},
        {"/packet-link/close", test_close},
        {"/packet-link/deaf", test_deaf},
        {"/packet-link/peer-is-gone", test_peer_is_gone},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
        g_test_add(cases[i].name, Fixture, NULL, set_up, cases[i].run, tear_down);
    return g_test_run();
}
