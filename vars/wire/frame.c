/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Frames over a stream socket.
 *
 * Input. Small frames are read several at a time into a stash; the rest of a frame that does not
 * fit there is read straight into its payload, which is allocated when its header has passed the
 * cap of its type. So a peer costs the stash, and one payload of a size that its state allows.
 *
 *   stash[at..end)   bytes read and not taken yet
 *   payload          of the frame under way, or NULL: a header is awaited
 *
 * A descriptor belongs to the frame that holds the last byte of the read it came with: the kernel
 * ends a read behind the bytes that carry one, and senders send such a frame by itself.
 *
 * Output. A frame is a header and a payload sent by one sendmsg where it fits; what does not go, or
 * is held, is queued in order and goes several frames at a time.
 */

#include "frame.h"

#include "fd-pass.h"
#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STASH_BYTES 4096
/* Reads of what is dropped before others get their turn. */
#define SKIP_READS 16
/* Queued frames that go with one sendmsg. */
#define GATHERED_MAX 8

typedef struct {
    uint8_t head[UV_WIRE_HEADER_BYTES + UV_FRAME_PREFIX_MAX];
    size_t head_bytes;
    GBytes *payload; /* what follows the head; nullable */
    size_t sent;     /* of head and payload */
    int fd;          /* to go with the first byte, owned; or -1 */
} Outgoing;

struct UvFrameIo {
    int fd;
    UvFrameCap cap;
    void *cap_data;
    bool refuse_fds, expects_listener;
    bool skips_too_large;
    bool broken; /* malformed or closed: nothing more is read */

    uint8_t *stash;
    size_t room, at, end;
    uint16_t type;
    uint64_t cookie;
    uint32_t length;
    uint8_t *payload; /* of `length` bytes, `filled` of them here */
    size_t filled;
    bool in_payload;
    bool skipping;   /* there is no `payload`: what comes of it is dropped */
    int received_fd; /* came with the last read, or -1 */
    int64_t partial_since;
    bool limited;
    size_t allowed; /* to be read, where that is limited */

    GQueue out; /* of Outgoing */
    size_t queued;
    bool held;
};

void uv_frame_clear(UvFrame *frame)
{
    g_clear_pointer(&frame->payload, g_bytes_unref);
    uv_fd_clear(&frame->fd);
}

static void outgoing_free(Outgoing *out)
{
    if (out->payload)
        g_bytes_unref(out->payload);
    uv_fd_clear(&out->fd);
    g_free(out);
}

UvFrameIo *uv_frame_io_new(int fd, UvFrameCap cap, void *cap_data)
{
    UvFrameIo *io = g_new0(UvFrameIo, 1);

    io->fd = fd;
    io->cap = cap;
    io->cap_data = cap_data;
    io->received_fd = -1;
    uv_frame_io_read_ahead(io, STASH_BYTES);
    g_queue_init(&io->out);
    const int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && !(flags & O_NONBLOCK))
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    return io;
}

void uv_frame_io_read_ahead(UvFrameIo *io, size_t bytes)
{
    if (bytes <= io->room)
        return;
    io->stash = g_realloc(io->stash, bytes);
    io->room = bytes;
}

void uv_frame_io_free(UvFrameIo *io)
{
    if (!io)
        return;
    Outgoing *out;
    while ((out = g_queue_pop_head(&io->out)))
        outgoing_free(out);
    g_free(io->stash);
    g_free(io->payload);
    uv_fd_clear(&io->received_fd);
    uv_fd_clear(&io->fd);
    g_free(io);
}

int uv_frame_io_fd(const UvFrameIo *io)
{
    return io->fd;
}

void uv_frame_io_refuse_descriptors(UvFrameIo *io)
{
    io->refuse_fds = true;
}

void uv_frame_io_expect_listener(UvFrameIo *io, bool expected)
{
    io->expects_listener = expected;
    io->refuse_fds = !expected;
}

void uv_frame_io_skip_too_large(UvFrameIo *io)
{
    io->skips_too_large = true;
}

int64_t uv_frame_io_partial_since(const UvFrameIo *io)
{
    return io->partial_since;
}

bool uv_frame_io_has_buffered(const UvFrameIo *io)
{
    return !io->broken && io->end > io->at;
}

/* As recv(2), with EINTR tried again. Plain recv closes what it is sent of descriptors. */
static ssize_t receive_some(UvFrameIo *io, void *buffer, size_t size)
{
    return io->refuse_fds
               ? TEMP_FAILURE_RETRY(recv(io->fd, buffer, size, MSG_DONTWAIT))
               : uv_pass_receive_one(io->fd, buffer, size, io->expects_listener, &io->received_fd);
}

static UvFrameResult read_failed(UvFrameIo *io, ssize_t n)
{
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return UV_FRAME_NONE;
    io->broken = true;
    return n < 0 && errno == EPROTO ? UV_FRAME_MALFORMED : UV_FRAME_CLOSED;
}

