/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One stream connection to an engine: connect, send a frame, wait for its reply.
 *
 * Used inside an MMIO handler, where QEMU's main loop does not run: the socket is non-blocking and
 * every wait ends at a deadline (monotonic time in µs, g_get_monotonic_time()). One request is
 * under way at a time. No QEMU header is needed here.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GLUE_LINK_ERROR (glue_link_error_quark())
GQuark glue_link_error_quark(void);

typedef enum {
    GLUE_LINK_ERROR_ADDRESS,    /* the path can't be a socket's */
    GLUE_LINK_ERROR_NOT_SENT,   /* no connection, or lost before the whole frame was handed over:
                                   the engine has not acted on it */
    GLUE_LINK_ERROR_UNANSWERED, /* lost or silent after the frame was sent: it may have acted */
    GLUE_LINK_ERROR_PROTOCOL,   /* the reply is not one */
    GLUE_LINK_ERROR_REFUSED,    /* the engine answered ERROR; the connection stays */
    GLUE_LINK_ERROR_LATE,       /* nothing of the reply is here yet; the connection stays */
} GlueLinkError;

typedef struct {
    int fd; /* -1: not connected */
    uint64_t cookie;
} GlueLink;

#define GLUE_LINK_INIT                                                                             \
    {                                                                                              \
        .fd = -1,                                                                                  \
    }

/*
 * Connects to `path`. Where no engine listens it tries again until `patience`; where the listener's
 * queue is full, until `deadline`.
 */
bool glue_link_connect(GlueLink *link, const char *path, gint64 patience, gint64 deadline,
                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

void glue_link_close(GlueLink *link);

/*
 * Sends a frame of `type` and returns the payload of its reply, at most `reply_max` bytes. Every
 * error but REFUSED closes the connection.
 */
GBytes *glue_link_call(GlueLink *link, uint16_t type, const void *payload, size_t bytes,
                       size_t reply_max, gint64 deadline, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * The two halves of a call, for a reply that is not waited for. `pass_fd` (-1: none) goes with the
 * frame; it is taken, and closed before the frame is whole, so that the engine, when it acts on the
 * frame, finds it closed. Between them nothing else is sent. With a `reply_max` of the call's
 * reply, glue_link_finish() leaves a connection open whose reply is late: errors are those of
 * glue_link_call(), and LATE.
 */
bool glue_link_begin(GlueLink *link, uint16_t type, const void *payload, size_t bytes, int pass_fd,
                     gint64 deadline, GError **error) G_GNUC_WARN_UNUSED_RESULT;
GBytes *glue_link_finish(GlueLink *link, uint16_t type, size_t reply_max, gint64 deadline,
                         GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Numbers of 1 to 8 bytes, little endian as all of the protocol. */
void glue_put_le(uint8_t *to, uint64_t value, unsigned bytes);
uint64_t glue_get_le(const uint8_t *from, unsigned bytes);
