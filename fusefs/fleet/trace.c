/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The readers of a guest's trace. */

#include "trace-private.h"

#include "json-put.h"

#include <errno.h>
#include <inttypes.h>

#define READERS_MAX 16
#define WAITING_MAX 64
/* Of a pcap file, little endian: magic number, version 2.4, time zone, accuracy, longest packet,
 * link type 302 (EDK2 MM). */
#define PCAP_HEADER                                                                                \
    "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x2e\x01\x00" \
    "\x00"
G_STATIC_ASSERT(sizeof(PCAP_HEADER) - 1 == 24);

static const uint32_t kind_flags[FS_TRACE_KINDS] = {
    [FS_TRACE_LINES] = UV_TRACE_LINES,
    [FS_TRACE_PACKETS] = UV_TRACE_PACKETS,
};

uint32_t trace_wanted(const FsTrace *trace)
{
    uint32_t wanted = 0;

    for (const GList *link = trace->readers.head; link; link = link->next)
        wanted |= kind_flags[((const FsTraceReader *)link->data)->kind];
    return wanted;
}

static size_t backlog(const FsTraceReader *reader)
{
    return fs_trace_cursor_backlog(&reader->cursor, &reader->trace->streams[reader->kind]);
}

size_t trace_backlog(const FsTrace *trace)
{
    size_t least = SIZE_MAX;

    /* Who waits to be open has nothing before it: what comes is read away for the answer. */
    for (const GList *link = trace->readers.head; link; link = link->next) {
        const FsTraceReader *reader = link->data;
        least = MIN(least, reader->opening.go_on ? 0 : backlog(reader));
    }
    return least;
}

/* ---- a trace's life ---- */

static FsTrace *trace_of(FsGuest *guest)
{
    FsLive *live = guest_live(guest);
    FsTrace *trace = live->trace;

    if (trace)
        return trace;
    trace = g_rc_box_new0(FsTrace);
    trace->guest = guest;
    trace->in_fleet.data = trace;
    g_queue_push_tail_link(&guest->fleet->traces, &trace->in_fleet);
    live->trace = trace;
    return trace;
}

static void trace_end(FsTrace *trace)
{
    FsGuest *guest = trace->guest;

    trace_link_clear(trace);
    for (size_t kind = 0; kind < FS_TRACE_KINDS; kind++)
        fs_trace_stream_clear(&trace->streams[kind]);
    g_queue_unlink(&guest->fleet->traces, &trace->in_fleet);
    guest->live->trace = NULL;
    trace->guest = NULL;
    g_rc_box_release(trace);
}

static void tell_ready(FsTraceReader *reader)
{
    if (reader->ready)
        reader->ready(reader->ready_data);
}

static FsTraceWait *pop_wait(FsTraceReader *reader)
{
    FsTraceWait *wait = g_queue_pop_head(&reader->reading);

    if (wait && reader->trace)
        reader->trace->waiting--;
    return wait;
}

static void wait_ends(FsTraceWait *wait, FsGuest *guest, int error)
{
    wait->go_on(guest, error, wait->data);
    g_free(wait);
}

static void open_ends(FsTraceReader *reader, FsGuest *guest, int error)
{
    const FsTraceWait opening = reader->opening;

    reader->opening = (FsTraceWait){0};
    opening.go_on(guest, error, opening.data); /* with an error the reader is gone now */
}

static void end_reader(FsTraceReader *reader)
{
    FsTraceWait *wait;

    reader->trace = NULL;
    fs_trace_cursor_clear(&reader->cursor);
    while ((wait = pop_wait(reader)))
        wait_ends(wait, NULL, ENOENT);
    tell_ready(reader);
    if (reader->opening.go_on)
        open_ends(reader, NULL, ENOENT);
}

void guest_end_trace(FsGuest *guest)
{
    FsTrace *trace = guest->live ? guest->live->trace : NULL;
    GList *link;

    if (!trace)
        return;
    while ((link = g_queue_pop_head_link(&trace->readers)))
        end_reader(link->data);
    trace_end(trace);
}

void traces_end(FsFleet *fleet)
{
    while (fleet->traces.head)
        guest_end_trace(((FsTrace *)fleet->traces.head->data)->guest);
}

/* ---- opening and closing ---- */

