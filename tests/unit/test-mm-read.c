/* SPDX-License-Identifier: GPL-2.0-or-later */

/* MM messages that read: GetVariable and GetNextVariableName, and what has to fit where (rules
 * 2.3). */

#include "fixture.h"
#include "mm-message.h"

#include "uv-limits.h"

#include <string.h>

/* ---- get ---- */

static void test_get(void)
{
    g_autoptr(UvService) service = mm_service();
    g_auto(UvWriter) message = {0};

    mm_begin_function(&message, EFI_MM_GET_VARIABLE);
    mm_write_access(&message, &fixture_guid, 10, 8, 0);
    mm_write_name(&message, "abc");
    uv_write_bytes(&message, "----------", 10);
    g_auto(MmReply) reply = mm_call(service, &message);
    mm_assert_status(&reply, EFI_SUCCESS);
    g_assert_cmpmem(uv_read_bytes(&reply.body, 16), 16, fixture_guid.bytes, 16);
    g_assert_cmpuint(uv_read_u64(&reply.body), ==, 5);
    g_assert_cmpuint(uv_read_u64(&reply.body), ==, 8);
    g_assert_cmphex(uv_read_u32(&reply.body), ==, MM_ALL);
    g_assert_cmpmem(uv_read_bytes(&reply.body, 18), 18,
                    "a\0b\0c\0\0\0"
                    "12345-----",
                    18);
    g_assert_true(uv_reader_done(&reply.body));
}

static void test_get_too_small(void)
{
    g_autoptr(UvService) service = mm_service();
    g_auto(UvWriter) message = {0};

    mm_begin_function(&message, EFI_MM_GET_VARIABLE);
    mm_write_access(&message, &fixture_guid, 4, 8, 0);
    mm_write_name(&message, "abc");
    uv_write_bytes(&message, "----------", 10); /* there is room, but it is not offered */
    g_auto(MmReply) reply = mm_call(service, &message);
    mm_assert_status(&reply, EFI_BUFFER_TOO_SMALL);
    uv_read_bytes(&reply.body, 16);
    g_assert_cmpuint(uv_read_u64(&reply.body), ==, 5);
    g_assert_cmpuint(uv_read_u64(&reply.body), ==, 8);
    g_assert_cmphex(uv_read_u32(&reply.body), ==, MM_ALL);
    uv_read_bytes(&reply.body, 8);
    g_assert_cmpmem(uv_read_bytes(&reply.body, 10), 10, "----------", 10);
}

static uint64_t get_status(UvService *service, const char *name)
{
    g_auto(UvWriter) message = {0};

    mm_begin_function(&message, EFI_MM_GET_VARIABLE);
    mm_write_access(&message, &fixture_guid, 10, 2 * (strlen(name) + 1), 0);
    mm_write_name(&message, name);
    uv_write_zeros(&message, 10);
    g_auto(MmReply) reply = mm_call(service, &message);
    return reply.status;
}

static void test_get_at_runtime(void)
{
    g_autoptr(UvService) service = mm_service();

    g_assert_cmphex(get_status(service, "bs"), ==, EFI_SUCCESS);
    g_assert_cmphex(get_status(service, "none"), ==, EFI_NOT_FOUND);
    fixture_go_to(service, AT_RUNTIME);
    g_assert_cmphex(get_status(service, "bs"), ==, EFI_NOT_FOUND);
    g_assert_cmphex(get_status(service, "abc"), ==, EFI_SUCCESS);
}

/* Whatever SetVariable takes, GetVariable gives back through the same buffer. */
static void test_largest(void)
{
    g_autoptr(UvService) service = NULL;
    const UvServiceConfig config = {.size_bytes = UV_STORAGE_DEFAULT};
    const size_t size = UV_VARIABLE_MAX - 8;
    g_autofree uint8_t *data = g_malloc(size);
    g_auto(UvWriter) message = {0};

    service = uv_service_new(&config, NULL);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    memset(data, 0x5a, size);
    for (int i = 0; i < 2; i++) {
        mm_begin_function(&message, i == 0 ? EFI_MM_SET_VARIABLE : EFI_MM_GET_VARIABLE);
        mm_write_access(&message, &fixture_guid, size, 8, MM_ALL);
        mm_write_name(&message, "abc");
        i == 0 ? uv_write_bytes(&message, data, size) : uv_write_zeros(&message, size);
        g_assert_cmpuint(uv_writer_size(&message), ==, UV_MM_BUFFER_MAX);
        g_auto(MmReply) reply = mm_call(service, &message);
        mm_assert_status(&reply, EFI_SUCCESS);
        uv_read_bytes(&reply.body, 36 + 8);
        g_assert_cmpmem(uv_read_bytes(&reply.body, size), size, data, size);
    }
}

/* ---- next ---- */

typedef struct {
    const char *rule;
    uint64_t name_bytes;
    const char *tail;
    size_t tail_bytes;
    FixturePhase phase;
    uint64_t expected;
    uint64_t needed;  /* name size afterwards, where the status says so */
    const char *name; /* the first units afterwards, or NULL */
} NextRow;

