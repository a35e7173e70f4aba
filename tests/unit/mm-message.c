/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "mm-message.h"

#include "fixture.h"

#include "uv-limits.h"

#include <string.h>

void mm_begin(UvWriter *message, const UvGuid *guid)
{
    uv_writer_clear(message);
    *message = uv_writer(2 * UV_MM_BUFFER_MAX);
    uv_write_bytes(message, guid->bytes, sizeof(guid->bytes));
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
    uv_write_bytes(message, guid->bytes, sizeof(guid->bytes));
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
    reply.body = uv_reader(bytes, size);
    uv_read_bytes(&reply.body, MM_STATUS);
    reply.status = uv_read_u64(&reply.body);
    return reply;
}

MmReply mm_call(UvService *service, UvWriter *message)
{
    uv_write_u64_at(message, 16, uv_writer_size(message) - 24);
    g_assert_false(message->failed);
    MmReply reply = mm_call_raw(service, message->bytes, uv_writer_size(message));
    uv_writer_clear(message);
    return reply;
}

void mm_reply_clear(MmReply *reply)
{
    g_clear_pointer(&reply->bytes, g_bytes_unref);
}

UvService *mm_service(void)
{
    UvService *service = fixture_service(NULL);

    g_assert_cmphex(fixture_set(service, "abc", MM_ALL, "12345"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "bs",
                                EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS, "b"),
                    ==, EFI_SUCCESS);
    return service;
}

void mm_assert_status(const MmReply *reply, uint64_t expected)
{
    g_assert_cmphex(reply->device, ==, UV_DEVICE_SUCCESS);
    if (expected == MM_IGNORED)
        g_assert_true(reply->unchanged);
    else
        g_assert_cmphex(reply->status, ==, expected);
}

void mm_assert_ascii(UvReader *reader, const char *expected)
{
    for (const char *c = expected; *c; c++)
        g_assert_cmpint(uv_read_u16(reader), ==, *c);
    g_assert_cmpint(uv_read_u16(reader), ==, 0);
}
