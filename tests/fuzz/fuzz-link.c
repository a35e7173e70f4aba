/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What an engine answers the device: the first byte chooses the request, the rest is the engine's
 * words, also to the requests that follow while the connection stays.
 */

#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "glue-link.h"
#include "vars/wire/wire.h"

#define CALLS 4

static const struct {
    uint16_t type;
    size_t reply_max;
} requests[] = {
    {UV_WIRE_HELLO, 24 + UV_WIRE_NAME_MAX},
    {UV_WIRE_MM, 8 + UV_WIRE_MM_MAX},
    {UV_WIRE_RESET, 0},
    {UV_WIRE_SAVE, UV_WIRE_BLOB_MAX},
    {UV_WIRE_LOAD, 0},
    {UV_WIRE_ACQUIRE, 0},
};

/* What callers rely on. */
static void check(const GlueLink *link, GBytes *reply, size_t reply_max, const GError *error)
{
    g_assert_true((reply != NULL) == (error == NULL));
    if (reply)
        g_assert_cmpuint(g_bytes_get_size(reply), <=, reply_max);
    g_assert_true((link->fd >= 0) ==
                  (!error || g_error_matches(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_REFUSED)));
    if (error)
        g_assert_true(g_str_is_ascii(error->message));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t question[32] = {0};
    GlueLink link = GLUE_LINK_INIT;
    int fds[2];

    if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return 0;
    link.fd = fds[0];
    if (send(fds[1], data + 1, size - 1, MSG_NOSIGNAL) >= 0)
        shutdown(fds[1], SHUT_WR);
    for (unsigned i = 0; i < CALLS && link.fd >= 0; i++) {
        const unsigned which = data[0] % G_N_ELEMENTS(requests);
        g_autoptr(GError) error = NULL;
        g_autoptr(GBytes) reply =
            glue_link_call(&link, requests[which].type, question, sizeof(question),
                           requests[which].reply_max, g_get_monotonic_time() + 100000, &error);

        check(&link, reply, requests[which].reply_max, error);
    }
    glue_link_close(&link);
    close(fds[1]);
    return 0;
}
