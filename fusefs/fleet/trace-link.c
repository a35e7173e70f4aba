/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A trace's connection to the engine, beside the one that the replica follows: HELLO, then TRACE
 * each time that something else is wanted, and TRACED from the engine. It is made when the engine's
 * first connection is, made again when it breaks, and broken when the engine ends. What comes is
 * as hostile as all that an engine sends; the pieces are passed on unread.
 */

#include "trace-private.h"

#include "fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* What the fastest reader may have before it while the connection is read. */
#define BACKLOG_MAX (256u * 1024)
/* Taken at a time: the others get their turn. */
#define FRAMES_A_TURN 64
#define BYTES_A_TURN (256u * 1024)
/* No engine lives that long. */
#define LOST_MAX (UINT64_C(1) << 48)

static void on_ready(void *data, uint32_t events);

static uint32_t frame_cap(uint16_t type, void *data)
{
    switch (type) {
    case UV_WIRE_REPLY | UV_HOST_HELLO:
    case UV_WIRE_REPLY | UV_HOST_TRACE:
    case UV_WIRE_REPLY | UV_WIRE_ERROR:
        return 4096;
    case UV_HOST_TRACED:
        return UV_HOST_TRACED_MAX;
    default:
        return 0;
    }
}

static FsEngine *engine_of(const FsTrace *trace)
{
    return trace->guest->live->engine;
}

/* ---- the connection ---- */

void trace_link_clear(FsTrace *trace)
{
    /* Who waits to be open waits for the first TRACE of the next one. */
    for (GList *link = trace->readers.head; link; link = link->next) {
        FsTraceReader *reader = link->data;
        reader->opened_by = MIN(reader->opened_by, 1);
    }
    fs_watch_remove(&trace->watch);
    g_clear_pointer(&trace->io, uv_frame_io_free);
    trace->sent = trace->answered = 0;
    trace->wanted = 0;
}

/* It is made again in a while, if the engine lives: it hangs up on who sends it nonsense, and when
 * it has too many connections. */
static void lose(FsTrace *trace)
{
    trace_link_clear(trace);
    if (!engine_of(trace))
        return;
    trace->connect_at = g_get_monotonic_time() + RECONNECT_US;
    fleet_due(trace->guest->fleet, trace->connect_at);
}

static void watch(FsTrace *trace, uint32_t events)
{
    if (trace->watched == events)
        return;
    trace->watched = events;
    fs_watch_modify(&trace->watch, events);
}

/* An engine that reads none of many does not get more: they are for the next connection. */
static void send_frame(FsTrace *trace, uint16_t type, GBytes *payload)
{
    if (trace->io &&
        uv_frame_io_send(trace->io, type, ++trace->cookie, payload, -1) == UV_FRAME_NONE)
        lose(trace);
}

static void send_wanted(FsTrace *trace)
{
    trace->wanted = trace_wanted(trace);
    trace->sent++;
    g_auto(UvWriter) writer = uv_writer(4);
    uv_write_u32(&writer, trace->wanted);
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    send_frame(trace, UV_HOST_TRACE, payload);
}

static void connected(FsTrace *trace, int fd)
{
    g_autoptr(GBytes) hello = host_hello();

    trace->io = uv_frame_io_new(fd, frame_cap, NULL);
    uv_frame_io_refuse_descriptors(trace->io);
    trace->watched = EPOLLIN;
    trace->sent = trace->answered = 0;
    fs_watch_add(&trace->watch, trace->guest->fleet->poll, fd, EPOLLIN, on_ready, trace);
    send_frame(trace, UV_HOST_HELLO, hello);
    send_wanted(trace);
}

static void on_connected(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS],
                         void *data)
{
    FsTrace *trace = guest->live->trace;

    if (trace)
        trace->asked = false;
    if (trace && !trace->io && answer->error == 0 && fds[0] >= 0)
        connected(trace, uv_fd_steal(&fds[0]));
    else if (trace && !trace->io && answer->error != -ECANCELED)
        lose(trace);
}

static void connect_engine(FsTrace *trace)
{
    FsGuest *guest = trace->guest;
    FsQuestion question = fs_question(FS_ASK_CONNECT, guest->name);

    trace->asked = true;
    trace->connect_at = 0;
    guest_ask(guest, &question, NULL, 0, on_connected, NULL);
}

void trace_link_update(FsTrace *trace)
{
    const FsEngine *engine = engine_of(trace);

    if (!engine || trace->refused)
        return;
    if (trace->io && trace->wanted != trace_wanted(trace))
        send_wanted(trace);
    else if (!trace->io && engine->io && !trace->asked && trace->connect_at == 0)
        connect_engine(trace);
}

