/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection is either idle (nothing sent that is not answered) or closed: a call that fails
 * half-way closes it, so a late reply can never be taken for another request's.
 */
#include "glue-link.h"

#include "vars/wire/wire.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_PAUSE_MS 10
#define REFUSAL_BYTES_MAX 512u
/* How long a reply is awaited awake. */
#define SPIN_US 32
/* How much longer than its request a reply may be and still come with one read. */
#define LONGER_BYTES 512
/* For the rest of a reply whose beginning is here. */
#define REST_US (G_USEC_PER_SEC / 10)

G_DEFINE_QUARK(glue - link - error - quark, glue_link_error)

void glue_put_le(uint8_t *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = value >> (8 * i);
}

uint64_t glue_get_le(const uint8_t *from, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

/* False: the deadline passed. Errors of the socket show in the call that follows. */
static bool wait_for(int fd, short events, gint64 deadline)
{
    struct pollfd poller = {.fd = fd, .events = events};

    for (;;) {
        gint64 left_us = deadline - g_get_monotonic_time();

        if (left_us <= 0)
            return false;
        /* Rounded up, so that the last millisecond is not spent turning. */
        if (poll(&poller, 1, (left_us + 999) / 1000) > 0)
            return true;
    }
}

static bool connect_once(GlueLink *link, const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return false;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
        int saved = errno;

        close(fd);
        errno = saved;
        return false;
    }
    link->fd = fd;
    return true;
}

bool glue_link_connect(GlueLink *link, const char *path, gint64 patience, gint64 deadline,
                       GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    glue_link_close(link);
    if (!path[0] || strlen(path) >= sizeof(address.sun_path)) {
        g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_ADDRESS,
                    "%s: a socket's path has 1 to %zu bytes", path, sizeof(address.sun_path) - 1);
        return false;
    }
    memcpy(address.sun_path, path, strlen(path));

    while (!connect_once(link, &address)) {
        bool full = errno == EAGAIN;
        bool no_engine = errno == ENOENT || errno == ECONNREFUSED;
        gint64 now = g_get_monotonic_time();

        if (errno != EINTR && !(full && now < deadline) && !(no_engine && now < patience)) {
            g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_NOT_SENT, "can't connect to %s: %s",
                        path, g_strerror(errno));
            return false;
        }
        g_usleep(CONNECT_PAUSE_MS * 1000);
    }
    return true;
}

void glue_link_close(GlueLink *link)
{
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
}

/* All of `parts`, which it uses up. */
static bool send_all(GlueLink *link, struct iovec parts[2], gint64 deadline, GError **error)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    while (parts[0].iov_len + parts[1].iov_len > 0) {
        ssize_t done = sendmsg(link->fd, &message, MSG_NOSIGNAL);

        for (unsigned i = 0; i < 2 && done > 0; i++) {
            size_t taken = MIN((size_t)done, parts[i].iov_len);

            parts[i].iov_base = (uint8_t *)parts[i].iov_base + taken;
            parts[i].iov_len -= taken;
            done -= taken;
        }
        if (done < 0 && errno == EAGAIN) {
            if (!wait_for(link->fd, POLLOUT, deadline)) {
                g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_NOT_SENT,
                            "the engine does not read");
                return false;
            }
        } else if (done < 0 && errno != EINTR) {
            g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_NOT_SENT,
                        "the connection was lost: %s", g_strerror(errno));
            return false;
        }
    }
    return true;
}

/* The socket has nothing yet: gives way to others or, from `spin_until` on, sleeps. False: too
 * late. */
static bool await_reply(const GlueLink *link, gint64 spin_until, gint64 deadline, GError **error)
{
    if (g_get_monotonic_time() < spin_until) {
        sched_yield();
        return true;
    }
    if (wait_for(link->fd, POLLIN, deadline))
        return true;
    g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_UNANSWERED,
                "the engine did not answer in time");
    return false;
}

/*
 * At least `least` bytes, as many of `most` as are there already; 0 on an error. Most replies are
 * there sooner than a sleeping thread wakes up.
 */
