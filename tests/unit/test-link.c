/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The device's end of a connection whose other end has gone. */

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/link/refused-at-once", test_refused_at_once);
    g_test_add_func("/link/request-not-sent", test_request_not_sent);
    return g_test_run();
}