/* READY: at least a byte more is in the stash. */
static UvFrameResult fill_stash(UvFrameIo *io)
{
    if (io->at > 0) {
        memmove(io->stash, io->stash + io->at, io->end - io->at);
        io->end -= io->at;
        io->at = 0;
    }
    const ssize_t n = receive_some(io, io->stash + io->end, io->room - io->end);
    if (n <= 0)
        return read_failed(io, n);
    io->end += n;
    io->allowed -= MIN((size_t)n, io->allowed);
    return UV_FRAME_READY;
}

static UvFrameResult fill_payload(UvFrameIo *io)
{
    const ssize_t n = receive_some(io, io->payload + io->filled, io->length - io->filled);
    if (n <= 0)
        return read_failed(io, n);
    io->filled += n;
    io->allowed -= MIN((size_t)n, io->allowed);
    return UV_FRAME_READY;
}

static bool parse_header(UvFrameIo *io)
{
    UvReader reader = uv_reader(io->stash + io->at, UV_WIRE_HEADER_BYTES);

    const uint32_t length = uv_read_u32(&reader);
    const uint16_t type = uv_read_u16(&reader);
    const uint16_t flags = uv_read_u16(&reader);
    const uint64_t cookie = uv_read_u64(&reader);
    io->at += UV_WIRE_HEADER_BYTES;
    const bool too_large = length > 0 && length > io->cap(type, io->cap_data);
    if (flags != 0 || (too_large && !io->skips_too_large))
        return false;
    io->type = type;
    io->length = length;
    io->cookie = cookie;
    io->in_payload = true;
    io->filled = 0;
    io->skipping = too_large;
    io->payload = too_large ? NULL : g_malloc(length);
    return true;
}

static void take_from_stash(UvFrameIo *io)
{
    const size_t n = MIN(io->end - io->at, io->length - io->filled);

    if (n > 0 && !io->skipping)
        memcpy(io->payload + io->filled, io->stash + io->at, n);
    io->filled += n;
    io->at += n;
}

static UvFrameResult frame_is_whole(UvFrameIo *io, UvFrame *ret_frame)
{
    ret_frame->type = io->type;
    ret_frame->cookie = io->cookie;
    ret_frame->payload = g_bytes_new_take(io->payload, io->skipping ? 0 : io->length);
    ret_frame->fd = -1;
    if (io->at == io->end) {
        ret_frame->fd = io->received_fd;
        io->received_fd = -1;
    }
    io->payload = NULL;
    io->in_payload = false;
    io->partial_since = 0;
    return io->skipping ? UV_FRAME_TOO_LARGE : UV_FRAME_READY;
}

/* Notes since when a frame is under way; called when the socket has no more for now. */
static UvFrameResult nothing_yet(UvFrameIo *io)
{
    if ((io->in_payload || io->end > io->at) && io->partial_since == 0)
        io->partial_since = g_get_monotonic_time();
    return UV_FRAME_NONE;
}

void uv_frame_io_allow(UvFrameIo *io, size_t bytes)
{
    io->limited = true;
    io->allowed = bytes;
}

UvFrameResult uv_frame_io_receive(UvFrameIo *io, UvFrame *ret_frame)
{
    UvFrameResult result = UV_FRAME_READY;
    unsigned reads = 0;

    if (io->broken)
        return UV_FRAME_CLOSED;
    for (;;) {
        if (!io->in_payload && io->end - io->at >= UV_WIRE_HEADER_BYTES && !parse_header(io)) {
            io->broken = true;
            return UV_FRAME_MALFORMED;
        }
        if (io->in_payload) {
            take_from_stash(io);
            if (io->filled == io->length)
                return frame_is_whole(io, ret_frame);
        }
        if ((io->in_payload && io->skipping && reads++ == SKIP_READS) ||
            (io->limited && io->allowed == 0))
            return nothing_yet(io);
        /* A long rest goes straight to its place; a short one may share a read with what follows.
         */
        if (io->in_payload && !io->skipping && io->length - io->filled >= io->room)
            result = fill_payload(io);
        else
            result = fill_stash(io);
        if (result != UV_FRAME_READY)
            return result == UV_FRAME_NONE ? nothing_yet(io) : result;
    }
}

static size_t outgoing_bytes(const Outgoing *out)
{
    return out->head_bytes + (out->payload ? g_bytes_get_size(out->payload) : 0);
}

/* What is left of `out`; the number of parts. */
static size_t parts_of(const Outgoing *out, struct iovec parts[2])
{
    size_t n_parts = 0;
    gsize size = 0;
    const uint8_t *payload = out->payload ? g_bytes_get_data(out->payload, &size) : NULL;
    const size_t in_payload = out->sent > out->head_bytes ? out->sent - out->head_bytes : 0;

    if (out->sent < out->head_bytes)
        parts[n_parts++] =
            (struct iovec){(void *)(out->head + out->sent), out->head_bytes - out->sent};
    if (size > in_payload)
        parts[n_parts++] = (struct iovec){(void *)(payload + in_payload), size - in_payload};
    return n_parts;
}