uint64_t trace_link_ask(FsTrace *trace)
{
    if (!engine_of(trace) || trace->refused)
        return 0;
    /* Also if the same is wanted: the answer parts what was before from what comes. */
    if (trace->io)
        send_wanted(trace);
    else
        trace_link_update(trace);
    return MAX(trace->sent, 1);
}

void trace_engine_connected(FsGuest *guest)
{
    if (guest->live->trace)
        trace_link_update(guest->live->trace);
}

void trace_engine_gone(FsGuest *guest)
{
    FsTrace *trace = guest->live->trace;

    if (!trace)
        return;
    trace->refused = false;
    trace->connect_at = 0;
    trace_opened(trace, 0, UINT64_MAX); /* for the next one */
}

/* ---- what comes ---- */

static bool take_traced(FsTrace *trace, GBytes *payload)
{
    UvReader reader = uv_reader_of(payload);
    const size_t size = reader.left;
    const uint32_t kind = uv_read_u32(&reader);
    const uint64_t lost = uv_read_u64(&reader);
    const uint32_t count = uv_read_u32(&reader);
    if (reader.failed || (kind != UV_TRACE_LINES && kind != UV_TRACE_PACKETS) || lost > LOST_MAX ||
        count > reader.left || (count == 0) != (reader.left == 0))
        return false;
    g_autoptr(GBytes) pieces = g_bytes_new_from_bytes(payload, size - reader.left, reader.left);
    trace_came(trace, kind == UV_TRACE_LINES ? FS_TRACE_LINES : FS_TRACE_PACKETS, lost, count,
               pieces);
    return true;
}

static bool take_error(FsTrace *trace, GBytes *payload)
{
    UvReader reader = uv_reader_of(payload);

    if (uv_read_u32(&reader) != UV_WIRE_E_UNKNOWN_TYPE)
        return false;
    trace->refused = true;
    trace_opened(trace, EOPNOTSUPP, UINT64_MAX);
    return true;
}

static bool take_frame(FsTrace *trace, const UvFrame *frame)
{
    switch (frame->type) {
    case UV_HOST_TRACED:
        return take_traced(trace, frame->payload);
    case UV_WIRE_REPLY | UV_HOST_TRACE:
        trace->answered = MIN(trace->answered + 1, trace->sent);
        trace_opened(trace, 0, trace->answered);
        return true;
    case UV_WIRE_REPLY | UV_WIRE_ERROR:
        return take_error(trace, frame->payload);
    default:
        return true; /* HELLO's: the other connection has checked it */
    }
}

static bool is_full(const FsTrace *trace)
{
    return trace_backlog(trace) >= BACKLOG_MAX;
}

/* Takes what is there, while a reader wants it; what is buffered is taken in the next turn. */
static void receive(FsTrace *trace, bool even_if_full)
{
    UvFrameResult result = UV_FRAME_NONE;

    uv_frame_io_allow(trace->io, BYTES_A_TURN);
    for (int i = 0; i < FRAMES_A_TURN && (even_if_full || !is_full(trace)); i++) {
        g_auto(UvFrame) frame = {.fd = -1};
        result = uv_frame_io_receive(trace->io, &frame);
        if (result != UV_FRAME_READY)
            break;
        const bool good = take_frame(trace, &frame);
        if (!trace->guest || !trace->io)
            return; /* its last reader is gone */
        if (!good) {
            result = UV_FRAME_MALFORMED;
            break;
        }
    }
    if (result == UV_FRAME_CLOSED || result == UV_FRAME_MALFORMED) {
        lose(trace);
        return;
    }
    watch(trace, is_full(trace) ? 0 : EPOLLIN);
    trace_link_go_on(trace);
}

static void on_ready(void *data, uint32_t events)
{
    FsTrace *trace = g_rc_box_acquire(data);
    FsFleet *fleet = trace->guest->fleet;

    receive(trace, events & (EPOLLHUP | EPOLLERR));
    g_rc_box_release(trace);
    fleet_dispatch(fleet);
}

void trace_link_go_on(FsTrace *trace)
{
    if (!trace->io || is_full(trace))
        return;
    watch(trace, EPOLLIN);
    if (uv_frame_io_has_buffered(trace->io))
        fleet_due(trace->guest->fleet, g_get_monotonic_time()); /* the socket won't tell of that */
}

void trace_link_tick(FsTrace *trace, int64_t now)
{
    if (trace->io) {
        if (uv_frame_io_has_buffered(trace->io) && !is_full(trace))
            receive(trace, false);
        return;
    }
    if (trace->connect_at == 0)
        return;
    if (now < trace->connect_at) {
        fleet_due(trace->guest->fleet, trace->connect_at);
        return;
    }
    trace->connect_at = 0;
    trace_link_update(trace);
}
