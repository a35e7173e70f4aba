/* SPDX-License-Identifier: GPL-2.0-or-later */

/* MM messages: what each function answers, and what becomes of messages that are not as they should
 * be (edk2's SmmVariableHandler; rules 2.4). */

#include "fixture.h"
#include "mm-message.h"

#include "uv-limits.h"

#include <string.h>

/* ---- malformed get and set ---- */

typedef struct {
    const char *rule;
    uint64_t data_bytes, name_bytes; /* as told in the message */
    const char *tail;                /* what follows the attributes */
    size_t tail_bytes;
    size_t cut; /* bytes taken from the end of the message */
    uint64_t get, set;
} AccessRow;

static const AccessRow access_rows[] = {
    {"2.4 well formed", 5, 8, MM_TAIL("a\0b\0c\0\0\0xxxxx"), 0, EFI_SUCCESS, EFI_SUCCESS},
    {"2.4 room behind", 5, 8, MM_TAIL("a\0b\0c\0\0\0xxxxx-------"), 0, EFI_SUCCESS, EFI_SUCCESS},
    {"2.4 no access header", 0, 0, MM_TAIL(""), 1, MM_IGNORED, MM_IGNORED},
    {"2.4 no body", 0, 0, MM_TAIL(""), 36, MM_IGNORED, MM_IGNORED},
    {"2.4 no status", 0, 0, MM_TAIL(""), 37, MM_IGNORED, MM_IGNORED},
    {"2.4 no function", 0, 0, MM_TAIL(""), 52, MM_IGNORED, MM_IGNORED},
    {"2.4 name size 0", 0, 0, MM_TAIL(""), 0, EFI_ACCESS_DENIED, EFI_ACCESS_DENIED},
    {"2.4 name size 1", 0, 1, MM_TAIL("\0"), 0, EFI_ACCESS_DENIED, EFI_ACCESS_DENIED},
    {"2.4 name without NUL", 0, 6, MM_TAIL("a\0b\0c\0"), 0, EFI_ACCESS_DENIED, EFI_ACCESS_DENIED},
    {"2.4 NUL after the name", 0, 6, MM_TAIL("a\0b\0c\0\0\0"), 0, EFI_ACCESS_DENIED,
     EFI_ACCESS_DENIED},
    {"2.4 half a NUL", 0, 8, MM_TAIL("a\0b\0c\0\0\1"), 0, EFI_ACCESS_DENIED, EFI_ACCESS_DENIED},
    {"2.4 odd name size", 0, 9, MM_TAIL("a\0b\0c\0\0\0x"), 0, EFI_BUFFER_TOO_SMALL, EFI_SUCCESS},
    {"2.4 NUL inside the name", 5, 12, MM_TAIL("a\0b\0c\0\0\0x\0\0\0xxxxx"), 0, EFI_SUCCESS,
     EFI_SUCCESS},
    {"2.4 name size past the end", 0, 10, MM_TAIL("a\0b\0c\0\0\0"), 0, EFI_ACCESS_DENIED,
     EFI_ACCESS_DENIED},
    {"2.4 data size past the end", 6, 8, MM_TAIL("a\0b\0c\0\0\0xxxxx"), 0, EFI_ACCESS_DENIED,
     EFI_ACCESS_DENIED},
    {"2.4 sum of sizes wraps", UINT64_MAX - 7, 8, MM_TAIL("a\0b\0c\0\0\0"), 0, EFI_ACCESS_DENIED,
     EFI_ACCESS_DENIED},
    {"2.4 sum of sizes wraps to the end", UINT64_MAX - 6, 16, MM_TAIL("a\0b\0c\0\0\0x"), 0,
     EFI_ACCESS_DENIED, EFI_ACCESS_DENIED},
    {"2.4 name size wraps", 8, UINT64_MAX - 7, MM_TAIL("a\0b\0c\0\0\0"), 0, EFI_ACCESS_DENIED,
     EFI_ACCESS_DENIED},
    {"2.4 both sizes huge", UINT64_MAX, UINT64_MAX, MM_TAIL("a\0b\0c\0\0\0"), 0, EFI_ACCESS_DENIED,
     EFI_ACCESS_DENIED},
    {"2.3 empty name", 0, 2, MM_TAIL("\0\0"), 0, EFI_NOT_FOUND, EFI_INVALID_PARAMETER},
    {"2.3 empty name, NUL-padded", 0, 6, MM_TAIL("\0\0a\0\0\0"), 0, EFI_NOT_FOUND,
     EFI_INVALID_PARAMETER},
};

