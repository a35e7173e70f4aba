/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"

#define CAP 100000u

typedef struct {
    UvFrameIo *near;
    UvFrameIo *far;
    int raw; /* of `far`, for bytes that are no frames */
} Pair;

static uint32_t cap(uint16_t type, void *data)
{
    return type == 0x70 ? 0 : CAP;
}

static void set_up(Pair *pair)
{
    int fds[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    pair->near = uv_frame_io_new(fds[0], cap, NULL);
    pair->far = uv_frame_io_new(fds[1], cap, NULL);
    pair->raw = fds[1];
}

static void tear_down(Pair *pair)
{
    uv_frame_io_free(pair->near);
    uv_frame_io_free(pair->far);
}

static void send_raw(Pair *pair, const void *bytes, size_t size)
{
    g_assert_cmpint(send(pair->raw, bytes, size, 0), ==, (ssize_t)size);
}

static void expect(UvFrameIo *io, uint16_t type, uint64_t cookie, size_t size)
{
    g_auto(UvFrame) frame = {.fd = -1};

    g_assert_cmpint(uv_frame_io_receive(io, &frame), ==, UV_FRAME_READY);
    g_assert_cmpint(frame.type, ==, type);
    g_assert_cmpuint(frame.cookie, ==, cookie);
    g_assert_cmpuint(g_bytes_get_size(frame.payload), ==, size);
}

static void expect_result(UvFrameIo *io, UvFrameResult result)
{
    g_auto(UvFrame) frame = {.fd = -1};

    g_assert_cmpint(uv_frame_io_receive(io, &frame), ==, result);
}

static void test_small(void)
{
    Pair pair;
    g_autoptr(GBytes) payload = g_bytes_new("hello", 5);

    set_up(&pair);
    expect_result(pair.near, UV_FRAME_NONE);
    g_assert_cmpint(uv_frame_io_send(pair.far, 2, 77, payload, -1), ==, UV_FRAME_READY);
    g_assert_cmpint(uv_frame_io_send(pair.far, 3, 78, NULL, -1), ==, UV_FRAME_READY);
    expect(pair.near, 2, 77, 5);
    expect(pair.near, 3, 78, 0);
    expect_result(pair.near, UV_FRAME_NONE);
    g_assert_cmpint(uv_frame_io_partial_since(pair.near), ==, 0);
    tear_down(&pair);
}

/* A frame in single bytes is under way from the first on, and whole with the last. */
static void test_byte_by_byte(void)
{
    static const uint8_t bytes[] = {3, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 'a', 'b', 'c'};
    Pair pair;

    set_up(&pair);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        expect_result(pair.near, UV_FRAME_NONE);
        g_assert_cmpint(uv_frame_io_partial_since(pair.near) != 0, ==, i > 0);
        send_raw(&pair, bytes + i, 1);
    }
    expect(pair.near, 2, 9, 3);
    g_assert_cmpint(uv_frame_io_partial_since(pair.near), ==, 0);
    tear_down(&pair);
}

static void test_large(void)
{
    Pair pair;
    g_autofree char *data = g_malloc(CAP);
    memset(data, 'x', CAP);
    g_autoptr(GBytes) payload = g_bytes_new(data, CAP);

    set_up(&pair);
    for (uint64_t i = 0; i < 20; i++)
        (void)uv_frame_io_send(pair.far, 2, i, payload, -1);
    g_assert_cmpuint(uv_frame_io_queued_bytes(pair.far), >, 0);
    for (uint64_t i = 0; i < 20; i++) {
        g_auto(UvFrame) frame = {.fd = -1};
        UvFrameResult result;
        while ((result = uv_frame_io_receive(pair.near, &frame)) == UV_FRAME_NONE)
            (void)uv_frame_io_flush(pair.far);
        g_assert_cmpint(result, ==, UV_FRAME_READY);
        g_assert_cmpuint(frame.cookie, ==, i);
        g_assert_true(g_bytes_equal(frame.payload, payload));
    }
    g_assert_cmpuint(uv_frame_io_queued_bytes(pair.far), ==, 0);
    tear_down(&pair);
}

/* Held frames go with one write, whose bytes are those of each by itself. */
static void test_held(void)
{
    Pair pair;
    g_autoptr(GBytes) payload = g_bytes_new("hello", 5);
    uint8_t bytes[256];

    set_up(&pair);
    uv_frame_io_hold(pair.near, true);
    for (uint64_t i = 0; i < 5; i++)
        g_assert_cmpint(uv_frame_io_send(pair.near, 2, i, payload, -1), ==, UV_FRAME_READY);
    g_assert_cmpint(uv_frame_io_flush(pair.near), ==, UV_FRAME_NONE);
    expect_result(pair.far, UV_FRAME_NONE);
    g_assert_cmpint(uv_frame_io_hold(pair.near, false), ==, UV_FRAME_READY);
    g_assert_cmpuint(uv_frame_io_queued_bytes(pair.near), ==, 0);
    g_assert_cmpint(recv(pair.raw, bytes, sizeof(bytes), MSG_DONTWAIT), ==, 5 * (16 + 5));
    for (uint64_t i = 0; i < 5; i++) {
        g_assert_cmpmem(bytes + i * 21 + 16, 5, "hello", 5);
        g_assert_cmpuint(bytes[i * 21 + 8], ==, i);
    }
    tear_down(&pair);
}