static size_t receive(GlueLink *link, uint8_t *to, size_t least, size_t most, gint64 deadline,
                      GError **error)
{
    const gint64 spin_until = g_get_monotonic_time() + SPIN_US;
    size_t got = 0;

    sched_yield();
    while (got < least) {
        ssize_t done = recv(link->fd, to + got, most - got, 0);

        if (done > 0) {
            got += done;
        } else if (done == 0) {
            g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_UNANSWERED,
                        "the engine closed the connection before it answered");
            return 0;
        } else if (errno == EAGAIN) {
            if (!await_reply(link, spin_until, deadline, error))
                return 0;
        } else if (errno != EINTR) {
            g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_UNANSWERED,
                        "the connection was lost: %s", g_strerror(errno));
            return 0;
        }
    }
    return got;
}

/* `pass_fd` goes with the first byte, and is closed when that is sent or can't be. */
static bool send_head(GlueLink *link, uint8_t *header, int pass_fd, gint64 deadline, GError **error)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec parts[2] = {{header, UV_WIRE_HEADER_BYTES}, {NULL, 0}};
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    ssize_t done;

    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&control.header), &pass_fd, sizeof(int));
    do
        done = sendmsg(link->fd, &message, MSG_NOSIGNAL);
    while (done < 0 &&
           (errno == EINTR || (errno == EAGAIN && wait_for(link->fd, POLLOUT, deadline))));
    const int saved = errno;
    close(pass_fd);
    if (done < 0) {
        g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_NOT_SENT, "the connection was lost: %s",
                    g_strerror(saved));
        return false;
    }
    parts[0].iov_base = header + done;
    parts[0].iov_len = UV_WIRE_HEADER_BYTES - (size_t)done;
    return send_all(link, parts, deadline, error);
}

static bool send_frame(GlueLink *link, uint16_t type, const void *payload, size_t bytes,
                       int pass_fd, gint64 deadline, GError **error)
{
    uint8_t header[UV_WIRE_HEADER_BYTES];
    struct iovec parts[2] = {{header, sizeof(header)}, {(void *)payload, bytes}};

    glue_put_le(header, bytes, 4);
    glue_put_le(header + 4, type, 2);
    glue_put_le(header + 6, 0, 2);
    glue_put_le(header + 8, ++link->cookie, 8);
    if (pass_fd >= 0) {
        if (!send_head(link, header, pass_fd, deadline, error))
            return false;
        parts[0].iov_len = 0;
    }
    return send_all(link, parts, deadline, error);
}

/* The text of an ERROR frame is the engine's own, but goes to a terminal or a log: it is escaped,
 * and cut short. */
static void set_refusal(const uint8_t *payload, size_t bytes, GError **error)
{
    g_autofree char *text = NULL, *printable = NULL;

    if (bytes < 4) {
        g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_PROTOCOL,
                    "the engine sent an ERROR frame of %zu bytes", bytes);
        return;
    }
    text = g_utf8_make_valid((const char *)payload + 4, MIN(bytes - 4, REFUSAL_BYTES_MAX));
    printable = g_strescape(text, "\"\\");
    g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_REFUSED, "the engine refused: %s (code %u)",
                printable, (unsigned)glue_get_le(payload, 4));
}

/* The header of the reply to the request under way: the length of what follows, and its kind. */
static bool check_header(const GlueLink *link, const uint8_t *header, uint16_t type,
                         size_t reply_max, size_t *bytes, bool *refused, GError **error)
{
    const uint16_t got = glue_get_le(header + 4, 2);
    const uint64_t cookie = glue_get_le(header + 8, 8);

    *bytes = glue_get_le(header, 4);
    *refused = got == (UV_WIRE_ERROR | UV_WIRE_REPLY);
    /* An ERROR that answers no frame (a deadline passed) has cookie 0. */
    if ((*refused || got == (type | UV_WIRE_REPLY)) && glue_get_le(header + 6, 2) == 0 &&
        (cookie == link->cookie || (*refused && cookie == 0)) &&
        *bytes <= (*refused ? UV_WIRE_MM_MAX : reply_max))
        return true;
    g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_PROTOCOL,
                "the engine answered request 0x%x with a frame of type 0x%x and %zu bytes", type,
                got, *bytes);
    return false;
}