static MmReply call_access(UvService *service, const AccessRow *row, uint64_t function)
{
    g_auto(UvWriter) message = {0};

    mm_begin_function(&message, function);
    mm_write_access(&message, &fixture_guid, row->data_bytes, row->name_bytes, MM_ALL);
    uv_write_bytes(&message, row->tail, row->tail_bytes);
    message.size -= row->cut;
    return mm_call(service, &message);
}

static void test_access(gconstpointer data)
{
    const AccessRow *row = data;
    g_autoptr(UvService) service = mm_service();

    g_auto(MmReply) get = call_access(service, row, EFI_MM_GET_VARIABLE);
    mm_assert_status(&get, row->get);
    g_auto(MmReply) set = call_access(service, row, EFI_MM_SET_VARIABLE);
    mm_assert_status(&set, row->set);
    g_autofree char *content = fixture_content(service);
    if (set.status == EFI_SUCCESS && row->set == EFI_SUCCESS)
        g_assert_cmpstr(content, ==, row->data_bytes ? "bs=b abc=xxxxx" : "bs=b");
    else
        g_assert_cmpstr(content, ==, "abc=12345 bs=b");
}

/* ---- malformed buffers ---- */

static void test_buffer(void)
{
    g_autoptr(UvService) service = mm_service();
    uint8_t bytes[64] = {0};

    for (size_t size = 0; size < 24; size++) {
        g_auto(MmReply) reply = mm_call_raw(service, bytes, size);
        g_assert_cmphex(reply.device, ==, UV_DEVICE_BAD_BUFFER_SIZE);
        g_assert_true(reply.unchanged);
    }
    memcpy(bytes, uv_guid_smm_variable_protocol.bytes, 16);
    const uint64_t lengths[] = {41, 64, UINT64_MAX, UINT64_MAX - 23, UINT64_MAX - 24, 1ull << 63};
    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        memcpy(bytes + 16, &lengths[i], 8); /* little endian hosts, as everywhere in tests */
        g_auto(MmReply) reply = mm_call_raw(service, bytes, sizeof(bytes));
        g_assert_cmphex(reply.device, ==, UV_DEVICE_BAD_BUFFER_SIZE);
        g_assert_true(reply.unchanged);
    }
}

static void test_too_large(void)
{
    g_autoptr(UvService) service = mm_service();
    g_auto(UvWriter) message = {0};

    mm_begin_function(&message, EFI_MM_GET_PAYLOAD_SIZE);
    uv_write_zeros(&message, UV_MM_BUFFER_MAX - uv_writer_size(&message));
    g_auto(MmReply) fits = mm_call(service, &message);
    mm_assert_status(&fits, EFI_SUCCESS);
    mm_begin_function(&message, EFI_MM_GET_PAYLOAD_SIZE);
    uv_write_zeros(&message, UV_MM_BUFFER_MAX + 1 - uv_writer_size(&message));
    g_auto(MmReply) large = mm_call(service, &message);
    g_assert_cmphex(large.device, ==, UV_DEVICE_BAD_BUFFER_SIZE);
}

static void test_unknown_guid(void)
{
    g_autoptr(UvService) service = mm_service();
    g_auto(UvWriter) message = {0};

    mm_begin(&message, &uv_guid_global_variable);
    uv_write_zeros(&message, 100);
    g_auto(MmReply) reply = mm_call(service, &message);
    g_assert_cmphex(reply.device, ==, UV_DEVICE_NOT_SUPPORTED);
    g_assert_true(reply.unchanged);
}

/* The message ends where its header says, though the buffer goes on. */
static void test_message_in_buffer(void)
{
    g_autoptr(UvService) service = mm_service();
    g_auto(UvWriter) message = {0};

    mm_begin_function(&message, EFI_MM_GET_VARIABLE);
    mm_write_access(&message, &fixture_guid, 5, 8, 0);
    uv_write_bytes(&message, MM_TAIL("a\0b\0c\0\0\0xxxxx"));
    uv_write_u64_at(&message, 16, uv_writer_size(&message) - 24 - 1);
    g_auto(MmReply) reply = mm_call_raw(service, message.bytes, uv_writer_size(&message));
    mm_assert_status(&reply, EFI_ACCESS_DENIED);
}

