/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The device's end of a connection whose other end has gone. */

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fd-pass.h"
#include "glue-link.h"
#include "vars/wire/wire.h"

#define REASON "no engine can be started"

/* A connection to somebody who sent an ERROR that answers nothing, and hung up. */
static GlueLink refused(void)
{
    GlueLink link = GLUE_LINK_INIT;
    uint8_t frame[UV_WIRE_HEADER_BYTES + 4 + sizeof(REASON) - 1] = {0};
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
    glue_put_le(frame, sizeof(frame) - UV_WIRE_HEADER_BYTES, 4);
    glue_put_le(frame + 4, UV_WIRE_ERROR | UV_WIRE_REPLY, 2);
    glue_put_le(frame + UV_WIRE_HEADER_BYTES, UV_WIRE_E_OCCUPIED, 4);
    memcpy(frame + UV_WIRE_HEADER_BYTES + 4, REASON, sizeof(REASON) - 1);
    g_assert_cmpint(send(fds[1], frame, sizeof(frame), 0), ==, sizeof(frame));
    close(fds[1]);
    link.fd = fds[0];
    return link;
}

static void call(GlueLink *link, uint16_t type, GError **error)
{
    g_autoptr(GBytes) reply =
        glue_link_call(link, type, "hello", 5, 64, g_get_monotonic_time() + G_USEC_PER_SEC, error);

    g_assert_null(reply);
    glue_link_close(link);
}

/* The reason is told, although HELLO could not be sent any more. */
static void test_refused_at_once(void)
{
    GlueLink link = refused();
    g_autoptr(GError) error = NULL;

    call(&link, UV_WIRE_HELLO, &error);
    g_assert_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_REFUSED);
    g_assert_nonnull(strstr(error->message, REASON));
}

/* A request was not seen by anybody: it may be sent again, whatever was said. */
static void test_request_not_sent(void)
{
    GlueLink link = refused();
    g_autoptr(GError) error = NULL;

    call(&link, UV_WIRE_MM, &error);
    g_assert_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_NOT_SENT);
}

/* Who acts on the whole frame must find nobody else with the file open. */
static void test_descriptor_goes_ahead(void)
{
    GlueLink link = GLUE_LINK_INIT;
    g_autoptr(GError) error = NULL;
    uint8_t bytes[64];
    int fds[2], pipe_fds[2], got = -1;
    const struct iovec part = {bytes, sizeof(bytes)};

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
    g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC), ==, 0);
    link.fd = fds[0];
    g_assert_true(glue_link_begin(&link, UV_WIRE_HELLO, "hello", 5, pipe_fds[1],
                                  g_get_monotonic_time() + G_USEC_PER_SEC, &error));
    g_assert_no_error(error);
    g_assert_cmpint(fcntl(pipe_fds[1], F_GETFD), ==, -1);
    g_assert_cmpint(uv_pass_receive(fds[1], &part, 1, &got, 1, 0), ==, UV_WIRE_HEADER_BYTES);
    g_assert_cmpint(got, >=, 0);
    g_assert_cmpint(recv(fds[1], bytes, sizeof(bytes), 0), ==, 5);
    close(got);
    close(pipe_fds[0]);
    close(fds[1]);
    glue_link_close(&link);
}

/* The connection stays, and the reply is taken when it comes. */
static void test_late(void)
{
    GlueLink link = GLUE_LINK_INIT;
    g_autoptr(GError) error = NULL;
    uint8_t frame[UV_WIRE_HEADER_BYTES + 1] = {1};
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
    link.fd = fds[0];
    const gint64 soon = g_get_monotonic_time() + G_USEC_PER_SEC;
    g_assert_true(glue_link_begin(&link, UV_WIRE_HELLO, NULL, 0, -1, soon, &error));
    for (int i = 0; i < 3; i++) {
        g_clear_error(&error);
        g_assert_null(glue_link_finish(&link, UV_WIRE_HELLO, 8, 0, &error));
        g_assert_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_LATE);
    }
    g_clear_error(&error);
    glue_put_le(frame + 4, UV_WIRE_HELLO | UV_WIRE_REPLY, 2);
    glue_put_le(frame + 8, link.cookie, 8);
    g_assert_cmpint(send(fds[1], frame, sizeof(frame), 0), ==, sizeof(frame));
    g_autoptr(GBytes) reply = glue_link_finish(&link, UV_WIRE_HELLO, 8, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpint(g_bytes_get_size(reply), ==, 1);
    close(fds[1]);
    glue_link_close(&link);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/link/refused-at-once", test_refused_at_once);
    g_test_add_func("/link/request-not-sent", test_request_not_sent);
    g_test_add_func("/link/descriptor-goes-ahead", test_descriptor_goes_ahead);
    g_test_add_func("/link/late", test_late);
    return g_test_run();
}
