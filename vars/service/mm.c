/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What edk2's SmmVariableHandler (VariableSmm.c) does with a communicate buffer. The reply begins
 * as a copy of the request; each function overwrites its own fields there, through checked writes.
 * Bounds are those of the message (the header's length), not of the buffer behind it.
 *
 * edk2 drops a message that is too short for its function without a status: such a request comes
 * back as it was. What it answers with ACCESS_DENIED is answered so here.
 */

#include "mm.h"

#include "uv-limits.h"
#include "varcheck.h"

#include <string.h>

/* Offsets in the communicate buffer. */
enum {
    BODY = EFI_MM_HEADER_BYTES + EFI_MM_VARIABLE_HEADER_BYTES,
    STATUS = EFI_MM_HEADER_BYTES + 8,
    ACCESS_DATA_SIZE = BODY + 16,
    ACCESS_ATTRIBUTES = BODY + 32,
    ACCESS_NAME = BODY + EFI_MM_ACCESS_BYTES,
    NEXT_GUID = BODY,
    NEXT_NAME_SIZE = BODY + 16,
    NEXT_NAME = BODY + EFI_MM_NEXT_BYTES,
    QUERY_MAXIMUM_STORAGE = BODY,
    QUERY_REMAINING_STORAGE = BODY + 8,
    QUERY_MAXIMUM_VARIABLE = BODY + 16,
    PROPERTY_VALUE = BODY + 24, /* behind GUID and u64 name size */
};

/* What SMM_VARIABLE_COMMUNICATE_GET_PAYLOAD_SIZE tells: room for header fields, name and data. */
#define PAYLOAD_BYTES (UV_MM_BUFFER_MAX - EFI_MM_HEADER_BYTES - EFI_MM_VARIABLE_HEADER_BYTES)
G_STATIC_ASSERT(PAYLOAD_BYTES == UV_VARIABLE_MAX + EFI_MM_ACCESS_BYTES);

typedef struct {
    UvService *service;
    UvReader body;   /* behind the function's header */
    UvWriter *reply; /* the whole buffer */
    bool ignored;    /* dropped without a status */
} Call;

static EfiStatus ignore(Call *call)
{
    call->ignored = true;
    return EFI_SUCCESS;
}

static bool is_nul(const uint8_t *units, size_t i)
{
    return units[2 * i] == 0 && units[2 * i + 1] == 0;
}

/* The unit at the end of `size` bytes (an odd byte is not looked at) is a NUL. */
static bool ends_in_nul(const uint8_t *units, size_t size)
{
    return size >= 2 && is_nul(units, size / 2 - 1);
}

/* Up to the first NUL; NULL for the empty name. `size` bytes that have a NUL. */
static UvName *name_until_nul(const uint8_t *units, size_t size)
{
    size_t n = 0;

    while (n < size / 2 && !is_nul(units, n))
        n++;
    return uv_name_new_utf16le(units, n);
}

/* ---- get and set ---- */

typedef struct {
    UvGuid guid;
    UvName *name; /* NULL: empty */
    size_t name_bytes, data_bytes;
    uint32_t attributes;
    const uint8_t *data;
} Access;

static void access_clear(Access *access)
{
    g_clear_pointer(&access->name, uv_name_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Access, access_clear)

static EfiStatus read_access(UvReader *body, Access *ret_access)
{
    Access access = {.guid = uv_read_guid(body)};
    const uint64_t data_bytes = uv_read_u64(body), name_bytes = uv_read_u64(body);

    access.attributes = uv_read_u32(body);
    if (body->failed || name_bytes > body->left || data_bytes > body->left - name_bytes)
        return EFI_ACCESS_DENIED;
    access.name_bytes = name_bytes;
    access.data_bytes = data_bytes;
    const uint8_t *units = uv_read_bytes(body, access.name_bytes);
    access.data = uv_read_bytes(body, access.data_bytes);
    if (!ends_in_nul(units, access.name_bytes))
        return EFI_ACCESS_DENIED;
    access.name = name_until_nul(units, access.name_bytes);
    *ret_access = access;
    return EFI_SUCCESS;
}

static EfiStatus get_variable(Call *call)
{
    g_auto(Access) access = {0};
    g_autoptr(UvVariable) variable = NULL;

    if (call->body.left < EFI_MM_ACCESS_BYTES)
        return ignore(call);
    EfiStatus status = read_access(&call->body, &access);
    if (status != EFI_SUCCESS)
        return status;
    status = uv_service_get(call->service, UV_DOOR_GUEST, &access.guid, access.name, &variable);
    if (status != EFI_SUCCESS)
        return status;
    gsize size;
    const uint8_t *data = g_bytes_get_data(variable->data, &size);
    uv_write_u64_at(call->reply, ACCESS_DATA_SIZE, size);
    uv_write_u32_at(call->reply, ACCESS_ATTRIBUTES, variable->attributes);
    if (size > access.data_bytes)
        return EFI_BUFFER_TOO_SMALL;
    uv_write_bytes_at(call->reply, ACCESS_NAME + access.name_bytes, data, size);
    return EFI_SUCCESS;
}

static EfiStatus set_variable(Call *call)
{
    g_auto(Access) access = {0};

    if (call->body.left < EFI_MM_ACCESS_BYTES)
        return ignore(call);
    const EfiStatus status = read_access(&call->body, &access);
    if (status != EFI_SUCCESS)
        return status;
    const UvSetRequest request = {
        .door = UV_DOOR_GUEST,
        .guid = access.guid,
        .name = access.name,
        .attributes = access.attributes,
        .data = access.data,
        .data_bytes = access.data_bytes,
    };
    return uv_service_set(call->service, &request, NULL);
}

/* ---- the others ---- */

static EfiStatus get_next_variable_name(Call *call)
{
    g_autoptr(UvVariable) variable = NULL;

    if (call->body.left < EFI_MM_NEXT_BYTES)
        return ignore(call);
    const UvGuid guid = uv_read_guid(&call->body);
    const uint64_t name_bytes = uv_read_u64(&call->body);
    const size_t room = call->body.left;
    if (name_bytes > room)
        return EFI_ACCESS_DENIED;
    const uint8_t *units = uv_read_bytes(&call->body, room);
    if (!ends_in_nul(units, room)) /* the last unit of the message, not of the name */
        return EFI_ACCESS_DENIED;
    g_autoptr(UvName) name = name_until_nul(units, room);
    if (name_bytes < 2 || (name && uv_name_size_bytes(name) > name_bytes))
        return EFI_INVALID_PARAMETER; /* no NUL inside the size that was told */
    const EfiStatus status = uv_service_next(call->service, UV_DOOR_GUEST, &guid, name, &variable);
    if (status != EFI_SUCCESS)
        return status;
    const size_t needed = uv_name_size_bytes(variable->name);
    uv_write_u64_at(call->reply, NEXT_NAME_SIZE, needed);
    if (needed > name_bytes)
        return EFI_BUFFER_TOO_SMALL;
    uv_write_bytes_at(call->reply, NEXT_GUID, variable->guid.bytes, sizeof(variable->guid.bytes));
    uv_write_bytes_at(call->reply, NEXT_NAME, uv_name_utf16le(variable->name), needed);
    return EFI_SUCCESS;
}

static EfiStatus query_variable_info(Call *call)
{
    UvQueryInfo info;

    if (call->body.left < EFI_MM_QUERY_BYTES)
        return ignore(call);
    uv_read_bytes(&call->body, 24);
    const uint32_t attributes = uv_read_u32(&call->body);
    const EfiStatus status = uv_service_query(call->service, UV_DOOR_GUEST, attributes, &info);
    if (status != EFI_SUCCESS)
        return status;
    uv_write_u64_at(call->reply, QUERY_MAXIMUM_STORAGE, info.maximum_storage_bytes);
    uv_write_u64_at(call->reply, QUERY_REMAINING_STORAGE, info.remaining_storage_bytes);
    uv_write_u64_at(call->reply, QUERY_MAXIMUM_VARIABLE, info.maximum_variable_bytes);
    return EFI_SUCCESS;
}

static EfiStatus get_payload_size(Call *call)
{
    if (call->body.left < 8)
        return ignore(call);
    uv_write_u64_at(call->reply, BODY, PAYLOAD_BYTES);
    return EFI_SUCCESS;
}

/* The name of a lock or property request; sets `*ret_name` only on success. */
static EfiStatus read_name(UvReader *body, uint64_t name_bytes, UvName **ret_name)
{
    const uint8_t *units = name_bytes <= body->left ? uv_read_bytes(body, name_bytes) : NULL;

    if (!units || !ends_in_nul(units, name_bytes))
        return EFI_ACCESS_DENIED;
    UvName *name = name_until_nul(units, name_bytes);
    if (!name)
        return EFI_INVALID_PARAMETER;
    *ret_name = name;
    return EFI_SUCCESS;
}

static bool after_end_of_dxe(const Call *call)
{
    return uv_service_phase(call->service)->end_of_dxe;
}

static EfiStatus lock_variable(Call *call)
{
    g_autoptr(UvName) name = NULL;

    if (after_end_of_dxe(call))
        return EFI_ACCESS_DENIED;
    if (call->body.left < EFI_MM_NEXT_BYTES)
        return ignore(call);
    const UvGuid guid = uv_read_guid(&call->body);
    const uint64_t name_bytes = uv_read_u64(&call->body);
    const EfiStatus status = read_name(&call->body, name_bytes, &name);
    if (status != EFI_SUCCESS)
        return status;
    return uv_service_lock_variable(call->service, &guid, name);
}

static EfiStatus read_property(UvReader *body, UvGuid *ret_guid, UvName **ret_name,
                               UvProperty *ret_property)
{
    *ret_guid = uv_read_guid(body);
    const uint64_t name_bytes = uv_read_u64(body);
    ret_property->revision = uv_read_u16(body);
    ret_property->property = uv_read_u16(body);
    ret_property->attributes = uv_read_u32(body);
    ret_property->min_bytes = uv_read_u64(body);
    ret_property->max_bytes = uv_read_u64(body);
    return read_name(body, name_bytes, ret_name);
}

static EfiStatus set_property(Call *call)
{
    g_autoptr(UvName) name = NULL;
    UvProperty property;
    UvGuid guid;

    if (after_end_of_dxe(call))
        return EFI_ACCESS_DENIED;
    if (call->body.left < EFI_MM_NEXT_BYTES + UV_PROPERTY_BYTES)
        return ignore(call);
    const EfiStatus status = read_property(&call->body, &guid, &name, &property);
    if (status != EFI_SUCCESS)
        return status;
    return uv_policy_set_property(uv_service_policy(call->service), &guid, name, &property);
}

static void write_property(UvWriter *reply, const UvProperty *property)
{
    g_auto(UvWriter) bytes = uv_writer(UV_PROPERTY_BYTES);

    uv_write_u16(&bytes, property->revision);
    uv_write_u16(&bytes, property->property);
    uv_write_u32(&bytes, property->attributes);
    uv_write_u64(&bytes, property->min_bytes);
    uv_write_u64(&bytes, property->max_bytes);
    uv_write_bytes_at(reply, PROPERTY_VALUE, bytes.bytes, uv_writer_size(&bytes));
}

static EfiStatus get_property(Call *call)
{
    g_autoptr(UvName) name = NULL;
    UvProperty property;
    UvGuid guid;

    if (call->body.left < EFI_MM_NEXT_BYTES + UV_PROPERTY_BYTES)
        return ignore(call);
    EfiStatus status = read_property(&call->body, &guid, &name, &property);
    if (status != EFI_SUCCESS)
        return status;
    status = uv_varcheck_property(uv_service_policy(call->service), &guid, name, &property);
    if (status == EFI_SUCCESS)
        write_property(call->reply, &property);
    return status;
}

static EfiStatus call_function(Call *call, uint64_t function)
{
    switch (function) {
    case EFI_MM_GET_VARIABLE:
        return get_variable(call);
    case EFI_MM_GET_NEXT_VARIABLE_NAME:
        return get_next_variable_name(call);
    case EFI_MM_SET_VARIABLE:
        return set_variable(call);
    case EFI_MM_QUERY_VARIABLE_INFO:
        return query_variable_info(call);
    case EFI_MM_READY_TO_BOOT:
        return uv_service_ready_to_boot(call->service);
    case EFI_MM_EXIT_BOOT_SERVICE:
        return uv_service_exit_boot_services(call->service);
    case EFI_MM_LOCK_VARIABLE:
        return lock_variable(call);
    case EFI_MM_VAR_CHECK_PROPERTY_SET:
        return set_property(call);
    case EFI_MM_VAR_CHECK_PROPERTY_GET:
        return get_property(call);
    case EFI_MM_GET_PAYLOAD_SIZE:
        return get_payload_size(call);
    default: /* statistics and the runtime cache too: edk2's client does without */
        return EFI_UNSUPPORTED;
    }
}

static void handle_variable(UvService *service, UvReader message, UvWriter *reply)
{
    const uint64_t function = uv_read_u64(&message);

    (void)uv_read_u64(&message); /* the status, an output */
    if (message.failed)
        return;
    Call call = {.service = service, .body = message, .reply = reply};
    const EfiStatus status = call_function(&call, function);
    if (!call.ignored)
        uv_write_u64_at(reply, STATUS, status);
}

static void handle_policy(UvService *service, UvReader message, UvWriter *reply)
{
    const size_t room = uv_writer_size(reply) - EFI_MM_HEADER_BYTES;
    g_auto(UvWriter) answer = uv_writer(room);

    uv_policy_message(uv_service_policy(service), message.at, message.left, &answer);
    if (!answer.failed)
        uv_write_bytes_at(reply, EFI_MM_HEADER_BYTES, answer.bytes, uv_writer_size(&answer));
}

/* The device's status; events have no other. */
static uint32_t dispatch(UvService *service, const UvGuid *guid, UvReader message, UvWriter *reply)
{
    if (uv_guid_equal(guid, &uv_guid_smm_variable_protocol))
        handle_variable(service, message, reply);
    else if (uv_guid_equal(guid, &uv_guid_var_check_policy))
        handle_policy(service, message, reply);
    else if (uv_guid_equal(guid, &uv_guid_event_end_of_dxe))
        (void)!uv_service_end_of_dxe(service);
    else if (uv_guid_equal(guid, &uv_guid_event_ready_to_boot))
        (void)!uv_service_ready_to_boot(service);
    else if (uv_guid_equal(guid, &uv_guid_event_exit_boot))
        (void)!uv_service_exit_boot_services(service);
    else
        return UV_DEVICE_NOT_SUPPORTED;
    return UV_DEVICE_SUCCESS;
}

GBytes *uv_mm_handle(UvService *service, const uint8_t *request, size_t size,
                     uint32_t *ret_device_status)
{
    g_auto(UvWriter) reply = uv_writer(size);

    uv_write_bytes(&reply, request, size);
    UvReader reader = uv_reader(request, size);
    const UvGuid guid = uv_read_guid(&reader);
    const uint64_t message_bytes = uv_read_u64(&reader);
    if (size > UV_MM_BUFFER_MAX || reader.failed || message_bytes > reader.left) {
        *ret_device_status = UV_DEVICE_BAD_BUFFER_SIZE;
        return uv_writer_steal(&reply);
    }
    *ret_device_status = dispatch(service, &guid, uv_read_sub(&reader, message_bytes), &reply);
    GBytes *bytes = uv_writer_steal(&reply);
    if (bytes)
        return bytes;
    *ret_device_status = UV_DEVICE_UNKNOWN_ERROR; /* a write that was not inside the request */
    return g_bytes_new(request, size);
}

bool uv_mm_only_asks(const uint8_t *request, size_t size)
{
    UvReader reader = uv_reader(request, size);

    const UvGuid guid = uv_read_guid(&reader);
    (void)uv_read_u64(&reader);
    const uint64_t function = uv_read_u64(&reader);
    if (reader.failed || !uv_guid_equal(&guid, &uv_guid_smm_variable_protocol))
        return false;
    return function == EFI_MM_GET_VARIABLE || function == EFI_MM_GET_NEXT_VARIABLE_NAME ||
           function == EFI_MM_QUERY_VARIABLE_INFO || function == EFI_MM_GET_PAYLOAD_SIZE;
}
