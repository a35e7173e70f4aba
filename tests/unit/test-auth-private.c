/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Private authenticated variables: whoever signed first (rules 2.7). */

#include <string.h>

#include "authtest.h"
#include "pkcs7.h"

#define PRIVATE fixture_guid

static GBytes *digest_of(UvService *service, const char *name)
{
    g_autoptr(UvVariable) variable = fixture_get(service, name);

    return variable && variable->digest ? g_bytes_ref(variable->digest) : NULL;
}

static void private_cycle(UvService *service)
{
    g_autoptr(GBytes) one = g_bytes_new_static("one", 3), two = g_bytes_new_static("two", 3);
    g_autoptr(GBytes) onetwo = g_bytes_new_static("onetwo", 6);

    g_assert_cmphex(auth_write(service, NULL, PRIVATE, "P", KEYS, 10, one), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, auth_kek, PRIVATE, "P", KEYS, 10, auth_nothing), ==,
                    EFI_NOT_FOUND);
    g_assert_cmphex(auth_write(service, auth_kek, PRIVATE, "P", KEYS, 10, one), ==, EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_stranger, PRIVATE, "P", KEYS, 11, two), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, auth_kek, PRIVATE, "P", KEYS, 10, two), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, auth_kek, PRIVATE, "P", KEYS | APPEND, 9, two), ==,
                    EFI_SUCCESS);
    g_assert_true(auth_has(service, PRIVATE, "P", onetwo));
    /* An append of nothing by its signer moves the time stamp. */
    g_assert_cmphex(auth_write(service, auth_kek, PRIVATE, "P", KEYS | APPEND, 11, auth_nothing),
                    ==, EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_kek, PRIVATE, "P", KEYS, 11, two), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(
        auth_write(service, auth_stranger, PRIVATE, "P", KEYS | APPEND, 90, auth_nothing), ==,
        EFI_SECURITY_VIOLATION);
    /* The ways around: without authentication, by attributes, by size, from the host. */
    for (UvDoor door = UV_DOOR_GUEST; door <= UV_DOOR_HOST; door++) {
        g_assert_cmphex(auth_set_door(service, door, PRIVATE, "P", 0, auth_nothing), ==,
                        EFI_WRITE_PROTECTED);
        g_assert_cmphex(auth_set_door(service, door, PRIVATE, "P", NV | BS | RT, two), ==,
                        EFI_INVALID_PARAMETER);
        g_assert_cmphex(auth_set_door(service, door, PRIVATE, "P", KEYS, auth_nothing), ==,
                        EFI_SECURITY_VIOLATION);
    }
    g_assert_cmphex(auth_write(service, NULL, PRIVATE, "P", KEYS, 12, auth_nothing), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, auth_stranger, PRIVATE, "P", KEYS, 12, auth_nothing), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_true(auth_has(service, PRIVATE, "P", onetwo));
    g_assert_cmphex(auth_write(service, auth_kek, PRIVATE, "P", KEYS, 12, two), ==, EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_kek, PRIVATE, "Q", KEYS, 12, two), ==, EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_kek, PRIVATE, "P", KEYS, 13, auth_nothing), ==,
                    EFI_SUCCESS);
    g_assert_null(fixture_get(service, "P"));
    /* Gone is gone: anybody's. */
    g_assert_cmphex(auth_write(service, auth_stranger, PRIVATE, "P", KEYS, 1, one), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_kek, PRIVATE, "P", KEYS, 20, two), ==,
                    EFI_SECURITY_VIOLATION);
}

static void test_private(void)
{
    g_autoptr(UvService) service = auth_service((UvServiceConfig){0});
    g_autoptr(GBytes) one = g_bytes_new_static("one", 3);

    private_cycle(service);
    g_autoptr(GBytes) digest = digest_of(service, "Q");
    g_assert_nonnull(digest);
    g_assert_cmpuint(g_bytes_get_size(digest), ==, 32);
    g_assert_null(auth_get(service, uv_guid_cert_db, "certdb"));
    /* CustomMode waives nothing here. */
    g_assert_cmphex(auth_set_byte(service, uv_guid_custom_mode, "CustomMode", NV | BS, 1), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, NULL, PRIVATE, "Q", KEYS, 40, one), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, NULL, PRIVATE, "Q", KEYS, 40, auth_nothing), ==,
                    EFI_SECURITY_VIOLATION);
}

/* A variable as some store gives it, put into the service. */
static void load_private(UvService *service, GBytes *digest)
{
    g_autoptr(GPtrArray) variables = g_ptr_array_new();
    g_autoptr(UvName) name = uv_name_new_utf8("L", NULL);
    g_autoptr(GBytes) data = g_bytes_new_static("loaded", 6);
    g_autoptr(UvVariable) variable = uv_variable_new(&(UvVariable){
        .guid = PRIVATE, .name = name, .attributes = KEYS, .data = data, .digest = digest});

    g_ptr_array_add(variables, variable);
    uv_service_load(service, variables);
}

