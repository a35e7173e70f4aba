/* SPDX-License-Identifier: GPL-2.0-or-later */
/* EfiSmmVariableProtocol messages in the communicate buffer. */
#include "guest.h"

#define HEADER 24u             /* GUID, u64 length */
#define BODY (HEADER + 16u)    /* u64 function, u64 status */
#define NAME (BODY + 36u)      /* GUID, u64 data size, u64 name size, u32 attributes */
#define NEXT_NAME (BODY + 24u) /* GUID, u64 name size */
#define GET_ROOM 16384u

#define FUNCTION_GET 1
#define FUNCTION_NEXT 2
#define FUNCTION_SET 3
#define FUNCTION_QUERY 4

static const uint8_t variable_guid[16] = {0x33, 0xd5, 0x32, 0xed, 0xe6, 0x99, 0x09, 0x42,
                                          0x9c, 0xc0, 0x2d, 0x72, 0xcd, 0xd9, 0x98, 0xa7};
const uint8_t test_guid[16] = {0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0xf0, 0xde,
                               0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};

static void put(uint32_t at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        buffer[at + i] = value >> (8 * i);
}

static uint64_t take(uint32_t at, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)buffer[at + i] << (8 * i);
    return value;
}

/* The bytes of `name` in UCS-2 with its NUL, written at `at`. */
static uint32_t put_name(uint32_t at, const char *name)
{
    uint32_t units = 0;

    do
        put(at + 2 * units++, (uint8_t)*name, 2);
    while (*name++);
    return units * 2;
}

static void begin(const uint8_t *guid, uint64_t function)
{
    __builtin_memcpy(buffer, guid, 16);
    put(HEADER, function, 8);
    put(HEADER + 8, 0, 8);
}

static uint64_t send(uint32_t end)
{
    uint32_t status;

    put(16, end - HEADER, 8);
    status = device_call(end);
    return status ? DEVICE_FAILED | status : take(HEADER + 8, 8);
}

uint64_t variable_set(const char *name, uint32_t attributes, const void *data, uint32_t bytes)
{
    uint32_t name_bytes;

    begin(variable_guid, FUNCTION_SET);
    __builtin_memcpy(buffer + BODY, test_guid, 16);
    name_bytes = put_name(NAME, name);
    put(BODY + 16, bytes, 8);
    put(BODY + 24, name_bytes, 8);
    put(BODY + 32, attributes, 4);
    __builtin_memcpy(buffer + NAME + name_bytes, data, bytes);
    return send(NAME + name_bytes + bytes);
}

uint64_t variable_get(const uint8_t *guid, const char *name, uint32_t *attributes,
                      const uint8_t **data, uint32_t *bytes)
{
    uint32_t name_bytes;
    uint64_t status;

    begin(variable_guid, FUNCTION_GET);
    __builtin_memcpy(buffer + BODY, guid, 16);
    name_bytes = put_name(NAME, name);
    put(BODY + 16, GET_ROOM, 8);
    put(BODY + 24, name_bytes, 8);
    put(BODY + 32, 0, 4);
    status = send(NAME + name_bytes + GET_ROOM);
    *attributes = take(BODY + 32, 4);
    *bytes = take(BODY + 16, 8);
    *data = buffer + NAME + name_bytes;
    return status;
}

uint64_t variable_next(Variable *at)
{
    uint64_t status;

    begin(variable_guid, FUNCTION_NEXT);
    __builtin_memcpy(buffer + BODY, at->guid, 16);
    put(BODY + 16, sizeof(at->name), 8);
    __builtin_memcpy(buffer + NEXT_NAME, at->name, sizeof(at->name));
    status = send(NEXT_NAME + sizeof(at->name));
    if (status)
        return status;
    __builtin_memcpy(at->guid, buffer + BODY, 16);
    __builtin_memcpy(at->name, buffer + NEXT_NAME, sizeof(at->name));
    return 0;
}

uint64_t variable_query(uint32_t attributes)
{
    begin(variable_guid, FUNCTION_QUERY);
    __builtin_memset(buffer + BODY, 0, 24);
    put(BODY + 24, attributes, 4);
    return send(BODY + 28);
}

uint64_t event_send(const char *which)
{
    static const struct {
        const char *name;
        uint8_t guid[16];
    } events[] = {
        {"end-of-dxe",
         {0x7a, 0x96, 0xce, 0x02, 0x7e, 0xdd, 0xfc, 0x4f, 0x9e, 0xe7, 0x81, 0x0c, 0xf0, 0x47, 0x08,
          0x80}},
        {"ready-to-boot",
         {0xb3, 0x8f, 0xe8, 0x7c, 0xd7, 0x4b, 0x79, 0x46, 0x87, 0xa8, 0xa8, 0xd8, 0xde, 0xe5, 0x0d,
          0x2b}},
        {"exit-boot-services",
         {0x55, 0xf0, 0xab, 0x27, 0xb8, 0xb1, 0x26, 0x4c, 0x80, 0x48, 0x74, 0x8f, 0x37, 0xba, 0xa2,
          0xdf}},
    };

    for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        uint32_t status;

        if (!equal(which, events[i].name))
            continue;
        __builtin_memcpy(buffer, events[i].guid, 16);
        put(16, 0, 8);
        status = device_call(HEADER);
        return status ? DEVICE_FAILED | status : 0;
    }
    return DEVICE_FAILED | 0xff;
}
