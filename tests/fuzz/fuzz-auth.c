/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Authenticated writes: bytes for the variable, the attributes, the phase and CustomMode, then the
 * data with its EFI_VARIABLE_AUTHENTICATION_2, to a store with keys. A refused write changes
 * nothing, and whatever is written the modes fit the keys.
 */

#include "fuzz.h"

#include "keys.h"
#include "service.h"

#include <string.h>

#define KEYS                                                                                       \
    (EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS |   \
     EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS)

typedef struct {
    const UvGuid *guid;
    const char *name;
} Target;

static const UvGuid private_guid = UV_GUID(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
static const Target targets[] = {
    {&uv_guid_global_variable, "PK"},
    {&uv_guid_global_variable, "KEK"},
    {&uv_guid_image_security, "db"},
    {&uv_guid_image_security, "dbx"},
    {&private_guid, "P"},
    {&private_guid, "new"},
};

static void add(GPtrArray *variables, const Target *target, GBytes *data, GBytes *digest)
{
    g_autoptr(UvName) name = uv_name_new_utf8(target->name, NULL);

    g_ptr_array_add(variables, uv_variable_new(&(UvVariable){.guid = *target->guid,
                                                             .name = name,
                                                             .attributes = KEYS,
                                                             .data = data,
                                                             .digest = digest}));
}

static GBytes *certificate_list(void)
{
    static const UvGuid x509 =
        UV_GUID(0xa5c059a1, 0x94e4, 0x4aa7, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72);
    g_auto(UvWriter) writer = uv_writer(4096);

    uv_write_bytes(&writer, x509.bytes, 16);
    uv_write_u32(&writer, 28 + 16 + sizeof(fuzz_certificate));
    uv_write_u32(&writer, 0);
    uv_write_u32(&writer, 16 + sizeof(fuzz_certificate));
    uv_write_zeros(&writer, 16);
    uv_write_bytes(&writer, fuzz_certificate, sizeof(fuzz_certificate));
    return uv_writer_steal(&writer);
}

static UvService *new_service(uint8_t bits)
{
    const UvServiceConfig config = {.size_bytes = 65536,
                                    .disable_custom_mode = bits & 4,
                                    .force_secure_boot = bits & 8,
                                    .keeps_certdb = bits & 16};
    UvService *service = uv_service_new(&config, NULL);
    g_autoptr(GPtrArray) variables =
        g_ptr_array_new_with_free_func((GDestroyNotify)uv_variable_unref);
    g_autoptr(GBytes) list = certificate_list();
    g_autoptr(GBytes) digest = g_bytes_new_static(fuzz_identity, sizeof(fuzz_identity));

    if (!(bits & 1))
        add(variables, &targets[0], list, NULL);
    add(variables, &targets[1], list, NULL);
    add(variables, &targets[2], list, NULL);
    add(variables, &targets[4], list, digest);
    uv_service_load(service, variables);
    (void)!uv_service_cold_start(service);
    return service;
}

static EfiStatus set(UvService *service, const Target *target, uint32_t attributes,
                     const uint8_t *data, size_t size)
{
    g_autoptr(UvName) name = uv_name_new_utf8(target->name, NULL);
    const UvSetRequest request = {
        .guid = *target->guid,
        .name = name,
        .attributes = attributes,
        .data = data,
        .data_bytes = size,
    };

    UvRefusal refusal;
    const EfiStatus status = uv_service_set(service, &request, &refusal);

    CHECK((status != EFI_SUCCESS) == (refusal.rule && refusal.text));
    return status;
}

static guint fingerprint(const UvService *service)
{
    const UvVarset *set = uv_service_variables(service);
    guint sum = 0;

    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v))
        sum = sum * 31 + g_bytes_hash(v->data) + uv_name_hash(v->name) + v->time[6];
    return sum;
}

static int byte_of(const UvService *service, const char *name_text)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    const UvVariable *variable =
        uv_varset_lookup(uv_service_variables(service), &uv_guid_global_variable, name);

    return variable ? *(const uint8_t *)g_bytes_get_data(variable->data, NULL) : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const Target custom_mode = {&uv_guid_custom_mode, "CustomMode"};

    if (size < 3)
        return 0;
    const Target *target = &targets[data[0] % G_N_ELEMENTS(targets)];
    g_autoptr(UvService) service = new_service(data[2]);
    if (data[2] & 2)
        (void)!set(service, &custom_mode, 3, (const uint8_t *)"\1", 1);
    if (data[2] & 32)
        (void)!uv_service_exit_boot_services(service);
    const guint before = fingerprint(service);
    const EfiStatus status =
        set(service, target, data[1] & EFI_VARIABLE_ATTRIBUTES_MASK, data + 3, size - 3);
    CHECK(status == EFI_SUCCESS || fingerprint(service) == before);
    g_autoptr(UvName) pk = uv_name_new_utf8("PK", NULL);
    const bool has_pk =
        uv_varset_lookup(uv_service_variables(service), &uv_guid_global_variable, pk);
    CHECK(byte_of(service, "SetupMode") == !has_pk);
    return 0;
}
