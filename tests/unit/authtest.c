/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "authtest.h"

#include <string.h>

Signer *auth_pk, *auth_kek, *auth_db, *auth_stranger;
GBytes *auth_nothing, *auth_hashes;

void auth_make_keys(void)
{
    auth_pk = signer_new("pk", GNUTLS_PK_RSA, 2048, NULL, true);
    auth_kek = signer_new("kek", GNUTLS_PK_ECDSA, 256, NULL, true);
    auth_db = signer_new("db", GNUTLS_PK_ECDSA, 256, NULL, true);
    auth_stranger = signer_new("kek", GNUTLS_PK_ECDSA, 256, NULL, true);
    auth_nothing = g_bytes_new_static("", 0);
    auth_hashes = sign_hash_list(7, (const uint8_t[]){1, 2, 3}, 3);
}

void auth_free_keys(void)
{
    signer_free(auth_pk);
    signer_free(auth_kek);
    signer_free(auth_db);
    signer_free(auth_stranger);
    g_bytes_unref(auth_nothing);
    g_bytes_unref(auth_hashes);
}

UvService *auth_service(UvServiceConfig config)
{
    config.size_bytes = 262144;
    UvService *service = uv_service_new(&config, NULL);

    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    return service;
}

EfiStatus auth_try(UvService *service, UvDoor door, UvGuid guid, const char *name_text,
                   uint32_t attributes, GBytes *data, UvRefusal *ret_refusal)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(data, &size);
    const UvSetRequest request = {
        .door = door,
        .guid = guid,
        .name = name,
        .attributes = attributes,
        .data = bytes,
        .data_bytes = size,
    };

    return uv_service_set(service, &request, ret_refusal);
}

EfiStatus auth_set_door(UvService *service, UvDoor door, UvGuid guid, const char *name,
                        uint32_t attributes, GBytes *data)
{
    UvRefusal refusal;
    const EfiStatus status = auth_try(service, door, guid, name, attributes, data, &refusal);

    g_assert_cmpint(status != EFI_SUCCESS, ==, refusal.rule != NULL);
    if (status != EFI_SUCCESS)
        g_test_message("%s: %s %s", name, refusal.rule, refusal.text);
    return status;
}

/* Takes ownership of `data`. */
EfiStatus auth_set(UvService *service, UvGuid guid, const char *name, uint32_t attributes,
                   GBytes *data)
{
    g_autoptr(GBytes) owned = data;

    return auth_set_door(service, UV_DOOR_GUEST, guid, name, attributes, owned);
}

EfiStatus auth_set_byte(UvService *service, UvGuid guid, const char *name, uint32_t attributes,
                        uint8_t value)
{
    return auth_set(service, guid, name, attributes, g_bytes_new(&value, 1));
}

/* Signs and sets. */
EfiStatus auth_write(UvService *service, const Signer *signer, UvGuid guid, const char *name,
                     uint32_t attributes, unsigned second, GBytes *content)
{
    return auth_set(service, guid, name, attributes,
                    sign_write(signer, &guid, name, attributes, second, content));
}

GBytes *auth_get(UvService *service, UvGuid guid, const char *name_text)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    g_autoptr(UvVariable) variable = NULL;

    if (uv_service_get(service, UV_DOOR_HOST, &guid, name, &variable) != EFI_SUCCESS)
        return NULL;
    return g_bytes_ref(variable->data);
}

/* -1: not there. */
int auth_get_byte(UvService *service, UvGuid guid, const char *name)
{
    g_autoptr(GBytes) data = auth_get(service, guid, name);

    return data && g_bytes_get_size(data) == 1 ? *(const uint8_t *)g_bytes_get_data(data, NULL)
                                               : -1;
}

bool auth_has(UvService *service, UvGuid guid, const char *name, GBytes *content)
{
    g_autoptr(GBytes) data = auth_get(service, guid, name);

    return data && g_bytes_equal(data, content);
}

void auth_check_modes(UvService *service, int setup, int secure_boot, int enable)
{
    g_assert_cmpint(auth_get_byte(service, GLOBAL, "SetupMode"), ==, setup);
    g_assert_cmpint(auth_get_byte(service, GLOBAL, "SecureBoot"), ==, secure_boot);
    g_assert_cmpint(auth_get_byte(service, uv_guid_secure_boot_enable, "SecureBootEnable"), ==,
                    enable);
}

/* PK, KEK and db with one key each. */
void auth_enrol(UvService *service)
{
    g_autoptr(GBytes) pk_list = sign_list(auth_pk), kek_list = sign_list(auth_kek),
                      db_list = sign_list(auth_db);

    g_assert_cmphex(auth_write(service, NULL, IMAGE, "db", KEYS, 1, db_list), ==, EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, NULL, GLOBAL, "KEK", KEYS, 1, kek_list), ==, EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "PK", KEYS, 1, pk_list), ==, EFI_SUCCESS);
}

UvService *auth_enrolled(UvServiceConfig config)
{
    UvService *service = auth_service(config);

    auth_enrol(service);
    return service;
}