/* `digest` in edk2's sense, as python-uefivars writes it, becomes QEMU's with the next write. */
static void test_private_digests(void)
{
    g_autoptr(UvService) service = auth_service((UvServiceConfig){0});
    g_autoptr(GBytes) one = g_bytes_new_static("one", 3);
    gsize size;

    g_assert_cmphex(auth_write(service, auth_kek, PRIVATE, "Q", KEYS, 1, one), ==, EFI_SUCCESS);
    g_autoptr(GBytes) of_qemu = digest_of(service, "Q");
    g_autoptr(GBytes) whole = sign_write(auth_kek, &PRIVATE, "L", KEYS, 30, one);
    const uint8_t *bytes = g_bytes_get_data(whole, &size);
    g_autoptr(UvPkcs7) pkcs7 = uv_pkcs7_parse(bytes + 40, size - 40);
    g_autoptr(GBytes) of_edk2 = uv_pkcs7_identity_edk2(pkcs7);

    load_private(service, of_edk2);
    g_assert_cmphex(auth_write(service, auth_stranger, PRIVATE, "L", KEYS, 30, one), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_set(service, PRIVATE, "L", KEYS, g_bytes_ref(whole)), ==, EFI_SUCCESS);
    g_autoptr(GBytes) now = digest_of(service, "L");
    g_assert_true(g_bytes_equal(now, of_qemu));

    load_private(service, of_qemu);
    g_assert_cmphex(auth_set(service, PRIVATE, "L", KEYS, g_bytes_ref(whole)), ==, EFI_SUCCESS);
    load_private(service, NULL); /* a converter lost it: nobody's, not anybody's */
    g_assert_cmphex(auth_set(service, PRIVATE, "L", KEYS, g_bytes_ref(whole)), ==,
                    EFI_SECURITY_VIOLATION);
}

static void test_certdb(void)
{
    g_autoptr(UvService) service = auth_service((UvServiceConfig){.keeps_certdb = true});
    static const uint8_t empty[] = {4, 0, 0, 0};
    g_autoptr(GBytes) none = g_bytes_new_static(empty, sizeof(empty));

    g_assert_true(auth_has(service, uv_guid_cert_db, "certdb", none));
    g_assert_true(auth_has(service, uv_guid_cert_db, "certdbv", none));
    private_cycle(service);
    g_assert_null(digest_of(service, "Q"));
    /* P (a auth_stranger's) and Q: GUID, sizes, one letter, SHA-256; newest last. */
    g_autoptr(GBytes) certdb = auth_get(service, uv_guid_cert_db, "certdb");
    const uint8_t *bytes = g_bytes_get_data(certdb, NULL);
    g_assert_cmpuint(g_bytes_get_size(certdb), ==, 4 + 2 * (28 + 2 + 32));
    g_assert_cmpuint(bytes[0], ==, g_bytes_get_size(certdb));
    g_assert_cmpmem(bytes + 4, 16, PRIVATE.bytes, 16);
    g_assert_cmpmem(bytes + 20, 12, "\x3e\0\0\0\1\0\0\0\x20\0\0\0", 12);
    g_assert_cmpmem(bytes + 32, 2, "Q\0", 2);
    g_assert_cmpmem(bytes + 66 + 28, 2, "P\0", 2);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    g_assert_true(auth_has(service, uv_guid_cert_db, "certdb", certdb));

    /* Entries of variables that are gone go at boot. */
    g_autoptr(GPtrArray) variables = g_ptr_array_new();
    g_autoptr(UvName) name = uv_name_new_utf8("certdb", NULL);
    g_autoptr(UvVariable) orphans = uv_variable_new(
        &(UvVariable){.guid = uv_guid_cert_db, .name = name, .attributes = KEYS, .data = certdb});
    g_ptr_array_add(variables, orphans);
    uv_service_load(service, variables);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    g_assert_true(auth_has(service, uv_guid_cert_db, "certdb", none));
}