static FsTraceReader *reader_new(FsTrace *trace, FsTraceKind kind)
{
    FsTraceReader *reader = g_new0(FsTraceReader, 1);

    reader->trace = trace;
    reader->kind = kind;
    reader->in_trace.data = reader;
    fs_trace_cursor_init(&reader->cursor, &trace->streams[kind]);
    if (kind == FS_TRACE_PACKETS)
        reader->head = g_bytes_new_static(PCAP_HEADER, sizeof(PCAP_HEADER) - 1);
    g_queue_push_tail_link(&trace->readers, &reader->in_trace);
    return reader;
}

FsTraceReader *fs_trace_open(FsGuest *guest, FsTraceKind kind, void (*ready)(void *data),
                             void *data)
{
    FsTrace *trace = trace_of(guest);
    FsTraceReader *reader;

    if (trace->readers.length >= READERS_MAX)
        return NULL;
    reader = reader_new(trace, kind);
    reader->ready = ready;
    reader->ready_data = data;
    reader->opened_by = trace_link_ask(trace);
    return reader;
}

void fs_trace_await(FsTraceReader *reader, void *request, FsContinue go_on, void *data)
{
    FsTrace *trace = reader->trace;

    reader->opening = (FsTraceWait){request, go_on, data};
    reader->opening_to = g_get_monotonic_time() + CALL_DEADLINE_US;
    if (!trace)
        open_ends(reader, NULL, ENOENT);
    else if (trace->refused)
        open_ends(reader, trace->guest, EOPNOTSUPP);
    else if (reader->opened_by <= trace->answered)
        open_ends(reader, trace->guest, 0);
    else {
        trace_link_go_on(trace);
        fleet_due(trace->guest->fleet, reader->opening_to);
    }
}

void trace_opened(FsTrace *trace, int error, uint64_t up_to)
{
    for (GList *link = trace->readers.head, *next; link; link = next) {
        FsTraceReader *reader = link->data;
        next = link->next;
        if (!reader->opening.go_on || reader->opened_by > up_to)
            continue;
        fs_trace_cursor_init(&reader->cursor, &trace->streams[reader->kind]); /* from then on */
        open_ends(reader, trace->guest, error);
    }
}

/* Of those that are left of its kind. */
static void trim(FsTrace *trace, FsTraceKind kind)
{
    uint64_t read_bytes = UINT64_MAX;

    for (const GList *link = trace->readers.head; link; link = link->next) {
        const FsTraceReader *reader = link->data;
        if (reader->kind == kind)
            read_bytes = MIN(read_bytes, reader->cursor.bytes);
    }
    fs_trace_stream_trim(&trace->streams[kind], read_bytes);
}

static void leave_trace(FsTraceReader *reader)
{
    FsTrace *trace = reader->trace;

    if (reader->lost > 0)
        fs_guest_log(trace->guest,
                     "trace.pcap: a reader did not keep up, and lost %" PRIu64 " packets",
                     reader->lost);
    g_queue_unlink(&trace->readers, &reader->in_trace);
    if (!trace->readers.head) {
        trace_end(trace);
        return;
    }
    trim(trace, reader->kind);
    trace_link_update(trace);
    trace_link_go_on(trace);
}

void fs_trace_free(FsTraceReader *reader)
{
    FsTraceWait *wait;

    if (!reader)
        return;
    while ((wait = pop_wait(reader)))
        wait_ends(wait, NULL, ENOENT);
    if (reader->trace)
        leave_trace(reader);
    fs_trace_cursor_clear(&reader->cursor);
    g_clear_pointer(&reader->head, g_bytes_unref);
    g_free(reader);
}

/* ---- reading ---- */

static GBytes *lost_line(uint64_t count)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *seconds = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");
    g_autofree char *time = g_strdup_printf("%s.%06dZ", seconds, g_date_time_get_microsecond(now));
    GString *line = g_string_new(NULL);

    uv_json_begin(line, NULL, '{');
    uv_json_put_text(line, "time", time);
    uv_json_put_text(line, "event", "lost");
    uv_json_put_number(line, "lines", (int64_t)count);
    uv_json_end(line, '}');
    g_string_append_c(line, '\n');
    return g_string_free_to_bytes(line);
}

static GBytes *take_head(FsTraceReader *reader, size_t size)
{
    g_autoptr(GBytes) head = g_steal_pointer(&reader->head);
    const size_t all = g_bytes_get_size(head), taken = MIN(size, all);

    if (taken < all)
        reader->head = g_bytes_new_from_bytes(head, taken, all - taken);
    return g_bytes_new_from_bytes(head, 0, taken);
}

