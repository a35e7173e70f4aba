/* SPDX-License-Identifier: GPL-2.0-or-later */

/* GetVariable, GetNextVariableName and QueryVariableInfo (rules 2.3). */

#include "fixture.h"

#include "uv-limits.h"

#define ALL (NV | BS | RT)

typedef struct {
    const char *rule;
    uint32_t attributes;
    FixturePhase phase;
    EfiStatus expected;
} QueryRow;

static const QueryRow query_rows[] = {
    {"2.3 NV BS RT", ALL, AT_POWER_ON, EFI_SUCCESS},
    {"2.3 volatile", BS | RT, AT_POWER_ON, EFI_SUCCESS},
    {"2.3 boot service", NV | BS, AT_POWER_ON, EFI_SUCCESS},
    {"2.3 authenticated", ALL | AT, AT_POWER_ON, EFI_SUCCESS},
    {"2.3 hardware error record", ALL | HR, AT_POWER_ON, EFI_SUCCESS},
    {"2.3 append", ALL | APPEND, AT_POWER_ON, EFI_SUCCESS},
    {"2.3 an unknown bit among known ones", ALL | 0x80, AT_POWER_ON, EFI_SUCCESS},
    {"2.3 attributes 0", 0, AT_POWER_ON, EFI_INVALID_PARAMETER},
    {"2.3 AW", ALL | AW, AT_POWER_ON, EFI_UNSUPPORTED},
    {"2.3 AW alone", AW, AT_POWER_ON, EFI_UNSUPPORTED},
    {"2.3 only unknown bits", 0x80000080, AT_POWER_ON, EFI_UNSUPPORTED},
    {"2.3 NV only", NV, AT_POWER_ON, EFI_INVALID_PARAMETER},
    {"2.3 RT without BS", NV | RT, AT_POWER_ON, EFI_INVALID_PARAMETER},
    {"2.3 HR without NV", BS | RT | HR, AT_POWER_ON, EFI_INVALID_PARAMETER},
    {"2.3 runtime", ALL, AT_RUNTIME, EFI_SUCCESS},
    {"2.3 runtime without RT", NV | BS, AT_RUNTIME, EFI_INVALID_PARAMETER},
};

static void test_query_row(gconstpointer data)
{
    const QueryRow *row = data;
    g_autoptr(UvService) service = fixture_service(NULL);
    UvQueryInfo info;

    fixture_go_to(service, row->phase);
    g_assert_cmphex(uv_service_query(service, UV_DOOR_GUEST, row->attributes, &info), ==,
                    row->expected);
}

static UvQueryInfo query(const UvService *service, uint32_t attributes)
{
    UvQueryInfo info;

    g_assert_cmphex(uv_service_query(service, UV_DOOR_HOST, attributes, &info), ==, EFI_SUCCESS);
    return info;
}

static void test_figures(void)
{
    g_autoptr(UvService) service = fixture_service(NULL);
    const UvQueryInfo nv = query(service, ALL), vol = query(service, BS | RT);

    g_assert_cmpuint(nv.maximum_storage_bytes, ==, 65536);
    g_assert_cmpuint(vol.maximum_storage_bytes, ==, 65536);
    g_assert_cmpuint(nv.remaining_storage_bytes, ==,
                     65536 - uv_varset_used_bytes(uv_service_variables(service), true));
    g_assert_cmphex(fixture_set(service, "abc", ALL, "12345"), ==, EFI_SUCCESS);
    /* 60 + 8 + 5, rounded up; the other class does not notice */
    g_assert_cmpuint(query(service, ALL).remaining_storage_bytes, ==,
                     nv.remaining_storage_bytes - 76);
    g_assert_cmpuint(query(service, BS | RT).remaining_storage_bytes, ==,
                     vol.remaining_storage_bytes);
    g_assert_cmpuint(query(service, ALL | HR).remaining_storage_bytes, ==,
                     nv.remaining_storage_bytes - 76);
    g_assert_cmphex(fixture_set(service, "v", BS | RT, "1"), ==, EFI_SUCCESS);
    g_assert_cmpuint(query(service, BS | RT).remaining_storage_bytes, ==,
                     vol.remaining_storage_bytes - 68);
}

/* The largest variable that is told can be made, and no larger one. */
static void test_maximum_variable(void)
{
    static const size_t sizes[] = {1000, 1001, 1002, 1003, 70000, 131072};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const UvServiceConfig config = {.size_bytes = sizes[i]};
        g_autoptr(UvService) service = uv_service_new(&config, NULL);
        g_autofree uint8_t *data = g_malloc0(UV_VARIABLE_MAX);
        g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
        const size_t most = query(service, ALL).maximum_variable_bytes;
        g_assert_cmpuint(most, <=, UV_VARIABLE_MAX);
        g_assert_cmphex(fixture_set_bytes(service, UV_DOOR_GUEST, "abc", ALL, data, most - 8 + 1),
                        !=, EFI_SUCCESS);
        g_assert_cmphex(fixture_set_bytes(service, UV_DOOR_GUEST, "abc", ALL, data, most - 8), ==,
                        EFI_SUCCESS);
    }
}

