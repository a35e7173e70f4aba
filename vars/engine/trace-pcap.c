/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "trace-pcap.h"

#include "bytes.h"
#include "efi-abi.h"
#include "mm.h"

#define KIND_RESET 1u
#define KIND_REQUEST 2u
#define KIND_REPLY 3u
#define KIND_BYTES 4u
/* As the file's header has it: what is longer is cut. */
#define SNAPSHOT_BYTES (64u * 1024)

static void put_u32(GString *out, uint64_t value)
{
    uint8_t bytes[4];

    uv_put_le(bytes, value, sizeof(bytes));
    g_string_append_len(out, (const char *)bytes, sizeof(bytes));
}

static void put_packet(GString *out, int64_t time_us, uint32_t kind, const uint8_t *message,
                       size_t size)
{
    const size_t whole = KIND_BYTES + size, kept = MIN(whole, SNAPSHOT_BYTES);

    put_u32(out, time_us / G_USEC_PER_SEC);
    put_u32(out, time_us % G_USEC_PER_SEC);
    put_u32(out, kept);
    put_u32(out, whole);
    put_u32(out, kind);
    g_string_append_len(out, (const char *)message, kept - KIND_BYTES);
}

/* The header and what it says follows. */
static size_t message_bytes(const uint8_t *buffer, size_t size)
{
    UvReader reader = uv_reader(buffer, size);

    uv_read_bytes(&reader, EFI_MM_HEADER_BYTES - 8);
    const uint64_t length = uv_read_u64(&reader);
    return reader.failed ? size : EFI_MM_HEADER_BYTES + MIN(length, reader.left);
}

bool uv_trace_pcap_takes(const UvTraceCall *call)
{
    return call->device_status != UV_DEVICE_BAD_BUFFER_SIZE &&
           call->device_status != UV_DEVICE_BUSY;
}

void uv_trace_pcap_call(GString *out, const UvTraceCall *call)
{
    gsize size, reply_size;
    const uint8_t *request = g_bytes_get_data(call->request, &size);
    const uint8_t *reply = g_bytes_get_data(call->reply, &reply_size);

    put_packet(out, call->time_us, KIND_REQUEST, request, message_bytes(request, size));
    put_packet(out, call->time_us + call->took_us, KIND_REPLY, reply,
               message_bytes(reply, reply_size));
}

void uv_trace_pcap_reset(GString *out, int64_t time_us)
{
    put_packet(out, time_us, KIND_RESET, NULL, 0);
}
