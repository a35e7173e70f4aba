/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd-pass.h"
#include "fd.h"

static void make_pair(int type, int ret_ends[2])
{
    g_assert_cmpint(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_ends), ==, 0);
}

static ssize_t send_text(int fd, const char *text, const int *fds, size_t n_fds)
{
    const struct iovec part = {(void *)text, strlen(text)};

    return uv_pass_send(fd, &part, 1, fds, n_fds, 0);
}

static ssize_t receive_text(int fd, char *ret_text, size_t size, int *ret_fds, size_t max_fds)
{
    const struct iovec part = {ret_text, size};

    return uv_pass_receive(fd, &part, 1, ret_fds, max_fds, MSG_DONTWAIT);
}

static void expect_same_file(int a, int b)
{
    struct stat first, second;

    g_assert_cmpint(fstat(a, &first), ==, 0);
    g_assert_cmpint(fstat(b, &second), ==, 0);
    g_assert_cmpuint(first.st_ino, ==, second.st_ino);
    g_assert_cmpint(fcntl(b, F_GETFD), ==, FD_CLOEXEC);
}

/* How many descriptors below 64 are open. */
static unsigned count_open(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 64; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void test_pass(gconstpointer data)
{
    int ends[2], got[UV_PASS_FDS_MAX] = {0}, sent[UV_PASS_FDS_MAX];
    char text[8];

    make_pair(GPOINTER_TO_INT(data), ends);
    for (size_t n = 0; n <= UV_PASS_FDS_MAX; n++) {
        for (size_t i = 0; i < n; i++)
            sent[i] = ends[i % 2];
        g_assert_cmpint(send_text(ends[0], "abc", sent, n), ==, 3);
        g_assert_cmpint(receive_text(ends[1], text, sizeof(text), got, UV_PASS_FDS_MAX), ==, 3);
        g_assert_cmpmem(text, 3, "abc", 3);
        for (size_t i = 0; i < UV_PASS_FDS_MAX; i++) {
            if (i < n)
                expect_same_file(sent[i], got[i]);
            else
                g_assert_cmpint(got[i], ==, -1);
            uv_fd_clear(&got[i]);
        }
    }
    g_assert_cmpint(receive_text(ends[1], text, sizeof(text), got, 1), ==, -EAGAIN);
    uv_fd_clear(&ends[0]);
    g_assert_cmpint(receive_text(ends[1], text, sizeof(text), got, 1), ==, 0);
    g_assert_cmpint(send_text(ends[1], "abc", NULL, 0), ==, -EPIPE);
    uv_fd_clear(&ends[1]);
}

/* As many as the peer likes, whatever uv_pass_send() allows. */
static void send_many(int fd, unsigned n)
{
    char control[CMSG_SPACE(16 * sizeof(int))] = {0};
    struct iovec part = {(char[]){"x"}, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = CMSG_SPACE(n * sizeof(int))};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);

    *c = (struct cmsghdr){CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    for (unsigned i = 0; i < n; i++)
        memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
    g_assert_cmpint(sendmsg(fd, &message, 0), ==, 1);
}

static void test_too_many(void)
{
    int ends[2], got[UV_PASS_FDS_MAX];
    char text[8];
    unsigned before;

    make_pair(SOCK_SEQPACKET, ends);
    before = count_open();
    for (unsigned n = 1; n <= 16; n++) {
        for (unsigned max = 0; max < MIN(n, UV_PASS_FDS_MAX + 1); max++) {
            send_many(ends[0], n);
            g_assert_cmpint(receive_text(ends[1], text, sizeof(text), got, max), ==, -EPROTO);
            for (unsigned i = 0; i < max; i++)
                g_assert_cmpint(got[i], ==, -1);
            g_assert_cmpuint(count_open(), ==, before);
        }
    }
    uv_fd_clear(&ends[0]);
    uv_fd_clear(&ends[1]);
}

static void test_too_long(void)
{
    int ends[2], got[1];
    char text[8];
    unsigned before;

    make_pair(SOCK_SEQPACKET, ends);
    before = count_open();
    g_assert_cmpint(send_text(ends[0], "123456789", ends, 1), ==, 9);
    g_assert_cmpint(receive_text(ends[1], text, sizeof(text), got, 1), ==, -EMSGSIZE);
    g_assert_cmpint(got[0], ==, -1);
    g_assert_cmpuint(count_open(), ==, before);
    uv_fd_clear(&ends[0]);
    uv_fd_clear(&ends[1]);
}

/* A packet without a byte can't be told from the end: what it carries is closed. */
static void test_empty(void)
{
    int ends[2], got[1];
    char text[8];
    unsigned before;

    make_pair(SOCK_SEQPACKET, ends);
    before = count_open();
    g_assert_cmpint(send_text(ends[0], "", ends, 1), ==, 0);
    g_assert_cmpint(receive_text(ends[1], text, sizeof(text), got, 1), ==, 0);
    g_assert_cmpint(got[0], ==, -1);
    g_assert_cmpuint(count_open(), ==, before);
    uv_fd_clear(&ends[0]);
    uv_fd_clear(&ends[1]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/fd-pass/packets", GINT_TO_POINTER(SOCK_SEQPACKET), test_pass);
    g_test_add_data_func("/fd-pass/stream", GINT_TO_POINTER(SOCK_STREAM), test_pass);
    g_test_add_func("/fd-pass/too-many", test_too_many);
    g_test_add_func("/fd-pass/too-long", test_too_long);
    g_test_add_func("/fd-pass/empty", test_empty);
    return g_test_run();
}