static void test_functions(void)
{
    static const struct {
        uint64_t function, expected;
    } rows[] = {
        {0, EFI_UNSUPPORTED},
        {EFI_MM_GET_STATISTICS, EFI_UNSUPPORTED},
        {EFI_MM_INIT_RUNTIME_CACHE, EFI_UNSUPPORTED},
        {EFI_MM_SYNC_RUNTIME_CACHE, EFI_UNSUPPORTED},
        {EFI_MM_GET_RUNTIME_CACHE_INFO, EFI_UNSUPPORTED},
        {15, EFI_UNSUPPORTED},
        {UINT64_MAX, EFI_UNSUPPORTED},
        {EFI_MM_GET_NEXT_VARIABLE_NAME, MM_IGNORED}, /* bodies too short */
        {EFI_MM_QUERY_VARIABLE_INFO, MM_IGNORED},
        {EFI_MM_LOCK_VARIABLE, MM_IGNORED},
        {EFI_MM_VAR_CHECK_PROPERTY_SET, MM_IGNORED},
        {EFI_MM_VAR_CHECK_PROPERTY_GET, MM_IGNORED},
        {EFI_MM_GET_PAYLOAD_SIZE, MM_IGNORED},
    };
    g_autoptr(UvService) service = mm_service();
    g_auto(UvWriter) message = {0};

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        mm_begin_function(&message, rows[i].function);
        uv_write_zeros(&message, 7);
        g_auto(MmReply) reply = mm_call(service, &message);
        g_test_message("function %u", (unsigned)rows[i].function);
        mm_assert_status(&reply, rows[i].expected);
    }
}

/* ---- query, payload size, lock, properties, events ---- */

static void test_query(void)
{
    g_autoptr(UvService) service = mm_service();
    g_auto(UvWriter) message = {0};
    UvQueryInfo info;

    g_assert_cmphex(uv_service_query(service, UV_DOOR_GUEST, MM_ALL, &info), ==, EFI_SUCCESS);
    mm_begin_function(&message, EFI_MM_QUERY_VARIABLE_INFO);
    uv_write_zeros(&message, 24);
    uv_write_u32(&message, MM_ALL);
    g_auto(MmReply) reply = mm_call(service, &message);
    mm_assert_status(&reply, EFI_SUCCESS);
    g_assert_cmpuint(uv_read_u64(&reply.body), ==, info.maximum_storage_bytes);
    g_assert_cmpuint(uv_read_u64(&reply.body), ==, info.remaining_storage_bytes);
    g_assert_cmpuint(uv_read_u64(&reply.body), ==, info.maximum_variable_bytes);
    g_assert_cmpuint(uv_read_u32(&reply.body), ==, MM_ALL);

    mm_begin_function(&message, EFI_MM_QUERY_VARIABLE_INFO);
    uv_write_zeros(&message, 28);
    g_auto(MmReply) refused = mm_call(service, &message);
    mm_assert_status(&refused, EFI_INVALID_PARAMETER);
    g_assert_cmpuint(uv_read_u64(&refused.body), ==, 0);
}

static void test_payload_size(void)
{
    g_autoptr(UvService) service = mm_service();
    g_auto(UvWriter) message = {0};

    mm_begin_function(&message, EFI_MM_GET_PAYLOAD_SIZE);
    uv_write_u64(&message, 0);
    g_auto(MmReply) reply = mm_call(service, &message);
    mm_assert_status(&reply, EFI_SUCCESS);
    /* with both headers it is just what the buffer holds */
    g_assert_cmpuint(uv_read_u64(&reply.body), ==, UV_MM_BUFFER_MAX - 24 - 16);
}

static uint64_t lock(UvService *service, uint64_t name_bytes, const char *tail, size_t tail_bytes)
{
    g_auto(UvWriter) message = {0};

    mm_begin_function(&message, EFI_MM_LOCK_VARIABLE);
    uv_write_bytes(&message, fixture_guid.bytes, sizeof(fixture_guid.bytes));
    uv_write_u64(&message, name_bytes);
    uv_write_bytes(&message, tail, tail_bytes);
    g_auto(MmReply) reply = mm_call(service, &message);
    g_assert_cmphex(reply.device, ==, UV_DEVICE_SUCCESS);
    return reply.status;
}

