/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The bytes of a session, as they come in a state blob. An input is what follows magic, version
 * (both are tried) and length. Read or refused whole; what was read is written and read again as
 * the same.
 */

#include "fuzz.h"

#include "service.h"
#include "uv-limits.h"
#include "wire.h"

static UvService *service_with_variable(void)
{
    const UvServiceConfig config = {.size_bytes = UV_STORAGE_DEFAULT};
    UvService *service = uv_service_new(&config, NULL);
    g_autoptr(UvName) name = uv_name_new_utf8("n", NULL);
    g_autoptr(GBytes) data = g_bytes_new_static("1", 1);
    const UvVariable fields = {.guid = {{1}}, .name = name, .attributes = 7, .data = data};
    g_autoptr(UvVariable) variable = uv_variable_new(&fields);
    g_autoptr(GPtrArray) variables = g_ptr_array_new();

    g_ptr_array_add(variables, variable);
    uv_service_load(service, variables);
    return service;
}

static GBytes *write_session(const UvService *service)
{
    g_auto(UvWriter) writer = uv_writer(UV_WIRE_BLOB_MAX);

    uv_service_write_session(service, &writer);
    return uv_writer_steal(&writer);
}

static bool read_session(UvService *service, GBytes *bytes)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);
    UvReader reader = uv_reader(data, size);

    return uv_service_read_session(service, &reader) && uv_reader_done(&reader);
}

static GBytes *with_header(uint32_t version, const uint8_t *data, size_t size)
{
    g_auto(UvWriter) writer = uv_writer(size + 12);

    uv_write_bytes(&writer, "UVVS", 4);
    uv_write_u32(&writer, version);
    uv_write_u32(&writer, size);
    uv_write_bytes(&writer, data, size);
    return uv_writer_steal(&writer);
}

static void try_version(uint32_t version, const uint8_t *data, size_t size)
{
    g_autoptr(UvService) service = service_with_variable();
    g_autoptr(GBytes) untouched = write_session(service);
    g_autoptr(GBytes) input = with_header(version, data, size);

    if (!read_session(service, input)) {
        g_autoptr(GBytes) after = write_session(service);
        CHECK(g_bytes_equal(untouched, after));
        return;
    }
    g_autoptr(UvService) successor = service_with_variable();
    g_autoptr(GBytes) first = write_session(service);
    CHECK(read_session(successor, first));
    g_autoptr(GBytes) second = write_session(successor);
    CHECK(g_bytes_equal(first, second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_version(1, data, size);
    try_version(2, data, size);
    return 0;
}
