/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A guest that sends any messages. An input is a byte for the phase to begin in, then messages: a
 * byte for the kind (variable protocol, policy, or a raw buffer), u16 length, and the bytes. After
 * each one the service must still be one: sums right, no read-only variable of its own gone, and
 * its session readable by a successor. What a trace tells of it is one line of JSON.
 */

#include "fuzz.h"

#include "json-gate.h"
#include "mm.h"
#include "trace-pcap.h"
#include "uv-limits.h"
#include "wire.h"

#include <string.h>

enum {
    KIND_VARIABLE,
    KIND_POLICY,
    KIND_RAW,
    KINDS,
};

static UvService *service_in_phase(uint8_t phase)
{
    const UvServiceConfig config = {.size_bytes = 16384};
    UvService *service = uv_service_new(&config, NULL);

    (void)!uv_service_cold_start(service);
    if (phase & 1)
        (void)!uv_service_end_of_dxe(service);
    if (phase & 2)
        (void)!uv_service_exit_boot_services(service);
    return service;
}

static void write_header(UvWriter *message, uint8_t kind, size_t size)
{
    const UvGuid *guid =
        kind % KINDS == KIND_VARIABLE ? &uv_guid_smm_variable_protocol : &uv_guid_var_check_policy;

    if (kind % KINDS == KIND_RAW)
        return;
    uv_write_bytes(message, guid->bytes, sizeof(guid->bytes));
    uv_write_u64(message, size);
}

static void check_sums(const UvService *service)
{
    const UvVarset *set = uv_service_variables(service);
    size_t used[2] = {0, 0}, n = 0;

    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v), n++) {
        used[uv_variable_is_nv(v)] += uv_variable_record_bytes(v);
        CHECK(!(v->attributes & EFI_VARIABLE_APPEND_WRITE));
        CHECK(uv_name_size_bytes(v->name) + g_bytes_get_size(v->data) <= UV_VARIABLE_MAX);
    }
    CHECK(n == uv_varset_count(set));
    CHECK(used[0] == uv_varset_used_bytes(set, false));
    CHECK(used[1] == uv_varset_used_bytes(set, true));
    CHECK(used[1] <= uv_service_config(service)->size_bytes);
}

static GBytes *session_of(const UvService *service)
{
    g_auto(UvWriter) writer = uv_writer(UV_WIRE_BLOB_MAX);

    uv_service_write_session(service, &writer);
    return uv_writer_steal(&writer);
}

/* A successor that has the store's variables takes the session over, and would hand on the same. */
static void check_session(const UvService *service)
{
    const UvVarset *set = uv_service_variables(service);
    g_autoptr(GPtrArray) stored = g_ptr_array_new();
    g_autoptr(UvService) successor = uv_service_new(uv_service_config(service), NULL);
    g_autoptr(GBytes) before = session_of(service);

    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        if (uv_variable_is_nv(v))
            g_ptr_array_add(stored, (gpointer)v);
    }
    CHECK(before);
    uv_service_load(successor, stored);
    UvReader reader = uv_reader(g_bytes_get_data(before, NULL), g_bytes_get_size(before));
    CHECK(uv_service_read_session(successor, &reader));
    CHECK(uv_reader_done(&reader));
    CHECK(uv_varset_count(uv_service_variables(successor)) == uv_varset_count(set));
    g_autoptr(GBytes) after = session_of(successor);
    CHECK(after && g_bytes_get_size(after) == g_bytes_get_size(before));
}

static void check_trace(GBytes *request, GBytes *reply, uint32_t device)
{
    const UvTraceCall call = {.request = request, .reply = reply, .device_status = device};
    g_autoptr(GString) line = g_string_new(NULL), packets = g_string_new(NULL);
    UvJsonFault fault;

    uv_trace_line_call(line, &call);
    CHECK(line->len < 8192 && memchr(line->str, '\n', line->len) == line->str + line->len - 1);
    CHECK(uv_json_check(&uv_json_status, line->str, line->len, &fault));
    if (uv_trace_pcap_takes(&call))
        uv_trace_pcap_call(packets, &call);
}

static void send(UvService *service, uint8_t kind, UvReader body)
{
    uint32_t device;
    g_auto(UvWriter) message = uv_writer(2 * UV_MM_BUFFER_MAX);

    write_header(&message, kind, body.left);
    uv_write_bytes(&message, body.at, body.left);
    const size_t size = uv_writer_size(&message);
    g_autoptr(GBytes) request = uv_writer_steal(&message);
    g_autoptr(GBytes) reply = uv_mm_handle(service, g_bytes_get_data(request, NULL), size, &device);
    CHECK(g_bytes_get_size(reply) == size);
    CHECK(device != UV_DEVICE_UNKNOWN_ERROR);
    check_sums(service);
    check_trace(request, reply, device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    UvReader reader = uv_reader(data, size);

    g_autoptr(UvService) service = service_in_phase(uv_read_u8(&reader));
    for (int n = 0; n < 32 && reader.left > 0; n++) {
        const uint8_t kind = uv_read_u8(&reader);
        const size_t length = uv_read_u16(&reader);
        send(service, kind, uv_read_sub(&reader, MIN(length, reader.left)));
    }
    check_session(service);
    return 0;
}