static GBytes *take(FsTraceReader *reader, size_t size)
{
    const FsTraceStream *stream = &reader->trace->streams[reader->kind];
    uint64_t lost = 0;
    GBytes *part = fs_trace_cursor_take(&reader->cursor, stream, size, &lost);

    if (lost == 0)
        return part;
    if (reader->kind == FS_TRACE_LINES) {
        reader->head = lost_line(lost);
        return take_head(reader, size);
    }
    reader->lost += lost;
    return fs_trace_cursor_take(&reader->cursor, stream, size, &lost);
}

GBytes *fs_trace_read(FsTraceReader *reader, size_t size)
{
    if (reader->head)
        return take_head(reader, size);
    if (!reader->trace)
        return NULL;
    GBytes *part = take(reader, size);
    trim(reader->trace, reader->kind);
    trace_link_go_on(reader->trace);
    return part;
}

bool fs_trace_is_readable(const FsTraceReader *reader)
{
    if (reader->head || !reader->trace)
        return reader->head;
    return reader->kind == FS_TRACE_LINES
               ? fs_trace_cursor_has(&reader->cursor, &reader->trace->streams[reader->kind])
               : backlog(reader) > 0;
}

bool fs_trace_is_ended(const FsTraceReader *reader)
{
    return !reader->trace && !reader->head;
}

void fs_trace_wait(FsTraceReader *reader, void *request, FsContinue go_on, void *data)
{
    FsTrace *trace = reader->trace;

    if (!trace) {
        go_on(NULL, ENOENT, data);
        return;
    }
    if (trace->waiting >= WAITING_MAX) {
        go_on(trace->guest, EBUSY, data);
        return;
    }
    FsTraceWait *wait = g_new(FsTraceWait, 1);
    *wait = (FsTraceWait){request, go_on, data};
    g_queue_push_tail(&reader->reading, wait);
    trace->waiting++;
}

static void reader_came(FsTraceReader *reader)
{
    FsTraceWait *wait;

    while (fs_trace_is_readable(reader) && (wait = pop_wait(reader)))
        wait_ends(wait, reader->trace->guest, 0);
    if (fs_trace_is_readable(reader))
        tell_ready(reader);
}

void trace_came(FsTrace *trace, FsTraceKind kind, uint64_t lost, uint32_t count, GBytes *bytes)
{
    if (!(trace_wanted(trace) & kind_flags[kind]))
        return; /* who wanted it has closed */
    fs_trace_stream_add(&trace->streams[kind], lost, count, bytes);
    for (GList *link = trace->readers.head, *next; link; link = next) {
        next = link->next;
        if (((FsTraceReader *)link->data)->kind == kind)
            reader_came(link->data);
    }
}

/* ---- for the fleet ---- */

static bool interrupt(FsTraceReader *reader, const void *request)
{
    if (reader->opening.go_on && reader->opening.request == request) {
        open_ends(reader, reader->trace->guest, EINTR);
        return true;
    }
    for (GList *link = reader->reading.head; link; link = link->next) {
        FsTraceWait *wait = link->data;
        if (wait->request != request)
            continue;
        g_queue_delete_link(&reader->reading, link);
        reader->trace->waiting--;
        wait_ends(wait, reader->trace->guest, EINTR);
        return true;
    }
    return false;
}

bool traces_interrupt(FsFleet *fleet, const void *request)
{
    for (GList *link = fleet->traces.head; link; link = link->next) {
        const FsTrace *trace = link->data;
        for (GList *of_trace = trace->readers.head; of_trace; of_trace = of_trace->next)
            if (interrupt(of_trace->data, request))
                return true;
    }
    return false;
}

/* The engine did not answer. */
static void expire_openings(FsTrace *trace, int64_t now)
{
    for (GList *link = trace->readers.head, *next; link; link = next) {
        FsTraceReader *reader = link->data;
        next = link->next;
        if (!reader->opening.go_on)
            continue;
        if (now >= reader->opening_to)
            open_ends(reader, trace->guest, EIO);
        else
            fleet_due(trace->guest->fleet, reader->opening_to);
    }
}

void traces_tick(FsFleet *fleet, int64_t now)
{
    for (GList *link = fleet->traces.head, *next; link; link = next) {
        FsTrace *trace = g_rc_box_acquire(link->data);
        next = link->next;
        trace_link_tick(trace, now);
        if (trace->guest)
            expire_openings(trace, now);
        g_rc_box_release(trace);
    }
}
