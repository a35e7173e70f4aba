/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What the guest does, told to host connections while it does it.
 *
 * While no host reads one, nothing is made. A line (and packets) is made when the reply has left,
 * so it costs the guest what of it its own next step does not cover; lines are collected, and sent
 * some milliseconds after the first of them, or when they are many, so that a boot's burst of
 * requests wakes the reader seldom. A connection that is far behind is told nothing until it has
 * taken what is queued: what happens meanwhile is counted, and not even made. So a reader costs
 * about half a mebibyte here, and no guest waits for it.
 */

#include "server-internal.h"

#include <string.h>

#include "trace-pcap.h"

#define COLLECT_US 5000
/* A burst of requests with large buffers, as packets, that the front takes away a moment later. */
#define QUEUED_BYTES_MAX (512u * 1024)
/* Sent at once. */
#define COLLECT_BYTES (32u * 1024)
/* With one request's lines and packets on top, a frame. */
G_STATIC_ASSERT(COLLECT_BYTES + 2 * UV_WIRE_MM_MAX + 4096 < UV_HOST_TRACED_MAX);
/* Of a policy's description: a guest chooses the name in it. */
#define POLICY_TEXT_MAX 1000u

typedef struct {
    GString *bytes; /* NULL: not wanted */
    uint32_t count; /* lines or packets in `bytes` */
    uint64_t lost;  /* before the first of them */
} Collected;

enum {
    LINES,
    PACKETS,
    KINDS,
};

static const uint32_t kind_flags[KINDS] = {UV_TRACE_LINES, UV_TRACE_PACKETS};

struct UvTrace {
    Collected kinds[KINDS];
};

static void set_wanted(Collected *collected, bool wanted)
{
    if (wanted && !collected->bytes) {
        collected->bytes = g_string_sized_new(COLLECT_BYTES);
    } else if (!wanted && collected->bytes) {
        g_string_free(collected->bytes, TRUE);
        *collected = (Collected){0};
    }
}

void uv_trace_free(UvTrace *trace)
{
    if (!trace)
        return;
    for (size_t i = 0; i < KINDS; i++)
        set_wanted(&trace->kinds[i], false);
    g_free(trace);
}

/* ---- sending ---- */

static bool is_blocked(const UvConn *conn)
{
    return uv_frame_io_queued_bytes(conn->io) > QUEUED_BYTES_MAX;
}

/* false: it is gone. */
static bool send_kind(UvConn *conn, size_t kind)
{
    Collected *collected = &conn->trace->kinds[kind];

    if (is_blocked(conn) || (collected->count == 0 && collected->lost == 0))
        return true;
    g_auto(UvWriter) writer = uv_writer(UV_HOST_TRACED_MAX);
    uv_write_u32(&writer, kind_flags[kind]);
    uv_write_u64(&writer, collected->lost);
    uv_write_u32(&writer, collected->count);
    uv_write_bytes(&writer, collected->bytes->str, collected->bytes->len);
    g_autoptr(GBytes) payload = uv_writer_steal(&writer);
    g_string_truncate(collected->bytes, 0);
    collected->count = 0;
    collected->lost = 0;
    return uv_conn_send_event(conn, UV_HOST_TRACED, payload);
}

/* Of a connection that is open. */
static void send_all(UvConn *conn)
{
    for (size_t kind = 0; kind < KINDS; kind++)
        if (conn->trace && conn->trace->kinds[kind].bytes && !send_kind(conn, kind))
            return;
}

void uv_trace_flush(UvServer *server)
{
    g_autoptr(GPtrArray) hosts = g_ptr_array_copy(server->hosts, NULL, NULL);

    server->trace_due_us = 0;
    for (guint i = 0; i < hosts->len; i++) {
        UvConn *conn = hosts->pdata[i];
        if (!conn->closed && conn->trace)
            send_all(conn);
    }
}

void uv_trace_tick(UvServer *server, int64_t now)
{
    if (server->trace_due_us != 0 && now >= server->trace_due_us)
        uv_trace_flush(server);
}

void uv_trace_drained(UvConn *conn)
{
    for (size_t kind = 0; kind < KINDS; kind++)
        if (!conn->closed && conn->trace && conn->trace->kinds[kind].lost > 0)
            send_all(conn);
}

/* ---- collecting ---- */

typedef void (*Make)(GString *out, const void *data);

/* `make` adds `count` lines or packets to what is collected, where a host takes them. */
static void tell(UvServer *server, size_t kind, unsigned count, Make make, const void *data)
{
    /* From the last: one that is closed meanwhile leaves the list. */
    for (guint i = server->hosts->len; i-- > 0;) {
        UvConn *conn = server->hosts->pdata[i];
        Collected *collected = conn->trace ? &conn->trace->kinds[kind] : NULL;

        if (!collected || !collected->bytes)
            continue;
        if (is_blocked(conn)) {
            collected->lost += count;
            continue;
        }
        make(collected->bytes, data);
        collected->count += count;
        if (server->trace_due_us == 0)
            server->trace_due_us = g_get_monotonic_time() + COLLECT_US;
        if (collected->bytes->len >= COLLECT_BYTES)
            send_kind(conn, kind);
    }
}