/* `likely_bytes`: what is read at first, with luck all of it. */
static GBytes *receive_reply(GlueLink *link, uint16_t type, size_t likely_bytes, size_t reply_max,
                             gint64 deadline, GError **error)
{
    const size_t room = UV_WIRE_HEADER_BYTES + likely_bytes;
    g_autofree uint8_t *frame = g_malloc(room);
    g_autoptr(GBytes) whole = NULL;
    size_t bytes, got, frame_bytes;
    bool refused;

    got = receive(link, frame, UV_WIRE_HEADER_BYTES, room, deadline, error);
    if (!got || !check_header(link, frame, type, reply_max, &bytes, &refused, error))
        return NULL;
    frame_bytes = UV_WIRE_HEADER_BYTES + bytes;
    if (got > frame_bytes) {
        g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_PROTOCOL,
                    "the engine sent more than its reply");
        return NULL;
    }
    if (frame_bytes > room)
        frame = g_realloc(frame, frame_bytes);
    if (got < frame_bytes &&
        !receive(link, frame + got, frame_bytes - got, frame_bytes - got, deadline, error))
        return NULL;
    if (refused) {
        set_refusal(frame + UV_WIRE_HEADER_BYTES, bytes, error);
        return NULL;
    }
    whole = g_bytes_new_take(g_steal_pointer(&frame), frame_bytes);
    return g_bytes_new_from_bytes(whole, UV_WIRE_HEADER_BYTES, bytes);
}

/* Who refuses us at once may have hung up before HELLO came, and said why. */
static void take_last_words(GlueLink *link, GError **error)
{
    g_autoptr(GError) said = NULL;
    g_autoptr(GBytes) reply =
        receive_reply(link, UV_WIRE_HELLO, LONGER_BYTES, 0, g_get_monotonic_time(), &said);

    if (!reply && g_error_matches(said, GLUE_LINK_ERROR, GLUE_LINK_ERROR_REFUSED)) {
        g_clear_error(error);
        *error = g_steal_pointer(&said);
    }
}

/* Hands `why` over; what is said of the connection goes for it. */
static void set_error(GlueLink *link, GError *why, GError **error)
{
    if (!g_error_matches(why, GLUE_LINK_ERROR, GLUE_LINK_ERROR_REFUSED))
        glue_link_close(link);
    g_propagate_error(error, why);
}

bool glue_link_begin(GlueLink *link, uint16_t type, const void *payload, size_t bytes, int pass_fd,
                     gint64 deadline, GError **error)
{
    GError *why = NULL;

    if (link->fd < 0) {
        if (pass_fd >= 0)
            close(pass_fd);
        g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_NOT_SENT, "not connected");
        return false;
    }
    if (send_frame(link, type, payload, bytes, pass_fd, deadline, &why))
        return true;
    if (type == UV_WIRE_HELLO)
        take_last_words(link, &why);
    set_error(link, why, error);
    return false;
}

GBytes *glue_link_finish(GlueLink *link, uint16_t type, size_t reply_max, gint64 deadline,
                         GError **error)
{
    const gint64 left_us = deadline - g_get_monotonic_time();
    struct pollfd poller = {.fd = link->fd, .events = POLLIN};
    GError *why = NULL;
    GBytes *reply;

    if (poll(&poller, 1, MAX(left_us, 0) / 1000) <= 0) {
        g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_LATE, "the engine does not answer");
        return NULL;
    }
    reply = receive_reply(link, type, MIN(reply_max, LONGER_BYTES), reply_max,
                          MAX(deadline, g_get_monotonic_time() + REST_US), &why);
    if (why)
        set_error(link, why, error);
    return reply;
}

GBytes *glue_link_call(GlueLink *link, uint16_t type, const void *payload, size_t bytes,
                       size_t reply_max, gint64 deadline, GError **error)
{
    GError *why = NULL;
    GBytes *reply;

    if (!glue_link_begin(link, type, payload, bytes, -1, deadline, error))
        return NULL;
    reply =
        receive_reply(link, type, MIN(reply_max, bytes + LONGER_BYTES), reply_max, deadline, &why);
    if (why)
        set_error(link, why, error);
    return reply;
}
