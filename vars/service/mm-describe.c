/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Both buffers are read from the front, side by side, each through a reader of its own: the guest
 * made every size in them. What is not there is left out of the description.
 */

#include "mm-describe.h"

#include <string.h>

#include "bytes.h"
#include "efi-abi.h"

/* A policy message's header up to the result, and VARIABLE_POLICY_ENTRY up to its GUID. */
#define POLICY_COMMAND_REGISTER 3u

static const char *const functions[] = {
    [EFI_MM_GET_VARIABLE] = "GetVariable",
    [EFI_MM_GET_NEXT_VARIABLE_NAME] = "GetNextVariableName",
    [EFI_MM_SET_VARIABLE] = "SetVariable",
    [EFI_MM_QUERY_VARIABLE_INFO] = "QueryVariableInfo",
    [EFI_MM_READY_TO_BOOT] = "ReadyToBoot",
    [EFI_MM_EXIT_BOOT_SERVICE] = "ExitBootServices",
    [EFI_MM_GET_STATISTICS] = "GetStatistics",
    [EFI_MM_LOCK_VARIABLE] = "LockVariable",
    [EFI_MM_VAR_CHECK_PROPERTY_SET] = "VarCheckPropertySet",
    [EFI_MM_VAR_CHECK_PROPERTY_GET] = "VarCheckPropertyGet",
    [EFI_MM_GET_PAYLOAD_SIZE] = "GetPayloadSize",
    [EFI_MM_INIT_RUNTIME_CACHE] = "InitRuntimeCache",
    [EFI_MM_SYNC_RUNTIME_CACHE] = "SyncRuntimeCache",
    [EFI_MM_GET_RUNTIME_CACHE_INFO] = "GetRuntimeCacheInfo",
};

static const char *const policy_commands[] = {
    [1] = "PolicyDisable",
    [2] = "PolicyIsEnabled",
    [POLICY_COMMAND_REGISTER] = "PolicyRegister",
    [4] = "PolicyDump",
    [5] = "PolicyLock",
    [6] = "PolicyGetInfo",
    [7] = "PolicyGetLockInfo",
};

/* Up to the first NUL, or to the end of `size` bytes; NULL: empty, or not all there. */
static UvName *read_name(UvReader *reader, uint64_t size)
{
    const uint8_t *units = size <= reader->left ? uv_read_bytes(reader, size) : NULL;
    size_t n = 0;

    if (!units)
        return NULL;
    while (n < size / 2 && (units[2 * n] != 0 || units[2 * n + 1] != 0))
        n++;
    return uv_name_new_utf16le(units, n);
}

static void name_function(UvMmDescription *what, const char *const names[], size_t n_names,
                          uint64_t number)
{
    if (number < n_names && names[number]) {
        what->function = names[number];
        return;
    }
    what->has_number = true;
    what->number = number;
}

/* GUID, u64 data size, u64 name size, u32 attributes, name, data. */
static void describe_access(UvMmDescription *what, bool is_get, UvReader request, UvReader reply)
{
    const bool answered = what->status == EFI_SUCCESS || what->status == EFI_BUFFER_TOO_SMALL;

    what->guid = uv_read_guid(&request);
    what->size_bytes = uv_read_u64(&request);
    const uint64_t name_bytes = uv_read_u64(&request);
    what->attributes = uv_read_u32(&request);
    if (request.failed)
        return;
    what->name = read_name(&request, name_bytes);
    what->has_variable = what->has_size = true;
    what->has_attributes = !is_get;
    if (!is_get || !answered)
        return;
    uv_read_guid(&reply);
    what->reply_bytes = uv_read_u64(&reply);
    uv_read_u64(&reply);
    what->attributes = uv_read_u32(&reply);
    what->has_reply_size = what->has_attributes = true;
}

