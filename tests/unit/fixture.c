/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "fixture.h"

#include <string.h>

const UvGuid fixture_guid = {{0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0xf0, 0xde, 0x11, 0x22, 0x33,
                              0x44, 0x55, 0x66, 0x77, 0x88}};

UvService *fixture_service(UvStore *store)
{
    const UvServiceConfig config = {.size_bytes = 65536, .varcheck = UV_VARCHECK_STRICT};
    UvService *service = uv_service_new(&config, store);

    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    return service;
}

void fixture_go_to(UvService *service, FixturePhase phase)
{
    if (phase >= AT_END_OF_DXE)
        g_assert_cmphex(uv_service_end_of_dxe(service), ==, EFI_SUCCESS);
    if (phase >= AT_READY_TO_BOOT)
        g_assert_cmphex(uv_service_ready_to_boot(service), ==, EFI_SUCCESS);
    if (phase >= AT_RUNTIME)
        g_assert_cmphex(uv_service_exit_boot_services(service), ==, EFI_SUCCESS);
}

EfiStatus fixture_request(UvService *service, const UvSetRequest *request)
{
    UvRefusal refusal = {.rule = "none", .text = "none"};
    const EfiStatus status = uv_service_set(service, request, &refusal);

    g_assert_cmpint(status != EFI_SUCCESS, ==, refusal.rule && refusal.text);
    return status;
}

EfiStatus fixture_set_bytes(UvService *service, UvDoor door, const char *name_text,
                            uint32_t attributes, const void *data, size_t size)
{
    g_autoptr(UvName) name = *name_text ? uv_name_new_utf8(name_text, NULL) : NULL;
    const UvSetRequest request = {
        .door = door,
        .guid = fixture_guid,
        .name = name,
        .attributes = attributes,
        .data = data,
        .data_bytes = size,
    };

    return fixture_request(service, &request);
}

EfiStatus fixture_set(UvService *service, const char *name, uint32_t attributes, const char *data)
{
    return fixture_set_bytes(service, UV_DOOR_GUEST, name, attributes, data, strlen(data));
}

char *fixture_content(const UvService *service)
{
    const UvVarset *set = uv_service_variables(service);
    g_autoptr(GString) text = g_string_new(NULL);

    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        g_autofree char *name = uv_name_to_utf8(v->name);
        if (uv_guid_equal(&v->guid, &fixture_guid))
            g_string_append_printf(text, "%s%s=%.*s", text->len ? " " : "", name,
                                   (int)g_bytes_get_size(v->data),
                                   (const char *)g_bytes_get_data(v->data, NULL));
    }
    return g_strdup(text->str);
}

UvVariable *fixture_get(const UvService *service, const char *name_text)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    UvVariable *variable = NULL;

    if (uv_service_get(service, UV_DOOR_HOST, &fixture_guid, name, &variable) != EFI_SUCCESS)
        return NULL;
    return variable;
}

UvVariable *fixture_variable(const char *name_text, uint32_t attributes, const char *data_text)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    g_autoptr(GBytes) data = g_bytes_new(data_text, strlen(data_text));
    const UvVariable fields = {
        .guid = fixture_guid, .name = name, .attributes = attributes, .data = data};

    return uv_variable_new(&fields);
}

/* ---- the store ---- */

static bool fail(const FixtureStore *store, GError **error)
{
    if (store->fail_with < 0)
        return false;
    g_set_error_literal(error, UV_STORE_ERROR, store->fail_with, "made to fail");
    return true;
}

static bool apply(UvStore *base, const UvChange *change, GError **error)
{
    FixtureStore *store = (FixtureStore *)base;

    g_assert_true(uv_change_touches_nv(change));
    store->applied++;
    return !fail(store, error);
}

static bool replace(UvStore *base, const UvVarset *set, GError **error)
{
    FixtureStore *store = (FixtureStore *)base;

    store->replaced++;
    return !fail(store, error);
}

static void touch(UvStore *base, const UvVariable *variable)
{
    ((FixtureStore *)base)->touched++;
}

static const UvStoreOps ops = {
    .format = "fixture", .apply = apply, .replace = replace, .touch = touch};

FixtureStore *fixture_store_new(void)
{
    FixtureStore *store = g_new0(FixtureStore, 1);

    store->store.ops = &ops;
    store->store.capacity_bytes = SIZE_MAX;
    store->fail_with = -1;
    return store;
}

void fixture_store_free(FixtureStore *store)
{
    g_free(store);
}
