/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Frames over a stream socket, without blocking: an input side that collects bytes until a frame is
 * whole (with a cap by type, checked before anything is allocated), an output side that queues.
 * Used by the engine and by the front; the QEMU device has its own blocking-with-deadline reader.
 */

#include "bytes.h"
#include "wire.h"

typedef struct {
    uint16_t type;
    uint64_t cookie;
    GBytes *payload;
    int fd; /* received with it (SCM_RIGHTS), or -1; owned by the frame */
} UvFrame;

void uv_frame_clear(UvFrame *frame);

/* The largest payload of a type, or 0 if the type may not be sent there (then nothing is read of
 * it). */
typedef uint32_t (*UvFrameCap)(uint16_t type, void *data);

typedef struct UvFrameIo UvFrameIo;

typedef enum {
    UV_FRAME_NONE,      /* no whole frame yet (or: the queue is not empty yet) */
    UV_FRAME_READY,     /* `ret_frame` is set (or: all is sent) */
    UV_FRAME_CLOSED,    /* the peer is gone (EOF, or an error of the socket) */
    UV_FRAME_MALFORMED, /* a header that can't be: flags, length over the cap */
    UV_FRAME_TOO_LARGE, /* uv_frame_io_skip_too_large(): a frame that was not kept */
} UvFrameResult;

/* `fd` is owned and made non-blocking. */
UvFrameIo *uv_frame_io_new(int fd, UvFrameCap cap, void *cap_data);
void uv_frame_io_free(UvFrameIo *io);
int uv_frame_io_fd(const UvFrameIo *io);
/* Frames of up to `bytes` in all come with one read (4096 if this is not called). */
void uv_frame_io_read_ahead(UvFrameIo *io, size_t bytes);
/* Reads what is there and gives the next whole frame; call until it says UV_FRAME_NONE. */
UvFrameResult uv_frame_io_receive(UvFrameIo *io, UvFrame *ret_frame);
/* So many bytes (about) are read from now on; then there is UV_FRAME_NONE until more are allowed,
 * and the socket stays ready. Without this there is no limit. */
void uv_frame_io_allow(UvFrameIo *io, size_t bytes);
/* Since when (monotonic microseconds) an unfinished frame is under way; 0: none is. */
int64_t uv_frame_io_partial_since(const UvFrameIo *io);
/* Queues a frame (payload may be NULL; fd -1 or a descriptor to pass, borrowed) and sends what
 * goes. */
UvFrameResult uv_frame_io_send(UvFrameIo *io, uint16_t type, uint64_t cookie, GBytes *payload,
                               int fd);
/* The same, with up to UV_FRAME_PREFIX_MAX bytes before `payload` that belong to the frame's. */
#define UV_FRAME_PREFIX_MAX 8
UvFrameResult uv_frame_io_send_prefixed(UvFrameIo *io, uint16_t type, uint64_t cookie,
                                        const void *prefix, size_t prefix_bytes, GBytes *payload,
                                        int fd);
UvFrameResult uv_frame_io_flush(UvFrameIo *io);
/*
 * While held, what is sent is queued only (and UV_FRAME_READY); no longer held, it goes together,
 * with the result of uv_frame_io_flush(): the reader wakes up once for several frames.
 */
UvFrameResult uv_frame_io_hold(UvFrameIo *io, bool held);
size_t uv_frame_io_queued_bytes(const UvFrameIo *io);
/* Descriptors sent by the peer are dropped by the kernel from now on (the engine wants none). */
void uv_frame_io_refuse_descriptors(UvFrameIo *io);
/* A listening socket is taken from now on, and after anything else no frame; or, if none is
 * expected, descriptors are refused. */
void uv_frame_io_expect_listener(UvFrameIo *io, bool expected);
/*
 * A payload over its cap is read and dropped from now on, in the place of the connection: when all
 * of it has gone by, `ret_frame` has its type and cookie, and an empty payload.
 */
void uv_frame_io_skip_too_large(UvFrameIo *io);
/* Bytes are here that no read of the socket will announce: call receive again without polling. */
bool uv_frame_io_has_buffered(const UvFrameIo *io);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvFrameIo, uv_frame_io_free)
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UvFrame, uv_frame_clear)