/* One sendmsg of what is left of `out`: 0, or -errno (-EAGAIN: the socket takes no more now). */
static int send_some(UvFrameIo *io, Outgoing *out)
{
    struct iovec parts[2];
    const size_t n_parts = parts_of(out, parts);
    const ssize_t n = uv_pass_send(io->fd, parts, n_parts, &out->fd, out->fd >= 0, MSG_DONTWAIT);

    if (n < 0)
        return n;
    uv_fd_clear(&out->fd);
    out->sent += n;
    io->queued -= n;
    return 0;
}

/* READY: all of it went. */
static UvFrameResult send_whole(UvFrameIo *io, Outgoing *out)
{
    while (out->sent < outgoing_bytes(out)) {
        const int ret = send_some(io, out);

        if (ret < 0)
            return ret == -EAGAIN ? UV_FRAME_NONE : UV_FRAME_CLOSED;
    }
    return UV_FRAME_READY;
}

/* So many bytes at the head of the queue went. */
static void drop_sent(UvFrameIo *io, size_t bytes)
{
    Outgoing *out;

    io->queued -= bytes;
    while ((out = g_queue_peek_head(&io->out))) {
        const size_t left = outgoing_bytes(out) - out->sent;

        out->sent += MIN(bytes, left);
        if (bytes < left)
            return;
        bytes -= left;
        outgoing_free(g_queue_pop_head(&io->out));
    }
}

/* One sendmsg of several queued frames: 0 or -errno. One with a descriptor goes by itself. */
static int send_queued(UvFrameIo *io)
{
    struct iovec parts[2 * GATHERED_MAX];
    Outgoing *first = g_queue_peek_head(&io->out);
    size_t n_parts = parts_of(first, parts);

    for (GList *link = io->out.head->next; link && first->fd < 0; link = link->next) {
        const Outgoing *out = link->data;

        if (out->fd >= 0 || n_parts > 2 * (GATHERED_MAX - 1))
            break;
        n_parts += parts_of(out, parts + n_parts);
    }
    const ssize_t n =
        uv_pass_send(io->fd, parts, n_parts, &first->fd, first->fd >= 0, MSG_DONTWAIT);
    if (n < 0)
        return n;
    uv_fd_clear(&first->fd);
    drop_sent(io, n);
    return 0;
}

UvFrameResult uv_frame_io_flush(UvFrameIo *io)
{
    if (io->held)
        return g_queue_is_empty(&io->out) ? UV_FRAME_READY : UV_FRAME_NONE;
    while (!g_queue_is_empty(&io->out)) {
        const int ret = send_queued(io);

        if (ret < 0)
            return ret == -EAGAIN ? UV_FRAME_NONE : UV_FRAME_CLOSED;
    }
    return UV_FRAME_READY;
}

UvFrameResult uv_frame_io_hold(UvFrameIo *io, bool held)
{
    io->held = held;
    return uv_frame_io_flush(io);
}

UvFrameResult uv_frame_io_send_prefixed(UvFrameIo *io, uint16_t type, uint64_t cookie,
                                        const void *prefix, size_t prefix_bytes, GBytes *payload,
                                        int fd)
{
    const gsize size = prefix_bytes + (payload ? g_bytes_get_size(payload) : 0);
    Outgoing out = {.head_bytes = UV_WIRE_HEADER_BYTES + prefix_bytes, .payload = payload};

    g_return_val_if_fail(size <= G_MAXUINT32 && prefix_bytes <= UV_FRAME_PREFIX_MAX,
                         UV_FRAME_CLOSED);
    uv_put_le(out.head, size, 4);
    uv_put_le(out.head + 4, type, 2);
    uv_put_le(out.head + 8, cookie, 8);
    if (prefix_bytes > 0)
        memcpy(out.head + UV_WIRE_HEADER_BYTES, prefix, prefix_bytes);
    out.fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    io->queued += outgoing_bytes(&out);
    if (g_queue_is_empty(&io->out) && !io->held) {
        const UvFrameResult result = send_whole(io, &out);
        if (result != UV_FRAME_NONE) {
            uv_fd_clear(&out.fd);
            return result;
        }
    }
    if (payload)
        g_bytes_ref(payload);
    g_queue_push_tail(&io->out, g_memdup2(&out, sizeof(out)));
    return io->held ? UV_FRAME_READY : uv_frame_io_flush(io);
}

UvFrameResult uv_frame_io_send(UvFrameIo *io, uint16_t type, uint64_t cookie, GBytes *payload,
                               int fd)
{
    return uv_frame_io_send_prefixed(io, type, cookie, NULL, 0, payload, fd);
}

size_t uv_frame_io_queued_bytes(const UvFrameIo *io)
{
    return io->queued;
}