/* On abc, bs and longname, in this order. */
static const NextRow next_rows[] = {
    {"2.3 next", 8, MM_TAIL("a\0b\0c\0\0\0"), 0, EFI_SUCCESS, 6, "bs"},
    {"2.3 next, room behind the name size", 8, MM_TAIL("a\0b\0c\0\0\0------\0\0"), 0, EFI_SUCCESS,
     6, "bs"},
    {"2.3 last", 18, MM_TAIL("l\0o\0n\0g\0n\0a\0m\0e\0\0\0"), 0, EFI_NOT_FOUND, 0, NULL},
    {"2.3 no such name", 8, MM_TAIL("x\0\0\0\0\0\0\0"), 0, EFI_INVALID_PARAMETER, 0, NULL},
    {"2.3 too small", 6, MM_TAIL("b\0s\0\0\0----------\0\0"), 0, EFI_BUFFER_TOO_SMALL, 18, NULL},
    {"2.3 just enough", 18, MM_TAIL("b\0s\0\0\0----------\0\0"), 0, EFI_SUCCESS, 18, "longname"},
    {"2.3 name size 0", 0, MM_TAIL("\0\0\0\0"), 0, EFI_INVALID_PARAMETER, 0, NULL},
    {"2.3 name size 1", 1, MM_TAIL("\0\0\0\0"), 0, EFI_INVALID_PARAMETER, 0, NULL},
    {"2.3 no NUL inside the name size", 4, MM_TAIL("a\0b\0c\0\0\0"), 0, EFI_INVALID_PARAMETER, 0,
     NULL},
    {"2.4 no room for a unit", 0, MM_TAIL("\0"), 0, EFI_ACCESS_DENIED, 0, NULL},
    {"2.4 name size past the end", 10, MM_TAIL("a\0b\0c\0\0\0"), 0, EFI_ACCESS_DENIED, 0, NULL},
    {"2.4 name size huge", UINT64_MAX, MM_TAIL("a\0b\0c\0\0\0"), 0, EFI_ACCESS_DENIED, 0, NULL},
    {"2.4 no NUL at the end of the message", 8, MM_TAIL("a\0b\0c\0\0\0x\0"), 0, EFI_ACCESS_DENIED,
     0, NULL},
    {"2.3 boot service name at runtime", 8, MM_TAIL("b\0s\0\0\0\0\0"), AT_RUNTIME,
     EFI_INVALID_PARAMETER, 0, NULL},
    {"2.3 boot service variable skipped", 18, MM_TAIL("a\0b\0c\0\0\0--------\0\0"), AT_RUNTIME,
     EFI_SUCCESS, 18, "longname"},
};

static void test_next(gconstpointer data)
{
    const NextRow *row = data;
    g_autoptr(UvService) service = mm_service();
    g_auto(UvWriter) message = {0};

    g_assert_cmphex(fixture_set(service, "longname", MM_ALL, "x"), ==, EFI_SUCCESS);
    fixture_go_to(service, row->phase);
    mm_begin_function(&message, EFI_MM_GET_NEXT_VARIABLE_NAME);
    uv_write_bytes(&message, fixture_guid.bytes, sizeof(fixture_guid.bytes));
    uv_write_u64(&message, row->name_bytes);
    uv_write_bytes(&message, row->tail, row->tail_bytes);
    g_auto(MmReply) reply = mm_call(service, &message);
    mm_assert_status(&reply, row->expected);
    uv_read_bytes(&reply.body, 16);
    g_assert_cmpuint(uv_read_u64(&reply.body), ==, row->needed ? row->needed : row->name_bytes);
    if (row->name)
        mm_assert_ascii(&reply.body, row->name);
    else
        g_assert_cmpmem(reply.body.at, row->tail_bytes, row->tail, row->tail_bytes);
}

/* From the empty name to the end, through the buffer: every variable once, in the set's order. */
static void test_walk(void)
{
    g_autoptr(UvService) service = mm_service();
    const UvVarset *set = uv_service_variables(service);
    g_auto(UvWriter) message = {0};
    uint8_t cursor[16 + 8 + 64] = {[16] = 64};

    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        mm_begin_function(&message, EFI_MM_GET_NEXT_VARIABLE_NAME);
        cursor[16] = 64;
        uv_write_bytes(&message, cursor, sizeof(cursor));
        g_auto(MmReply) reply = mm_call(service, &message);
        mm_assert_status(&reply, EFI_SUCCESS);
        memcpy(cursor, uv_read_bytes(&reply.body, sizeof(cursor)), sizeof(cursor));
        g_assert_cmpmem(cursor, 16, v->guid.bytes, 16);
        g_assert_cmpuint(cursor[16], ==, uv_name_size_bytes(v->name));
        g_assert_cmpmem(cursor + 24, cursor[16], uv_name_utf16le(v->name),
                        uv_name_size_bytes(v->name));
    }
    mm_begin_function(&message, EFI_MM_GET_NEXT_VARIABLE_NAME);
    cursor[16] = 64;
    uv_write_bytes(&message, cursor, sizeof(cursor));
    g_auto(MmReply) reply = mm_call(service, &message);
    mm_assert_status(&reply, EFI_NOT_FOUND);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(next_rows); i++) {
        g_autofree char *path = g_strconcat("/mm-read/next/", next_rows[i].rule, NULL);
        g_test_add_data_func(path, &next_rows[i], test_next);
    }
    g_test_add_func("/mm-read/walk", test_walk);
    g_test_add_func("/mm-read/get", test_get);
    g_test_add_func("/mm-read/get-too-small", test_get_too_small);
    g_test_add_func("/mm-read/get-at-runtime", test_get_at_runtime);
    g_test_add_func("/mm-read/largest", test_largest);
    return g_test_run();
}
