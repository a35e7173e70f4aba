/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "mm-message.h"

#include "uv-limits.h"

#include <string.h>

void mm_begin(UvWriter *message, const UvGuid *guid)
{
    uv_writer_clear(message);
    uv_writer_init(message, 2 * UV_MM_BUFFER_MAX);
    uv_write_bytes(message, guid->bytes, sizeof guid->bytes);
    uv_write_u64(message, 0);
}

void mm_begin_function(UvWriter *message, uint64_t function)
{
    mm_begin(message, &uv_guid_smm_variable_protocol);
    uv_write_u64(message, function);
    uv_write_u64(message, 0x1122334455667788);
}

size_t mm_write_name(UvWriter *message, const char *ascii)
{
    const size_t units = strlen(ascii) + 1;

    for (size_t i = 0; i < units; i++)
        uv_write_u16(message, (uint8_t)ascii[i]);
    return 2 * units;
}

void mm_write_access(UvWriter *message, const UvGuid *guid, uint64_t data_bytes,
                     uint64_t name_bytes, uint32_t attributes)
{
    uv_write_bytes(message, guid->bytes, sizeof guid->bytes);
    uv_write_u64(message, data_bytes);
    uv_write_u64(message, name_bytes);
    uv_write_u32(message, attributes);
}

MmReply mm_call_raw(UvService *service, const void *request, size_t size)
{
    uint8_t *exact = g_malloc(size ? size : 1); /* so that a sanitizer sees its end */
    MmReply reply = {0};
    gsize reply_size;

    if (size)
        memcpy(exact, request, size);
    reply.bytes = uv_mm_handle(service, exact, size, &reply.device);
    const uint8_t *bytes = g_bytes_get_data(reply.bytes, &reply_size);
    g_assert_cmpuint(reply_size, ==, size);
    g_assert_true(size == 0 || memcmp(exact, request, size) == 0);
    reply.unchanged = size == 0 || memcmp(bytes, exact, size) == 0;
    g_free(exact);
    uv_reader_init(&reply.body, bytes, size);
    uv_read_bytes(&reply.body, MM_STATUS);
    reply.status = uv_read_u64(&reply.body);
    return reply;
}

MmReply mm_call(UvService *service, UvWriter *message)
{
    uv_write_u64_at(message, 16, uv_writer_size(message) - 24);
    g_assert_false(message->failed);
    MmReply reply = mm_call_raw(service, message->bytes->data, uv_writer_size(message));
    uv_writer_clear(message);
    return reply;
}

void mm_reply_clear(MmReply *reply)
{
    g_clear_pointer(&reply->bytes, g_bytes_unref);
}
