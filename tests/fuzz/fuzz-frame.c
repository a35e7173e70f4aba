/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Frames through a socket pair, in pieces of sizes that the input chooses, and what their payloads
 * are decoded by outside the service: state blobs.
 */

#include "fuzz.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blob.h"
#include "frame.h"
#include "uv-limits.h"

static uint32_t cap(uint16_t type, void *data)
{
    return type == UV_WIRE_LOAD ? UV_WIRE_BLOB_MAX : UV_WIRE_MM_MAX;
}

/* false: nothing more will come. */
static bool drain(UvFrameIo *io)
{
    for (;;) {
        g_auto(UvFrame) frame = {.fd = -1};
        const UvFrameResult result = uv_frame_io_receive(io, &frame);

        if (result == UV_FRAME_NONE)
            return true;
        if (result != UV_FRAME_READY)
            return false;
        if (frame.type == UV_WIRE_LOAD)
            uv_blob_free(uv_blob_decode(frame.payload, NULL));
        (void)uv_frame_io_send(io, frame.type | UV_WIRE_REPLY, frame.cookie, frame.payload, -1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];
    const size_t step = size > 0 ? 1 + data[0] * 16 : 1;

    if (size < 1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return 0;
    g_autoptr(UvFrameIo) io = uv_frame_io_new(fds[0], cap, NULL);
    for (size_t at = 1; at < size;) {
        const ssize_t n = write(fds[1], data + at, MIN(step, size - at));
        if (n <= 0)
            break;
        at += n;
        if (!drain(io))
            break;
    }
    close(fds[1]);
    (void)drain(io);
    return 0;
}
