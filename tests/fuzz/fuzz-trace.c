/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * An engine that was taken over, and sends any frames where a trace is awaited. An input is a list
 * of frames: a byte for the type, u16 length, and the payload; what is left over is sent raw.
 * Whatever comes, what is kept for readers stays below its limit, and they get to its end.
 */

#include "fuzz.h"

#include "fake-source.h"
#include "trace-private.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint16_t types[] = {
    UV_HOST_TRACED,
    UV_WIRE_REPLY | UV_HOST_TRACE,
    UV_WIRE_REPLY | UV_HOST_HELLO,
    UV_WIRE_REPLY | UV_WIRE_ERROR,
    UV_HOST_CHANGED,
};

static void opened(FsGuest *guest, int error, void *data)
{
    CHECK(!*(bool *)data);
    *(bool *)data = true;
}

static void read_all(FsTraceReader *reader)
{
    GBytes *part;

    while ((part = fs_trace_read(reader, 100))) {
        CHECK(g_bytes_get_size(part) > 0 && g_bytes_get_size(part) <= 100);
        g_bytes_unref(part);
    }
    CHECK(!fs_trace_is_readable(reader));
}

static void check(FsGuest *guest)
{
    const FsTrace *trace = guest->live->trace;

    CHECK(trace->answered <= trace->sent);
    for (size_t kind = 0; kind < FS_TRACE_KINDS; kind++)
        CHECK(trace->streams[kind].kept_bytes <= 2 * UV_HOST_TRACED_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FsFleet *fleet = fake_fleet();
    FsGuest *guest = fs_fleet_next(fleet, 0);
    bool is_open[FS_TRACE_KINDS] = {false};
    FsTraceReader *readers[FS_TRACE_KINDS];
    int fds[2], main_fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, main_fds) == 0);
    FsEngine *engine = fake_engine(fleet, main_fds[0]);
    for (FsTraceKind kind = 0; kind < FS_TRACE_KINDS; kind++) {
        readers[kind] = fs_trace_open(guest, kind, NULL, NULL);
        fs_trace_await(readers[kind], NULL, opened, &is_open[kind]);
    }
    g_autoptr(GBytes) bytes = fake_frames(types, G_N_ELEMENTS(types), data, size);
    if (bytes && g_bytes_get_size(bytes) > 0)
        (void)!write(fds[1], g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    fake_answer_all(fleet, fds[0]);
    for (int turn = 0; turn < 64 && guest->live->trace->io; turn++) {
        FsTrace *trace = guest->live->trace;
        trace->watch.ready(trace, EPOLLIN | (turn > 8 ? EPOLLHUP : 0));
        if (turn == 8)
            shutdown(fds[1], SHUT_RDWR);
        check(guest);
    }
    CHECK(!guest->live->trace->io);
    engine_gone(engine);
    for (FsTraceKind kind = 0; kind < FS_TRACE_KINDS; kind++) {
        CHECK(is_open[kind]);
        read_all(readers[kind]);
        fs_trace_free(readers[kind]);
    }
    CHECK(!guest->live->trace);
    close(fds[1]);
    close(main_fds[1]);
    fake_answer_all(fleet, -1);
    fleet_dispatch(fleet);
    return 0;
}