/* A certdb that says nonsense lets nobody in, and is left alone. */
/* An identity that came from a JSON store: certdb has it as QEMU spells it until the next write. */
static void test_certdb_respelled(void)
{
    g_autoptr(UvService) json = auth_service((UvServiceConfig){0});
    g_autoptr(UvService) flash = auth_service((UvServiceConfig){.keeps_certdb = true});
    g_autoptr(GPtrArray) variables = g_ptr_array_new();
    g_autoptr(GBytes) one = g_bytes_new_static("one", 3);

    g_assert_cmphex(auth_write(json, auth_kek, PRIVATE, "P", KEYS, 1, one), ==, EFI_SUCCESS);
    g_assert_cmphex(auth_write(flash, auth_kek, PRIVATE, "P", KEYS, 1, one), ==, EFI_SUCCESS);
    g_autoptr(GBytes) of_qemu = digest_of(json, "P");
    g_autoptr(GBytes) expected = auth_get(flash, uv_guid_cert_db, "certdb");

    g_autoptr(UvVariable) variable = fixture_get(json, "P");
    g_ptr_array_add(variables, variable);
    g_assert_true(uv_service_replace(flash, variables, NULL));
    g_autoptr(GBytes) loaded = auth_get(flash, uv_guid_cert_db, "certdb");
    g_assert_cmpmem((const uint8_t *)g_bytes_get_data(loaded, NULL) + 4 + 28 + 2, 32,
                    g_bytes_get_data(of_qemu, NULL), 32);
    g_assert_cmphex(auth_write(flash, auth_stranger, PRIVATE, "P", KEYS, 2, one), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_true(auth_has(flash, uv_guid_cert_db, "certdb", loaded));
    g_assert_cmphex(auth_write(flash, auth_kek, PRIVATE, "P", KEYS, 2, one), ==, EFI_SUCCESS);
    g_assert_true(auth_has(flash, uv_guid_cert_db, "certdb", expected));
}

/* virt-fw-vars makes JSON of an image with certdb as it is, and without digests. */
static void test_certdb_of_a_converter(void)
{
    g_autoptr(UvService) flash = auth_service((UvServiceConfig){.keeps_certdb = true});
    g_autoptr(UvService) json = auth_service((UvServiceConfig){0});
    g_autoptr(GPtrArray) variables = g_ptr_array_new();
    g_autoptr(GBytes) one = g_bytes_new_static("one", 3);

    g_assert_cmphex(auth_write(flash, auth_kek, PRIVATE, "P", KEYS, 1, one), ==, EFI_SUCCESS);
    g_autoptr(GBytes) certdb = auth_get(flash, uv_guid_cert_db, "certdb");
    const UvVarset *set = uv_service_variables(flash);
    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v))
        g_ptr_array_add(variables, (gpointer)v);
    uv_service_load(json, variables);
    g_assert_cmphex(auth_write(json, auth_stranger, PRIVATE, "P", KEYS, 2, one), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(json, auth_kek, PRIVATE, "P", KEYS, 2, one), ==, EFI_SUCCESS);
    g_assert_true(auth_has(json, uv_guid_cert_db, "certdb", certdb));
    /* Its next owner is not the one in certdb. */
    g_assert_cmphex(auth_write(json, auth_kek, PRIVATE, "P", KEYS, 3, auth_nothing), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(auth_write(json, auth_stranger, PRIVATE, "P", KEYS, 4, one), ==, EFI_SUCCESS);
    g_assert_cmphex(auth_write(json, auth_kek, PRIVATE, "P", KEYS, 5, one), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_true(auth_has(json, uv_guid_cert_db, "certdb", certdb));
}

static void test_certdb_malformed(void)
{
    static const char *const contents[] = {"", "\4", "\5\0\0\0", "\x10\0\0\0xxxxxxxxxxxx"};
    g_autoptr(GBytes) one = g_bytes_new_static("one", 3);

    for (size_t i = 0; i < G_N_ELEMENTS(contents); i++) {
        g_autoptr(UvService) service = auth_service((UvServiceConfig){.keeps_certdb = true});
        g_autoptr(GPtrArray) variables = g_ptr_array_new();
        g_autoptr(UvName) name = uv_name_new_utf8("certdb", NULL);
        const size_t size = i == 2 ? 4 : i == 3 ? 16 : strlen(contents[i]);
        g_autoptr(GBytes) data = g_bytes_new(contents[i], size);
        g_autoptr(UvVariable) bad = uv_variable_new(
            &(UvVariable){.guid = uv_guid_cert_db, .name = name, .attributes = KEYS, .data = data});

        g_ptr_array_add(variables, bad);
        uv_service_load(service, variables);
        g_assert_cmphex(auth_write(service, auth_kek, PRIVATE, "N", KEYS, 1, one), ==,
                        EFI_SECURITY_VIOLATION);
        g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
        g_assert_true(auth_has(service, uv_guid_cert_db, "certdb", data));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    auth_make_keys();
    g_test_add_func("/auth-private/private", test_private);
    g_test_add_func("/auth-private/private-digests", test_private_digests);
    g_test_add_func("/auth-private/certdb", test_certdb);
    g_test_add_func("/auth-private/certdb-respelled", test_certdb_respelled);
    g_test_add_func("/auth-private/certdb-of-a-converter", test_certdb_of_a_converter);
    g_test_add_func("/auth-private/certdb-malformed", test_certdb_malformed);
    const int result = g_test_run();
    auth_free_keys();
    return result;
}
