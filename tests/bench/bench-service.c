/* SPDX-License-Identifier: GPL-2.0-or-later */

/* GetVariable and a step of GetNextVariableName, in sets that grow tenfold: both should cost the
 * same in each. The baseline is the smallest set of the same run. Figures only. */

#include "mm.h"
#include "uv-limits.h"

#include <stdio.h>
#include <string.h>

#define N_CALLS 200000

static const UvGuid guid = {{1, 2, 3}};

static UvName *name_of(unsigned i)
{
    g_autofree char *text = g_strdup_printf("Variable%06u", i);

    return uv_name_new_utf8(text, NULL);
}

static UvService *service_with(unsigned n_variables)
{
    const UvServiceConfig config = {.size_bytes = 8 * 1024 * 1024};
    UvService *service = uv_service_new(&config, NULL);
    g_autoptr(GPtrArray) variables =
        g_ptr_array_new_with_free_func((GDestroyNotify)uv_variable_unref);
    g_autoptr(GBytes) data = g_bytes_new("0123456789abcdef", 16);

    for (unsigned i = 0; i < n_variables; i++) {
        g_autoptr(UvName) name = name_of(i);
        const UvVariable fields = {.guid = guid, .name = name, .attributes = 7, .data = data};
        g_ptr_array_add(variables, uv_variable_new(&fields));
    }
    uv_service_load(service, variables);
    return service;
}

/* Nanoseconds a call, over names spread through the whole set. */
static double time_get(const UvService *service, unsigned n_variables)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func((GDestroyNotify)uv_name_unref);

    for (unsigned i = 0; i < 64; i++)
        g_ptr_array_add(names, name_of((uint64_t)i * n_variables / 64));
    const int64_t start = g_get_monotonic_time();
    for (unsigned i = 0; i < N_CALLS; i++) {
        g_autoptr(UvVariable) variable = NULL;
        if (uv_service_get(service, UV_DOOR_GUEST, &guid, g_ptr_array_index(names, i % 64),
                           &variable) != EFI_SUCCESS)
            g_error("a variable is missing");
    }
    return (g_get_monotonic_time() - start) * 1000.0 / N_CALLS;
}

static double time_next(const UvService *service)
{
    g_autoptr(UvVariable) at = NULL;
    const int64_t start = g_get_monotonic_time();

    for (unsigned i = 0; i < N_CALLS; i++) {
        UvVariable *next = NULL;
        if (uv_service_next(service, UV_DOOR_GUEST, at ? &at->guid : &guid, at ? at->name : NULL,
                            &next) != EFI_SUCCESS)
            next = NULL; /* the end: from the beginning */
        g_clear_pointer(&at, uv_variable_unref);
        at = next;
    }
    return (g_get_monotonic_time() - start) * 1000.0 / N_CALLS;
}

/* A whole MM message, as a guest sends it. */
static double time_mm_get(UvService *service)
{
    g_autoptr(UvName) name = name_of(0);
    uint32_t device;
    g_auto(UvWriter) message = uv_writer(UV_MM_BUFFER_MAX);

    uv_write_bytes(&message, uv_guid_smm_variable_protocol.bytes, sizeof(UvGuid));
    uv_write_u64(&message, 16 + 36 + uv_name_size_bytes(name) + 64);
    uv_write_u64(&message, EFI_MM_GET_VARIABLE);
    uv_write_u64(&message, 0);
    uv_write_bytes(&message, guid.bytes, sizeof(guid.bytes));
    uv_write_u64(&message, 64);
    uv_write_u64(&message, uv_name_size_bytes(name));
    uv_write_u32(&message, 0);
    uv_write_bytes(&message, uv_name_utf16le(name), uv_name_size_bytes(name));
    uv_write_zeros(&message, 64);
    const int64_t start = g_get_monotonic_time();
    for (unsigned i = 0; i < N_CALLS; i++)
        g_bytes_unref(uv_mm_handle(service, message.bytes, message.size, &device));
    return (g_get_monotonic_time() - start) * 1000.0 / N_CALLS;
}

int main(void)
{
    double get_base = 0, next_base = 0, mm_base = 0;

    for (unsigned n = 10; n <= 10000; n *= 10) {
        g_autoptr(UvService) service = service_with(n);
        const double get = time_get(service, n), next = time_next(service),
                     mm = time_mm_get(service);
        if (n == 10) {
            get_base = get;
            next_base = next;
            mm_base = mm;
        }
        printf("%5u variables: GetVariable %.0f ns (x%.2f), a step of GetNextVariableName %.0f ns "
               "(x%.2f), GetVariable as an MM message %.0f ns (x%.2f)\n",
               n, get, get / get_base, next, next / next_base, mm, mm / mm_base);
    }
    return 0;
}