static void test_full(void)
{
    g_autoptr(FixtureStore) store = fixture_store_new();
    g_autoptr(UvService) service = fixture_service(&store->store);

    store->store.capacity_bytes = 40; /* an image smaller than the configuration */
    const UvQueryInfo info = query(service, ALL);
    g_assert_cmpuint(info.maximum_storage_bytes, ==, 40);
    g_assert_cmpuint(info.maximum_variable_bytes, ==, 0);
    g_assert_cmphex(fixture_set(service, "a", ALL, "1"), ==, EFI_OUT_OF_RESOURCES);
}

/* ---- get and next on both doors ---- */

static void test_visibility(void)
{
    g_autoptr(UvService) service = fixture_service(NULL);
    g_autoptr(UvName) name = uv_name_new_utf8("bs", NULL);
    UvVariable *variable = NULL;

    g_assert_cmphex(fixture_set(service, "bs", NV | BS, "b"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "rt", ALL, "r"), ==, EFI_SUCCESS);
    fixture_go_to(service, AT_RUNTIME);
    g_assert_cmphex(uv_service_get(service, UV_DOOR_GUEST, &fixture_guid, name, &variable), ==,
                    EFI_NOT_FOUND);
    g_assert_cmphex(uv_service_next(service, UV_DOOR_GUEST, &fixture_guid, name, &variable), ==,
                    EFI_INVALID_PARAMETER);
    g_assert_null(variable);
    g_assert_cmphex(uv_service_get(service, UV_DOOR_HOST, &fixture_guid, name, &variable), ==,
                    EFI_SUCCESS);
    g_clear_pointer(&variable, uv_variable_unref);
    g_assert_cmphex(uv_service_next(service, UV_DOOR_HOST, &fixture_guid, name, &variable), ==,
                    EFI_SUCCESS);
    g_assert_true(uv_name_is(variable->name, "rt"));
    uv_variable_unref(variable);
}

static void test_empty_name(void)
{
    g_autoptr(UvService) service = fixture_service(NULL);
    UvVariable *variable = NULL;

    g_assert_cmphex(uv_service_get(service, UV_DOOR_GUEST, &fixture_guid, NULL, &variable), ==,
                    EFI_NOT_FOUND);
    g_assert_cmphex(fixture_set(service, "a", ALL, "1"), ==, EFI_SUCCESS);
    g_assert_cmphex(uv_service_next(service, UV_DOOR_GUEST, &fixture_guid, NULL, &variable), ==,
                    EFI_SUCCESS);
    g_assert_true(variable == uv_varset_first(uv_service_variables(service)));
    uv_variable_unref(variable);
}

/* The position is a name: deleting it ends the walk with an error, updating it does not. */
static void test_change_while_walking(void)
{
    g_autoptr(UvService) service = fixture_service(NULL);
    g_autoptr(UvName) a = uv_name_new_utf8("a", NULL);
    UvVariable *variable = NULL;

    g_assert_cmphex(fixture_set(service, "a", ALL, "1"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "b", ALL, "1"), ==, EFI_SUCCESS);
    g_assert_cmphex(fixture_set(service, "a", ALL, "2"), ==, EFI_SUCCESS); /* now the last */
    g_assert_cmphex(uv_service_next(service, UV_DOOR_GUEST, &fixture_guid, a, &variable), ==,
                    EFI_NOT_FOUND);
    g_assert_cmphex(fixture_set(service, "a", 0, ""), ==, EFI_SUCCESS);
    g_assert_cmphex(uv_service_next(service, UV_DOOR_GUEST, &fixture_guid, a, &variable), ==,
                    EFI_INVALID_PARAMETER);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(query_rows); i++) {
        g_autofree char *path = g_strconcat("/query/", query_rows[i].rule, NULL);
        g_test_add_data_func(path, &query_rows[i], test_query_row);
    }
    g_test_add_func("/query/figures", test_figures);
    g_test_add_func("/query/maximum-variable", test_maximum_variable);
    g_test_add_func("/query/full", test_full);
    g_test_add_func("/get/visibility", test_visibility);
    g_test_add_func("/get/empty-name", test_empty_name);
    g_test_add_func("/next/change-while-walking", test_change_while_walking);
    return g_test_run();
}