/* GUID, u64 name size, name. */
static void describe_next(UvMmDescription *what, UvReader request, UvReader reply)
{
    what->guid = uv_read_guid(&request);
    what->size_bytes = uv_read_u64(&request);
    if (request.failed)
        return;
    what->name = read_name(&request, request.left);
    what->has_variable = what->has_size = true;
    if (what->status != EFI_SUCCESS && what->status != EFI_BUFFER_TOO_SMALL)
        return;
    what->next_guid = uv_read_guid(&reply);
    what->reply_bytes = uv_read_u64(&reply);
    what->has_reply_size = true;
    if (what->status != EFI_SUCCESS)
        return;
    what->next = read_name(&reply, what->reply_bytes);
    what->has_next = what->next != NULL;
}

/* Three u64, u32 attributes. */
static void describe_query(UvMmDescription *what, UvReader request, UvReader reply)
{
    uv_read_bytes(&request, 24);
    what->attributes = uv_read_u32(&request);
    what->has_attributes = !request.failed;
    if (what->status != EFI_SUCCESS)
        return;
    what->maximum_storage_bytes = uv_read_u64(&reply);
    what->remaining_storage_bytes = uv_read_u64(&reply);
    what->maximum_variable_bytes = uv_read_u64(&reply);
    what->has_query = !reply.failed;
}

/* GUID, u64 name size, of a property 24 bytes, name. */
static void describe_named(UvMmDescription *what, size_t between, UvReader request)
{
    what->guid = uv_read_guid(&request);
    const uint64_t name_bytes = uv_read_u64(&request);
    uv_read_bytes(&request, between);
    if (request.failed)
        return;
    what->name = read_name(&request, name_bytes);
    what->has_variable = true;
}

static void describe_variable(UvMmDescription *what, UvReader request, UvReader reply)
{
    const uint64_t function = uv_read_u64(&request);

    uv_read_u64(&request);
    uv_read_u64(&reply);
    what->status = uv_read_u64(&reply);
    if (request.failed) {
        what->function = "Malformed";
        return;
    }
    what->has_status = true;
    name_function(what, functions, G_N_ELEMENTS(functions), function);
    if (function == EFI_MM_GET_VARIABLE || function == EFI_MM_SET_VARIABLE)
        describe_access(what, function == EFI_MM_GET_VARIABLE, request, reply);
    else if (function == EFI_MM_GET_NEXT_VARIABLE_NAME)
        describe_next(what, request, reply);
    else if (function == EFI_MM_QUERY_VARIABLE_INFO)
        describe_query(what, request, reply);
    else if (function == EFI_MM_LOCK_VARIABLE)
        describe_named(what, 0, request);
    else if (function == EFI_MM_VAR_CHECK_PROPERTY_SET || function == EFI_MM_VAR_CHECK_PROPERTY_GET)
        describe_named(what, 24, request);
}

/* VARIABLE_POLICY_ENTRY: u32 version, u16 size, u16 where the name is, GUID, ... name. */
static void describe_entry(UvMmDescription *what, UvReader request)
{
    UvReader name = request;

    uv_read_u32(&request);
    const size_t size = uv_read_u16(&request), offset = uv_read_u16(&request);
    what->guid = uv_read_guid(&request);
    if (request.failed)
        return;
    what->has_variable = true;
    if (size < offset || !uv_read_bytes(&name, offset))
        return;
    what->name = read_name(&name, size - offset);
}

/* u32 signature, u32 revision, u32 command, u64 result. */
static void describe_policy(UvMmDescription *what, UvReader request, UvReader reply)
{
    uv_read_u64(&request);
    const uint32_t command = uv_read_u32(&request);
    uv_read_u64(&request);
    uv_read_bytes(&reply, 12);
    what->status = uv_read_u64(&reply);
    if (request.failed) {
        what->function = "Malformed";
        return;
    }
    what->has_status = true;
    name_function(what, policy_commands, G_N_ELEMENTS(policy_commands), command);
    if (command == POLICY_COMMAND_REGISTER)
        describe_entry(what, request);
}

