/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Policy messages of the guest (edk2's VarCheckPolicyLibMmiHandler, VarCheckPolicyMmi.h).
 *
 *   header    u32 signature 'VCPC', u32 revision, u32 command, u64 result
 *   enabled   u8 state
 *   register  VARIABLE_POLICY_ENTRY
 *   dump      u32 page, u32 total size, u32 page size, u8 more, then the page
 *   get info  GUID, u32 input name size, u32 output name size, 44 bytes of policy, input name,
 *             output name
 *
 * A reply is the request's header, the result and what the command answers; what follows comes
 * back as it was. A dump is a copy made when page 0 is asked for; any other command drops it.
 */

#include <string.h>

#include "policy-table.h"

#define MESSAGE_SIGNATURE 0x43504356u /* "VCPC" */
#define MESSAGE_REVISION 1u
#define MESSAGE_HEADER_BYTES 20u
#define MESSAGE_BUFFER_BYTES 0x4000u /* four pages, communicate header included */

#define DUMP_HEADER_BYTES 13u
#define DUMP_PAGE_BYTES                                                                            \
    (MESSAGE_BUFFER_BYTES - EFI_MM_HEADER_BYTES - MESSAGE_HEADER_BYTES - DUMP_HEADER_BYTES)
#define INFO_HEADER_BYTES 68u
#define INFO_NAMES_BYTES                                                                           \
    (MESSAGE_BUFFER_BYTES - EFI_MM_HEADER_BYTES - MESSAGE_HEADER_BYTES - INFO_HEADER_BYTES)

typedef enum {
    COMMAND_DISABLE = 1,
    COMMAND_IS_ENABLED,
    COMMAND_REGISTER,
    COMMAND_DUMP,
    COMMAND_LOCK,
    COMMAND_GET_INFO,
    COMMAND_GET_LOCK_VAR_STATE_INFO,
} Command;

static EfiStatus handle_is_enabled(UvReader *body, UvWriter *reply)
{
    if (body->left < 1)
        return EFI_INVALID_PARAMETER;
    uv_write_u8(reply, true); /* it can't be disabled */
    return EFI_SUCCESS;
}

static EfiStatus handle_register(UvPolicy *policy, UvReader *body)
{
    UvReader entry = *body;

    uv_read_u32(&entry); /* version: checked with the rest */
    const uint16_t size = uv_read_u16(&entry);
    if (body->left < POLICY_HEADER_BYTES || size < POLICY_HEADER_BYTES || size > body->left)
        return EFI_INVALID_PARAMETER;
    return uv_policy_register(policy, body->at, size);
}

static GBytes *dump_table(const UvPolicy *policy)
{
    GByteArray *table = g_byte_array_sized_new(policy->entries_bytes);

    for (guint i = 0; i < policy->entries->len; i++) {
        const PolicyEntry *entry = g_ptr_array_index(policy->entries, i);
        gsize size;
        const uint8_t *bytes = g_bytes_get_data(entry->bytes, &size);

        g_byte_array_append(table, bytes, size);
    }
    return g_byte_array_free_to_bytes(table);
}

static void write_dump_header(UvWriter *reply, uint32_t page, size_t total, size_t page_bytes,
                              bool more)
{
    uv_write_u32(reply, page);
    uv_write_u32(reply, total);
    uv_write_u32(reply, page_bytes);
    uv_write_u8(reply, more);
}

static EfiStatus handle_dump_start(UvPolicy *policy, UvWriter *reply)
{
    const size_t total = policy->entries_bytes;

    g_clear_pointer(&policy->dump, g_bytes_unref);
    if (total > 0)
        policy->dump = dump_table(policy);
    write_dump_header(reply, 0, total, 0, total > 0);
    return EFI_SUCCESS;
}

static EfiStatus handle_dump_page(UvPolicy *policy, uint32_t page, UvWriter *reply)
{
    gsize total;
    const uint8_t *table = g_bytes_get_data(policy->dump, &total);
    const size_t pages = (total + DUMP_PAGE_BYTES - 1) / DUMP_PAGE_BYTES;

    if (page > pages) {
        write_dump_header(reply, page, total, 0, false);
        return EFI_INVALID_PARAMETER;
    }
    const size_t at = (size_t)(page - 1) * DUMP_PAGE_BYTES;
    const size_t page_bytes = MIN(DUMP_PAGE_BYTES, total - at);
    write_dump_header(reply, page, total, page_bytes, page < pages);
    uv_write_bytes(reply, table + at, page_bytes);
    if (page == pages)
        g_clear_pointer(&policy->dump, g_bytes_unref);
    return EFI_SUCCESS;
}

static EfiStatus handle_dump(UvPolicy *policy, UvReader *body, UvWriter *reply)
{
    if (body->left < DUMP_HEADER_BYTES + DUMP_PAGE_BYTES)
        return EFI_INVALID_PARAMETER;
    const uint32_t page = uv_read_u32(body);
    if (page == 0)
        return handle_dump_start(policy, reply);
    if (policy->dump)
        return handle_dump_page(policy, page, reply);
    write_dump_header(reply, page, 0, 0, false);
    return EFI_TIMEOUT;
}

/* What a get-info command found: the fixed part, and a name with its NUL (or none). */
typedef struct {
    const uint8_t *fixed;
    size_t fixed_bytes;
    const uint8_t *name;
    size_t name_bytes;
} Info;

static EfiStatus find_info(const UvPolicy *policy, Command command, const UvGuid *guid,
                           const UvName *name, Info *ret_info)
{
    const PolicyEntry *entry = policy_best_match(policy, guid, name);

    if (!entry ||
        (command == COMMAND_GET_LOCK_VAR_STATE_INFO && entry->lock != POLICY_LOCK_ON_VAR_STATE))
        return EFI_NOT_FOUND;
    const uint8_t *bytes = g_bytes_get_data(entry->bytes, NULL);
    if (command == COMMAND_GET_INFO)
        *ret_info =
            (Info){bytes, POLICY_HEADER_BYTES, bytes + entry->name_offset, entry->name_bytes};
    else
        *ret_info =
            (Info){bytes + POLICY_HEADER_BYTES, POLICY_STATE_BYTES,
                   bytes + POLICY_HEADER_BYTES + POLICY_STATE_BYTES, entry->state_name_bytes};
    return EFI_SUCCESS;
}

/* The name up to its NUL, which must be there; NULL in `ret_name` for an empty one. */
static bool read_input_name(UvReader *names, size_t size, UvName **ret_name)
{
    const uint8_t *bytes = uv_read_bytes(names, size);

    for (size_t i = 0; bytes && i + 1 < size; i += 2) {
        if (bytes[i] == 0 && bytes[i + 1] == 0) {
            *ret_name = uv_name_new_utf16le(bytes, i / 2);
            return true;
        }
    }
    return false;
}

static void write_info(UvWriter *reply, const uint8_t *guid, uint32_t input_bytes,
                       uint32_t output_bytes, const Info *info)
{
    uv_write_bytes(reply, guid, 16);
    uv_write_u32(reply, input_bytes);
    uv_write_u32(reply, output_bytes);
    uv_write_bytes(reply, info->fixed, info->fixed_bytes);
    uv_write_zeros(reply, POLICY_HEADER_BYTES - info->fixed_bytes);
}

static EfiStatus handle_get_info(const UvPolicy *policy, Command command, UvReader *body,
                                 UvWriter *reply)
{
    static const Info nothing = {(const uint8_t *)"", 0, NULL, 0};
    g_autoptr(UvName) name = NULL;
    Info info;

    if (body->left < INFO_HEADER_BYTES + INFO_NAMES_BYTES)
        return EFI_INVALID_PARAMETER;
    const UvGuid guid = uv_read_guid(body);
    const uint32_t input_bytes = uv_read_u32(body);
    const uint32_t output_bytes = uv_read_u32(body);
    uv_read_bytes(body, POLICY_HEADER_BYTES);
    UvReader names = uv_read_sub(body, INFO_NAMES_BYTES);
    const uint8_t *input = names.at;
    if (input_bytes > INFO_NAMES_BYTES || !read_input_name(&names, input_bytes, &name))
        return EFI_INVALID_PARAMETER;

    const EfiStatus status = find_info(policy, command, &guid, name, &info);
    if (status != EFI_SUCCESS) {
        write_info(reply, guid.bytes, input_bytes, output_bytes, &nothing);
        return status;
    }
    write_info(reply, guid.bytes, input_bytes, info.name_bytes, &info);
    if (output_bytes < info.name_bytes || names.left < info.name_bytes)
        return EFI_BUFFER_TOO_SMALL;
    uv_write_bytes(reply, input, input_bytes);
    uv_write_bytes(reply, info.name, info.name_bytes);
    if (info.name_bytes == 0)
        uv_write_zeros(reply, names.left);
    return EFI_SUCCESS;
}

static EfiStatus handle_command(UvPolicy *policy, uint32_t command, UvReader *body, UvWriter *reply)
{
    switch (command) {
    case COMMAND_DISABLE:
        return EFI_WRITE_PROTECTED;
    case COMMAND_IS_ENABLED:
        return handle_is_enabled(body, reply);
    case COMMAND_REGISTER:
        return handle_register(policy, body);
    case COMMAND_DUMP:
        return handle_dump(policy, body, reply);
    case COMMAND_LOCK:
        return uv_policy_lock(policy);
    case COMMAND_GET_INFO:
    case COMMAND_GET_LOCK_VAR_STATE_INFO:
        return handle_get_info(policy, command, body, reply);
    default:
        return EFI_UNSUPPORTED;
    }
}

void uv_policy_message(UvPolicy *policy, const uint8_t *request, size_t size, UvWriter *reply)
{
    const size_t result_offset = uv_writer_size(reply) + 12;
    EfiStatus result = EFI_INVALID_PARAMETER;
    UvReader body = uv_reader(request, size);

    if (size < MESSAGE_HEADER_BYTES || size > MESSAGE_BUFFER_BYTES) {
        uv_write_bytes(reply, request, size);
        return;
    }
    const uint32_t signature = uv_read_u32(&body);
    const uint32_t revision = uv_read_u32(&body);
    const uint32_t command = uv_read_u32(&body);
    uv_read_u64(&body);
    uv_write_bytes(reply, request, MESSAGE_HEADER_BYTES);

    if (signature == MESSAGE_SIGNATURE && revision == MESSAGE_REVISION) {
        if (command != COMMAND_DUMP)
            g_clear_pointer(&policy->dump, g_bytes_unref);
        result = handle_command(policy, command, &body, reply);
    }
    uv_write_u64_at(reply, result_offset, result);
    const size_t answered = uv_writer_size(reply) + 12 - result_offset;
    g_assert(answered <= size);
    uv_write_bytes(reply, request + answered, size - answered);
}
