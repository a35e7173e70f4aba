/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The packets between a front and its monitor. */

#include "packet.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    int ends[2];
} Fixture;

static void set_up(Fixture *f, const void *data)
{
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, f->ends), ==, 0);
}

static void tear_down(Fixture *f, const void *data)
{
    close(f->ends[0]);
    close(f->ends[1]);
}

static void test_short_packet_is_whole_again(Fixture *f, const void *data)
{
    FsAnswer told = {.kind = FS_TELL_KNOCK, .id = 7, .number = -1, .guest = "g"}, got;
    int fds[FS_QUESTION_FDS];
    char raw[sizeof(got)];

    g_strlcpy(told.look.file, "g.json", sizeof(told.look.file));
    g_assert_cmpint(fs_packet_send(f->ends[0], &told, sizeof(told), NULL, 0), ==, 0);
    g_assert_cmpint(recv(f->ends[1], raw, sizeof(raw), MSG_PEEK), <, 600);
    memset(&got, 0xff, sizeof(got));
    g_assert_cmpint(fs_packet_receive(f->ends[1], &got, sizeof(got), fds), ==, 0);
    g_assert_cmpmem(&got, sizeof(got), &told, sizeof(told));
    g_assert_cmpint(fds[0], ==, -1);
    g_assert_true(fs_answer_valid(&got));
}

static void test_descriptors_come_along(Fixture *f, const void *data)
{
    const FsQuestion question = {.kind = FS_ASK_WRITE, .id = 1};
    FsQuestion got;
    int fds[FS_QUESTION_FDS];

    g_assert_cmpint(fs_packet_send(f->ends[0], &question, sizeof(question), f->ends, 2), ==, 0);
    g_assert_cmpint(fs_packet_receive(f->ends[1], &got, sizeof(got), fds), ==, 0);
    g_assert_cmpint(fcntl(fds[0], F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint(fcntl(fds[1], F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint(fds[2], ==, -1);
    fs_packet_close(fds);
    g_assert_cmpint(fds[0], ==, -1);
    g_assert_true(fs_question_valid(&got));
}

static unsigned count_fds(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* One more descriptor than a packet may have: none stays open. */
static void test_too_many_descriptors(Fixture *f, const void *data)
{
    const FsQuestion question = {.kind = FS_ASK_WRITE, .id = 1};
    struct iovec iov = {(void *)&question, sizeof(question)};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(64 * sizeof(int))];
    } control = {.bytes = {0}};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    FsQuestion got;
    int fds[FS_QUESTION_FDS];

    control.header = (struct cmsghdr){CMSG_LEN(64 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    for (size_t i = 0; i < 64; i++)
        memcpy(CMSG_DATA(&control.header) + i * sizeof(int), f->ends, sizeof(int));
    g_assert_cmpint(sendmsg(f->ends[0], &message, 0), ==, sizeof(question));
    unsigned before = count_fds();
    g_assert_cmpint(fs_packet_receive(f->ends[1], &got, sizeof(got), fds), ==, -EPROTO);
    g_assert_cmpuint(count_fds(), ==, before);
}

static void test_size_of_packets(Fixture *f, const void *data)
{
    char large[sizeof(FsQuestion) + 1];
    FsQuestion got;
    int fds[FS_QUESTION_FDS];

    g_assert_cmpint(fs_packet_receive(f->ends[1], &got, sizeof(got), fds), ==, -EAGAIN);
    memset(large, 1, sizeof(large));
    g_assert_cmpint(send(f->ends[0], large, sizeof(large), 0), ==, sizeof(large));
    g_assert_cmpint(fs_packet_receive(f->ends[1], &got, sizeof(got), fds), ==, -EPROTO);
    shutdown(f->ends[0], SHUT_WR);
    g_assert_cmpint(fs_packet_receive(f->ends[1], &got, sizeof(got), fds), ==, -EPIPE);
}

static void test_what_a_question_may_say(void)
{
    const FsQuestion good = {.kind = FS_ASK_LOOK, .id = 1, .guest = "g"};
    FsQuestion question = good;

    g_assert_true(fs_question_valid(&question));
    memset(question.guest, 'a', sizeof(question.guest));
    g_assert_false(fs_question_valid(&question));
    question = good;
    memset(question.path, 'a', sizeof(question.path));
    g_assert_false(fs_question_valid(&question));
    question = good;
    question.kind = FS_ASKS;
    g_assert_false(fs_question_valid(&question));
    question.kind = 0;
    g_assert_false(fs_question_valid(&question));
    question = good;
    question.id = 0;
    g_assert_false(fs_question_valid(&question));
    question = good;
    question.text = FS_TEXTS;
    g_assert_false(fs_question_valid(&question));
    question = good;
    question.format = FS_FORMATS;
    g_assert_false(fs_question_valid(&question));
}

static void test_what_an_answer_may_say(void)
{
    FsAnswer answer = {.kind = FS_TELL_ANSWER, .error = -ENOENT};

    g_assert_true(fs_answer_valid(&answer));
    answer.error = 1;
    g_assert_false(fs_answer_valid(&answer));
    answer.error = 0;
    memset(answer.look.store_name, 'a', sizeof(answer.look.store_name));
    g_assert_false(fs_answer_valid(&answer));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/packet/short", Fixture, NULL, set_up, test_short_packet_is_whole_again, tear_down);
    g_test_add("/packet/descriptors", Fixture, NULL, set_up, test_descriptors_come_along,
               tear_down);
    g_test_add("/packet/too-many", Fixture, NULL, set_up, test_too_many_descriptors, tear_down);
    g_test_add("/packet/size", Fixture, NULL, set_up, test_size_of_packets, tear_down);
    g_test_add_func("/packet/question", test_what_a_question_may_say);
    g_test_add_func("/packet/answer", test_what_an_answer_may_say);
    return g_test_run();
}