/* More than the socket takes, of many sizes: what went partly goes on where it was. */
static void test_held_and_large(void)
{
    Pair pair;
    g_autofree char *data = g_malloc(CAP);
    memset(data, 'x', CAP);

    set_up(&pair);
    uv_frame_io_hold(pair.far, true);
    for (uint64_t i = 0; i < 40; i++) {
        g_autoptr(GBytes) payload = g_bytes_new(data, CAP / 40 * i);
        (void)uv_frame_io_send(pair.far, 2, i, payload, -1);
    }
    g_assert_cmpint(uv_frame_io_hold(pair.far, false), ==, UV_FRAME_NONE);
    for (uint64_t i = 0; i < 40; i++) {
        g_auto(UvFrame) frame = {.fd = -1};
        UvFrameResult result;
        while ((result = uv_frame_io_receive(pair.near, &frame)) == UV_FRAME_NONE)
            (void)uv_frame_io_flush(pair.far);
        g_assert_cmpint(result, ==, UV_FRAME_READY);
        g_assert_cmpuint(frame.cookie, ==, i);
        g_assert_cmpmem(g_bytes_get_data(frame.payload, NULL), g_bytes_get_size(frame.payload),
                        data, CAP / 40 * i);
    }
    g_assert_cmpuint(uv_frame_io_queued_bytes(pair.far), ==, 0);
    tear_down(&pair);
}

static void refuse(const uint8_t header[16])
{
    Pair pair;

    set_up(&pair);
    send_raw(&pair, header, 16);
    expect_result(pair.near, UV_FRAME_MALFORMED);
    /* What follows is not looked at. */
    expect_result(pair.near, UV_FRAME_CLOSED);
    tear_down(&pair);
}

static void test_malformed(void)
{
    static const uint8_t flags[16] = {0, 0, 0, 0, 2, 0, 1};
    static const uint8_t too_long[16] = {0xa1, 0x86, 1, 0, 2}; /* CAP + 1 */
    static const uint8_t endless[16] = {0xff, 0xff, 0xff, 0xff, 2};
    static const uint8_t not_there[16] = {1, 0, 0, 0, 0x70};

    refuse(flags);
    refuse(too_long);
    refuse(endless);
    refuse(not_there);
}

/* What is too large goes by, whatever its size, and the connection stays. */
static void test_too_large(void)
{
    static const uint8_t header[16] = {0xa0, 0x86, 0x12, 0, 2, 0, 0, 0, 7}; /* 1,214,112 bytes */
    static const uint8_t chunk[1000];
    g_autoptr(GBytes) small = g_bytes_new_static("abc", 3);
    UvFrame frame = {.fd = -1};
    UvFrameResult result = UV_FRAME_NONE;
    size_t left = 0x1286a0;
    Pair pair;

    set_up(&pair);
    uv_frame_io_skip_too_large(pair.near);
    send_raw(&pair, header, sizeof(header));
    while (left > 0) {
        const size_t n = MIN(left, sizeof(chunk));
        send_raw(&pair, chunk, n);
        left -= n;
        g_assert_cmpint(result, ==, UV_FRAME_NONE);
        result = uv_frame_io_receive(pair.near, &frame);
    }
    while (result == UV_FRAME_NONE)
        result = uv_frame_io_receive(pair.near, &frame);
    g_assert_cmpint(result, ==, UV_FRAME_TOO_LARGE);
    g_assert_cmpint(frame.type, ==, 2);
    g_assert_cmpuint(frame.cookie, ==, 7);
    g_assert_cmpuint(g_bytes_get_size(frame.payload), ==, 0);
    uv_frame_clear(&frame);
    g_assert_cmpint(uv_frame_io_send(pair.far, 3, 8, small, -1), ==, UV_FRAME_READY);
    expect(pair.near, 3, 8, 3);
    expect_result(pair.near, UV_FRAME_NONE);
    tear_down(&pair);
}

static void test_closed(void)
{
    Pair pair;

    set_up(&pair);
    (void)uv_frame_io_send(pair.far, 2, 1, NULL, -1);
    send_raw(&pair, "half", 4);
    g_clear_pointer(&pair.far, uv_frame_io_free);
    expect(pair.near, 2, 1, 0);
    expect_result(pair.near, UV_FRAME_CLOSED);
    g_assert_cmpint(uv_frame_io_send(pair.near, 2, 1, NULL, -1), ==, UV_FRAME_CLOSED);
    tear_down(&pair);
}

static void test_descriptor(void)
{
    Pair pair;
    const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    set_up(&pair);
    (void)uv_frame_io_send(pair.far, 2, 1, NULL, -1);
    (void)uv_frame_io_send(pair.far, 2, 2, NULL, fd);
    for (uint64_t i = 1; i <= 2; i++) {
        g_auto(UvFrame) frame = {.fd = -1};
        g_assert_cmpint(uv_frame_io_receive(pair.near, &frame), ==, UV_FRAME_READY);
        g_assert_cmpint(frame.fd >= 0, ==, i == 2);
    }
    uv_frame_io_refuse_descriptors(pair.near);
    (void)uv_frame_io_send(pair.far, 2, 3, NULL, fd);
    g_auto(UvFrame) frame = {.fd = -1};
    g_assert_cmpint(uv_frame_io_receive(pair.near, &frame), ==, UV_FRAME_READY);
    g_assert_cmpint(frame.fd, ==, -1);
    close(fd);
    tear_down(&pair);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/frame/small", test_small);
    g_test_add_func("/frame/byte-by-byte", test_byte_by_byte);
    g_test_add_func("/frame/large", test_large);
    g_test_add_func("/frame/held", test_held);
    g_test_add_func("/frame/held-and-large", test_held_and_large);
    g_test_add_func("/frame/malformed", test_malformed);
    g_test_add_func("/frame/too-large", test_too_large);
    g_test_add_func("/frame/closed", test_closed);
    g_test_add_func("/frame/descriptor", test_descriptor);
    return g_test_run();
}