static void describe_handler(UvMmDescription *what, const UvGuid *guid, UvReader request,
                             UvReader reply)
{
    if (uv_guid_equal(guid, &uv_guid_smm_variable_protocol))
        describe_variable(what, request, reply);
    else if (uv_guid_equal(guid, &uv_guid_var_check_policy))
        describe_policy(what, request, reply);
    else if (uv_guid_equal(guid, &uv_guid_event_end_of_dxe))
        what->function = "EventEndOfDxe";
    else if (uv_guid_equal(guid, &uv_guid_event_ready_to_boot))
        what->function = "EventReadyToBoot";
    else if (uv_guid_equal(guid, &uv_guid_event_exit_boot))
        what->function = "EventExitBootServices";
    else
        what->guid = *guid;
}

void uv_mm_describe(const uint8_t *request, const uint8_t *reply, size_t size,
                    UvMmDescription *ret_description)
{
    UvReader asked = uv_reader(request, size), answered = uv_reader(reply, size);

    *ret_description = (UvMmDescription){.function = "Unknown"};
    const UvGuid guid = uv_read_guid(&asked);
    const uint64_t message_bytes = uv_read_u64(&asked);
    uv_read_bytes(&answered, EFI_MM_HEADER_BYTES);
    if (asked.failed || message_bytes > asked.left) {
        ret_description->function = "Malformed";
        return;
    }
    describe_handler(ret_description, &guid, uv_read_sub(&asked, message_bytes),
                     uv_read_sub(&answered, message_bytes));
}

void uv_mm_description_clear(UvMmDescription *description)
{
    g_clear_pointer(&description->name, uv_name_unref);
    g_clear_pointer(&description->next, uv_name_unref);
}

/* ---- for counting ---- */

enum {
    KIND_MALFORMED = G_N_ELEMENTS(functions), /* those before are the variable protocol's numbers */
    KIND_UNKNOWN,
    KIND_POLICY,
    KIND_END_OF_DXE,
    KIND_READY_TO_BOOT,
    KIND_EXIT_BOOT,
    KINDS,
};
G_STATIC_ASSERT(KINDS <= UV_MM_KINDS);

static unsigned kind_of_handler(const UvGuid *guid)
{
    if (uv_guid_equal(guid, &uv_guid_var_check_policy))
        return KIND_POLICY;
    if (uv_guid_equal(guid, &uv_guid_event_end_of_dxe))
        return KIND_END_OF_DXE;
    if (uv_guid_equal(guid, &uv_guid_event_ready_to_boot))
        return KIND_READY_TO_BOOT;
    if (uv_guid_equal(guid, &uv_guid_event_exit_boot))
        return KIND_EXIT_BOOT;
    return KIND_UNKNOWN;
}

unsigned uv_mm_kind(const uint8_t *request, size_t size)
{
    UvReader reader = uv_reader(request, size);

    const UvGuid guid = uv_read_guid(&reader);
    uv_read_u64(&reader);
    if (reader.failed)
        return KIND_MALFORMED;
    if (!uv_guid_equal(&guid, &uv_guid_smm_variable_protocol))
        return kind_of_handler(&guid);
    const uint64_t function = uv_read_u64(&reader);
    if (reader.failed)
        return KIND_MALFORMED;
    return function < G_N_ELEMENTS(functions) && functions[function] ? (unsigned)function
                                                                     : KIND_UNKNOWN;
}

const char *uv_mm_kind_name(unsigned kind)
{
    static const char *const others[KINDS] = {
        [KIND_MALFORMED] = "Malformed",
        [KIND_UNKNOWN] = "Unknown",
        [KIND_POLICY] = "VariablePolicy",
        [KIND_END_OF_DXE] = "EventEndOfDxe",
        [KIND_READY_TO_BOOT] = "EventReadyToBoot",
        [KIND_EXIT_BOOT] = "EventExitBootServices",
    };

    if (kind < G_N_ELEMENTS(functions) && functions[kind])
        return functions[kind];
    return kind < KINDS && others[kind] ? others[kind] : "Unknown";
}