static void make_call_line(GString *out, const void *call)
{
    uv_trace_line_call(out, call);
}

static void make_call_packets(GString *out, const void *call)
{
    uv_trace_pcap_call(out, call);
}

static void make_event_line(GString *out, const void *event)
{
    uv_trace_line_event(out, event);
}

static void make_reset_packet(GString *out, const void *time_us)
{
    uv_trace_pcap_reset(out, *(const int64_t *)time_us);
}

void uv_trace_event(UvServer *server, const char *event)
{
    UvTraceEvent what = {.time_us = g_get_real_time(), .event = event};

    if (server->traces == 0)
        return;
    if (server->session_alive) {
        what.session_id = server->session.id;
        what.session_id_bytes = sizeof(server->session.id);
        what.client = server->session.name;
    }
    tell(server, LINES, 1, make_event_line, &what);
    uv_server_rearm(server);
}

void uv_trace_reset(UvServer *server)
{
    const int64_t now_us = g_get_real_time();

    uv_trace_event(server, "reset");
    tell(server, PACKETS, 1, make_reset_packet, &now_us);
}

/* ---- requests ---- */

void uv_trace_begin(const UvServer *server, UvTraceBefore *ret_before)
{
    UvPolicy *policy = uv_service_policy(server->service);

    *ret_before = (UvTraceBefore){
        .time_us = g_get_real_time(),
        .began_us = g_get_monotonic_time(),
        .phase = *uv_service_phase(server->service),
        .policies = uv_policy_count(policy),
        .policy_locked = uv_policy_is_locked(policy),
    };
}

static void tell_phase(UvServer *server, const UvTraceBefore *before, const char *phase)
{
    const UvTraceEvent event = {.time_us = before->time_us, .event = "phase", .phase = phase};

    tell(server, LINES, 1, make_event_line, &event);
}

static void tell_phases(UvServer *server, const UvTraceBefore *before)
{
    const UvPhase *phase = uv_service_phase(server->service);

    if (phase->end_of_dxe && !before->phase.end_of_dxe)
        tell_phase(server, before, "end-of-dxe");
    if (phase->ready_to_boot && !before->phase.ready_to_boot)
        tell_phase(server, before, "ready-to-boot");
    if (phase->exit_boot_services && !before->phase.exit_boot_services)
        tell_phase(server, before, "runtime");
}

/* A request adds one policy, at the end, if any. */
static void tell_policies(UvServer *server, const UvTraceBefore *before)
{
    const UvPolicy *policy = uv_service_policy(server->service);
    UvTraceEvent event = {.time_us = before->time_us, .event = "policy"};

    if (uv_policy_count(policy) > before->policies) {
        g_autofree char *text = uv_policy_describe(policy, uv_policy_count(policy) - 1);
        if (strlen(text) > POLICY_TEXT_MAX)
            text[POLICY_TEXT_MAX] = '\0';
        event.policy = text;
        tell(server, LINES, 1, make_event_line, &event);
    }
    if (uv_policy_is_locked(policy) && !before->policy_locked) {
        event = (UvTraceEvent){.time_us = before->time_us, .event = "policy-lock"};
        tell(server, LINES, 1, make_event_line, &event);
    }
}

void uv_trace_end(UvServer *server, const UvTraceBefore *before, GBytes *request, GBytes *reply,
                  uint32_t device_status)
{
    const UvTraceCall call = {
        .time_us = before->time_us,
        .took_us = g_get_monotonic_time() - before->began_us,
        .request = request,
        .reply = reply,
        .device_status = device_status,
    };

    tell(server, LINES, 1, make_call_line, &call);
    if (uv_trace_pcap_takes(&call))
        tell(server, PACKETS, UV_TRACE_PCAP_CALL, make_call_packets, &call);
    tell_phases(server, before);
    tell_policies(server, before);
}

/* ---- who listens ---- */

void uv_host_trace_frame(UvConn *conn, const UvFrame *frame)
{
    UvServer *server = conn->server;
    UvReader reader = uv_reader_of(frame->payload);
    const uint32_t wanted = uv_read_u32(&reader);
    if (!uv_reader_done(&reader) || wanted > (UV_TRACE_LINES | UV_TRACE_PACKETS)) {
        uv_conn_refuse(conn, frame->cookie, UV_WIRE_E_MALFORMED, "malformed payload");
        return;
    }
    if (!conn->trace) {
        conn->trace = g_new0(UvTrace, 1);
        server->traces++;
    }
    send_all(conn); /* what was before goes before the reply */
    for (size_t kind = 0; kind < KINDS; kind++)
        set_wanted(&conn->trace->kinds[kind], wanted & kind_flags[kind]);
    uv_conn_reply(conn, frame, NULL);
    uv_server_admit_guests(server);
}