static void test_lock(void)
{
    g_autoptr(UvService) service = mm_service();

    g_assert_cmphex(lock(service, 9, MM_TAIL("a\0b\0c\0\0\0")), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(lock(service, 6, MM_TAIL("a\0b\0c\0\0\0")), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(lock(service, UINT64_MAX, MM_TAIL("a\0b\0c\0\0\0")), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(lock(service, 2, MM_TAIL("\0\0")), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(lock(service, 8, MM_TAIL("a\0b\0c\0\0\0")), ==, EFI_SUCCESS);
    /* evaluated after EndOfDxe */
    g_assert_cmphex(fixture_set(service, "abc", MM_ALL, "x"), ==, EFI_SUCCESS);
    fixture_go_to(service, AT_END_OF_DXE);
    g_assert_cmphex(fixture_set(service, "abc", MM_ALL, "y"), ==, EFI_WRITE_PROTECTED);
    g_assert_cmphex(fixture_set_bytes(service, UV_DOOR_HOST, "abc", MM_ALL, "y", 1), ==,
                    EFI_WRITE_PROTECTED);
    g_assert_cmphex(lock(service, 6, MM_TAIL("b\0s\0\0\0")), ==, EFI_ACCESS_DENIED);
    g_assert_cmphex(fixture_set(service, "bs", NV | BS, "y"), ==, EFI_SUCCESS);
    /* and gone with the session */
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    fixture_go_to(service, AT_END_OF_DXE);
    g_assert_cmphex(fixture_set(service, "abc", MM_ALL, "y"), ==, EFI_SUCCESS);
}

static MmReply property(UvService *service, uint64_t function, uint64_t name_bytes,
                        const UvProperty *value)
{
    g_auto(UvWriter) message = {0};

    mm_begin_function(&message, function);
    uv_write_bytes(&message, fixture_guid.bytes, sizeof(fixture_guid.bytes));
    uv_write_u64(&message, name_bytes);
    uv_write_u16(&message, value->revision);
    uv_write_u16(&message, value->property);
    uv_write_u32(&message, value->attributes);
    uv_write_u64(&message, value->min_bytes);
    uv_write_u64(&message, value->max_bytes);
    mm_write_name(&message, "abc");
    return mm_call(service, &message);
}

static void test_property(void)
{
    const UvProperty value = {UV_PROPERTY_REVISION, 0, MM_ALL, 2, 4};
    const UvProperty none = {0};
    g_autoptr(UvService) service = mm_service();

    g_auto(MmReply) bad = property(service, EFI_MM_VAR_CHECK_PROPERTY_SET, 10, &value);
    mm_assert_status(&bad, EFI_ACCESS_DENIED);
    g_auto(MmReply) missing = property(service, EFI_MM_VAR_CHECK_PROPERTY_GET, 8, &none);
    mm_assert_status(&missing, EFI_NOT_FOUND);
    g_auto(MmReply) set = property(service, EFI_MM_VAR_CHECK_PROPERTY_SET, 8, &value);
    mm_assert_status(&set, EFI_SUCCESS);
    g_auto(MmReply) get = property(service, EFI_MM_VAR_CHECK_PROPERTY_GET, 8, &none);
    mm_assert_status(&get, EFI_SUCCESS);
    uv_read_bytes(&get.body, 24);
    g_assert_cmpuint(uv_read_u16(&get.body), ==, UV_PROPERTY_REVISION);
    g_assert_cmpuint(uv_read_u16(&get.body), ==, 0);
    g_assert_cmphex(uv_read_u32(&get.body), ==, MM_ALL);
    g_assert_cmpuint(uv_read_u64(&get.body), ==, 2);
    g_assert_cmpuint(uv_read_u64(&get.body), ==, 4);
    mm_assert_ascii(&get.body, "abc");

    fixture_go_to(service, AT_END_OF_DXE);
    g_assert_cmphex(fixture_set(service, "abc", MM_ALL, "x"), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(fixture_set(service, "abc", MM_ALL, "xy"), ==, EFI_SUCCESS);
    g_auto(MmReply) late = property(service, EFI_MM_VAR_CHECK_PROPERTY_SET, 8, &value);
    mm_assert_status(&late, EFI_ACCESS_DENIED);
}

static uint64_t function_status(UvService *service, uint64_t function)
{
    g_auto(UvWriter) message = {0};

    mm_begin_function(&message, function);
    g_auto(MmReply) reply = mm_call(service, &message);
    g_assert_cmphex(reply.device, ==, UV_DEVICE_SUCCESS);
    return reply.status;
}

static void event(UvService *service, const UvGuid *guid)
{
    g_auto(UvWriter) message = {0};

    mm_begin(&message, guid);
    g_auto(MmReply) reply = mm_call(service, &message);
    g_assert_cmphex(reply.device, ==, UV_DEVICE_SUCCESS);
    g_assert_true(reply.unchanged);
}

static void test_events(void)
{
    g_autoptr(UvService) service = mm_service();
    const UvPhase *phase = uv_service_phase(service);

    event(service, &uv_guid_event_end_of_dxe);
    g_assert_true(phase->end_of_dxe && !phase->ready_to_boot);
    g_assert_true(uv_policy_is_locked(uv_service_policy(service)));
    event(service, &uv_guid_event_ready_to_boot);
    g_assert_true(phase->ready_to_boot && !phase->exit_boot_services);
    event(service, &uv_guid_event_exit_boot);
    g_assert_true(phase->exit_boot_services);
}

static void test_phase_functions(void)
{
    g_autoptr(UvService) service = mm_service();
    const UvPhase *phase = uv_service_phase(service);

    g_assert_cmphex(function_status(service, EFI_MM_READY_TO_BOOT), ==, EFI_SUCCESS);
    g_assert_true(phase->end_of_dxe && phase->ready_to_boot && !phase->exit_boot_services);
    g_assert_cmphex(function_status(service, EFI_MM_READY_TO_BOOT), ==, EFI_SUCCESS);
    g_assert_cmphex(function_status(service, EFI_MM_EXIT_BOOT_SERVICE), ==, EFI_SUCCESS);
    g_assert_true(phase->exit_boot_services);
    g_assert_cmphex(function_status(service, EFI_MM_READY_TO_BOOT), ==, EFI_UNSUPPORTED);
    g_assert_cmphex(function_status(service, EFI_MM_EXIT_BOOT_SERVICE), ==, EFI_SUCCESS);
}

/* A policy message gets its answer in place, inside its buffer. */
static void test_policy(void)
{
    g_autoptr(UvService) service = mm_service();
    g_auto(UvWriter) message = {0};

    for (size_t cut = 0; cut <= 20; cut++) {
        mm_begin(&message, &uv_guid_var_check_policy);
        uv_write_u32(&message, 0x43504356);
        uv_write_u32(&message, 1);
        uv_write_u32(&message, 2);
        uv_write_u64(&message, 7);
        message.size -= cut;
        g_auto(MmReply) reply = mm_call(service, &message);
        g_assert_cmphex(reply.device, ==, UV_DEVICE_SUCCESS);
    }
}

/* Only what can't have changed the session may leave its file as it was. */
static void test_only_asks(void)
{
    for (uint64_t function = 0; function < 16; function++) {
        const bool asks =
            function == EFI_MM_GET_VARIABLE || function == EFI_MM_GET_NEXT_VARIABLE_NAME ||
            function == EFI_MM_QUERY_VARIABLE_INFO || function == EFI_MM_GET_PAYLOAD_SIZE;
        g_auto(UvWriter) message = uv_writer(64);

        uv_write_bytes(&message, uv_guid_smm_variable_protocol.bytes, 16);
        uv_write_u64(&message, 16);
        uv_write_u64(&message, function);
        uv_write_u64(&message, 0);
        g_autoptr(GBytes) bytes = uv_writer_steal(&message);
        gsize size;
        const uint8_t *data = g_bytes_get_data(bytes, &size);
        g_assert_cmpint(uv_mm_only_asks(data, size), ==, asks);
        g_assert_false(uv_mm_only_asks(data, 31)); /* cut inside the function */
        g_autofree uint8_t *other = g_memdup2(data, size);
        other[0] ^= 1;
        g_assert_false(uv_mm_only_asks(other, size));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(access_rows); i++) {
        g_autofree char *path = g_strconcat("/mm/access/", access_rows[i].rule, NULL);
        g_test_add_data_func(path, &access_rows[i], test_access);
    }
    g_test_add_func("/mm/buffer", test_buffer);
    g_test_add_func("/mm/too-large", test_too_large);
    g_test_add_func("/mm/unknown-guid", test_unknown_guid);
    g_test_add_func("/mm/message-in-buffer", test_message_in_buffer);
    g_test_add_func("/mm/functions", test_functions);
    g_test_add_func("/mm/query", test_query);
    g_test_add_func("/mm/payload-size", test_payload_size);
    g_test_add_func("/mm/lock", test_lock);
    g_test_add_func("/mm/property", test_property);
    g_test_add_func("/mm/events", test_events);
    g_test_add_func("/mm/phase-functions", test_phase_functions);
    g_test_add_func("/mm/policy", test_policy);
    g_test_add_func("/mm/only-asks", test_only_asks);
    return g_test_run();
}
