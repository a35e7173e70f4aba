/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The keys of Secure Boot through the service: who may write them, and how (rules 2.5, 2.6). */

#include <string.h>

#include "authtest.h"

static void test_setup_mode(void)
{
    g_autoptr(UvService) service = auth_service((UvServiceConfig){0});
    g_autoptr(GBytes) pk_list = sign_list(auth_pk), hash = g_bytes_ref(auth_hashes);

    auth_check_modes(service, 1, 0, -1);
    g_assert_cmphex(auth_write(service, NULL, GLOBAL, "PK", KEYS, 1, pk_list), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, auth_kek, GLOBAL, "PK", KEYS, 1, pk_list), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "PK", KEYS, 1, hash), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "PK", KEYS, 1, auth_nothing), ==,
                    EFI_SECURITY_VIOLATION);
    auth_check_modes(service, 1, 0, -1);
    auth_enrol(service);
    auth_check_modes(service, 0, 1, 1);
    g_assert_cmpint(auth_get_byte(service, GLOBAL, "AuditMode"), ==, 0);
    g_assert_cmpint(auth_get_byte(service, GLOBAL, "DeployedMode"), ==, 0);
    g_assert_cmpint(auth_get_byte(service, GLOBAL, "VendorKeys"), ==, 1);
}

static void test_who_signs(void)
{
    static const struct {
        const char *name;
        bool by_pk, by_kek, by_db;
    } rows[] = {
        {"PK", true, false, false}, {"KEK", true, false, false}, {"db", true, true, false},
        {"dbx", true, true, false}, {"dbt", true, true, false},  {"dbr", true, true, false},
    };
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) pk_list = sign_list(auth_pk);
    unsigned second = 10;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const UvGuid guid = i < 2 ? GLOBAL : IMAGE;
        GBytes *content = i == 0 ? pk_list : auth_hashes;
        const struct {
            const Signer *signer;
            bool allowed;
        } who[] = {
            {NULL, false},
            {auth_stranger, false},
            {auth_pk, rows[i].by_pk},
            {auth_kek, rows[i].by_kek},
            {auth_db, rows[i].by_db},
        };

        if (i == 1) /* keep KEK as it is: others need it */
            continue;
        for (size_t j = 0; j < G_N_ELEMENTS(who); j++) {
            g_test_message("%s by %zu", rows[i].name, j);
            g_assert_cmphex(
                auth_write(service, who[j].signer, guid, rows[i].name, KEYS, second++, content), ==,
                who[j].allowed ? EFI_SUCCESS : EFI_SECURITY_VIOLATION);
        }
    }
    g_assert_cmphex(auth_write(service, auth_kek, GLOBAL, "KEK", KEYS, 90, auth_hashes), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "KEK", KEYS, 90, auth_hashes), ==,
                    EFI_SUCCESS);
    /* Without a certificate in KEK, PK is left. */
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "db", KEYS, 91, auth_hashes), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "KEK", KEYS, 92, auth_nothing), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "db", KEYS, 93, auth_hashes), ==,
                    EFI_SECURITY_VIOLATION);
}

static void test_time_stamps(void)
{
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) more = sign_hash_list(9, (const uint8_t[]){9}, 1);
    uint8_t time[16];

    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS, 50, auth_hashes), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS, 50, more), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS, 49, more), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_true(auth_has(service, IMAGE, "dbx", auth_hashes));
    /* An append may be older; the time stays the newest. */
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS | APPEND, 40, more), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS, 45, more), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS, 51, more), ==, EFI_SUCCESS);

    for (size_t i = 7; i < 16; i++) {
        sign_time(60, time);
        time[i] = 1;
        g_autoptr(GBytes) content = sign_content(&IMAGE, "dbx", KEYS, time, more);
        g_autoptr(GBytes) pkcs7 = sign_pkcs7(auth_kek, GNUTLS_DIG_SHA256, content,
                                             (const Signer *const[]){auth_kek, NULL});
        g_assert_cmphex(auth_set(service, IMAGE, "dbx", KEYS, sign_write_with(pkcs7, time, more)),
                        ==, EFI_SECURITY_VIOLATION);
    }
}

static void test_appends(void)
{
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) first = sign_hash_list(1, (const uint8_t[]){1, 2}, 2);
    g_autoptr(GBytes) overlapping = sign_hash_list(1, (const uint8_t[]){2, 3}, 2);
    g_autoptr(GBytes) fresh = sign_hash_list(1, (const uint8_t[]){3}, 1);
    g_autoptr(GByteArray) both = g_byte_array_new();

    g_byte_array_append(both, g_bytes_get_data(first, NULL), g_bytes_get_size(first));
    g_byte_array_append(both, g_bytes_get_data(fresh, NULL), g_bytes_get_size(fresh));
    g_autoptr(GBytes) expected = g_bytes_new(both->data, both->len);

    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS | APPEND, 10, first), ==,
                    EFI_SUCCESS);
    g_assert_true(auth_has(service, IMAGE, "dbx", first));
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS | APPEND, 11, overlapping), ==,
                    EFI_SUCCESS);
    g_assert_true(auth_has(service, IMAGE, "dbx", expected));
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS | APPEND, 12, overlapping), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS | APPEND, 13, auth_nothing),
                    ==, EFI_SUCCESS);
    g_assert_true(auth_has(service, IMAGE, "dbx", expected));
    /* A signature for a set is none for an append. */
    g_assert_cmphex(auth_set(service, IMAGE, "dbx", KEYS | APPEND,
                             sign_write(auth_kek, &IMAGE, "dbx", KEYS, 14, fresh)),
                    ==, EFI_SECURITY_VIOLATION);
}

/* An append that adds nothing moves the time stamp: nothing older can be replayed after it. */
static void test_empty_appends(void)
{
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) one = sign_hash_list(1, (const uint8_t[]){1}, 1);
    g_autoptr(GBytes) two = sign_hash_list(1, (const uint8_t[]){2}, 1);
    g_autoptr(UvName) name = uv_name_new_utf8("dbx", NULL);
    g_autoptr(UvVariable) before = NULL, after = NULL;

    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS, 10, one), ==, EFI_SUCCESS);
    g_assert_cmphex(uv_service_get(service, UV_DOOR_HOST, &IMAGE, name, &before), ==, EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS | APPEND, 30, one), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS, 20, two), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_true(auth_has(service, IMAGE, "dbx", one));
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS | APPEND, 40, auth_nothing),
                    ==, EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS, 35, two), ==,
                    EFI_SECURITY_VIOLATION);
    /* Nothing has changed for whoever reads the file. */
    g_assert_cmphex(uv_service_get(service, UV_DOOR_HOST, &IMAGE, name, &after), ==, EFI_SUCCESS);
    g_assert_cmpint(after->mtime_ns, ==, before->mtime_ns);
    /* An older one leaves it; a set that is newer goes through. */
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS | APPEND, 5, one), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS, 40, two), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS, 41, two), ==, EFI_SUCCESS);
}

/* PK holds one signature, in whatever way a second one comes. */
static void test_append_to_pk(void)
{
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) same = sign_list(auth_pk), other = sign_list(auth_stranger);

    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "PK", KEYS | APPEND, 10, other), ==,
                    EFI_INVALID_PARAMETER);
    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "PK", KEYS | APPEND, 11, same), ==,
                    EFI_SUCCESS);
    g_assert_true(auth_has(service, GLOBAL, "PK", same));
    g_assert_cmphex(auth_set_byte(service, uv_guid_custom_mode, "CustomMode", NV | BS, 1), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, NULL, GLOBAL, "PK", KEYS | APPEND, 12, other), ==,
                    EFI_INVALID_PARAMETER);
    g_assert_true(auth_has(service, GLOBAL, "PK", same));
    g_assert_cmphex(auth_write(service, NULL, GLOBAL, "PK", KEYS, 13, auth_nothing), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "PK", KEYS | APPEND, 14, same), ==,
                    EFI_SUCCESS);
    g_assert_true(auth_has(service, GLOBAL, "PK", same));
}

/*
 * One byte of a signed write is another one. Refused, whichever it is, but for fields of the PKCS#7
 * that nothing signs and nothing is read from (versions, the content's type): then what is stored
 * is what was signed.
 */
static void test_changed_byte(void)
{
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) whole = sign_write(auth_kek, &IMAGE, "dbx", KEYS, 10, auth_hashes);
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(whole, &size);
    const size_t content_at = size - g_bytes_get_size(auth_hashes);
    unsigned accepted = 0;

    for (size_t i = 0; i < size; i += i < 40 ? 1 : 3) {
        uint8_t *changed = g_memdup2(bytes, size);

        changed[i] ^= 0x55;
        if (auth_set(service, IMAGE, "dbx", KEYS, g_bytes_new_take(changed, size)) != EFI_SUCCESS)
            continue;
        g_assert_true(i == 20 || i == 21 || (i >= 40 && i < content_at)); /* 20: wRevision */
        g_assert_true(auth_has(service, IMAGE, "dbx", auth_hashes));
        g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", KEYS, 11, auth_nothing), ==,
                        EFI_SUCCESS);
        accepted++;
    }
    g_assert_cmpuint(accepted, <, 12);
    g_assert_cmphex(auth_set(service, IMAGE, "dbt", KEYS, g_bytes_ref(whole)), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_set(service, IMAGE, "dbx", KEYS, g_bytes_ref(whole)), ==, EFI_SUCCESS);
}

static void test_forms(void)
{
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) cut =
        g_bytes_new_from_bytes(auth_hashes, 0, g_bytes_get_size(auth_hashes) - 1);
    g_autoptr(GBytes) two = sign_hash_list(0, (const uint8_t[]){1, 2}, 2);

    /* A well-signed malformed list: PK's own word is INVALID_PARAMETER; for auth_db KEK has the
     * last. */
    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "KEK", KEYS, 10, cut), ==,
                    EFI_INVALID_PARAMETER);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "db", KEYS, 10, cut), ==,
                    EFI_INVALID_PARAMETER);
    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "PK", KEYS, 10, two), ==,
                    EFI_INVALID_PARAMETER);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", NV | BS | RT, 10, auth_hashes), ==,
                    EFI_INVALID_PARAMETER);
    g_assert_cmphex(auth_write(service, auth_kek, IMAGE, "dbx", BS | RT | AT, 10, auth_hashes), ==,
                    EFI_INVALID_PARAMETER);
    g_assert_cmphex(auth_set(service, IMAGE, "db", 0, g_bytes_ref(auth_nothing)), ==,
                    EFI_INVALID_PARAMETER);
}

/* Every way to lose a key without its owner's signature. */
static void test_unsigned_deletion(void)
{
    static const char *const names[] = {"PK", "KEK", "db"};
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const UvGuid guid = i < 2 ? GLOBAL : IMAGE;

        for (UvDoor door = UV_DOOR_GUEST; door <= UV_DOOR_HOST; door++) {
            g_assert_cmphex(auth_set_door(service, door, guid, names[i], 0, auth_nothing), ==,
                            EFI_INVALID_PARAMETER);
            g_assert_cmphex(auth_set_door(service, door, guid, names[i], KEYS, auth_nothing), ==,
                            EFI_SECURITY_VIOLATION);
            g_assert_cmphex(
                auth_set_door(service, door, guid, names[i], NV | BS | RT, auth_nothing), ==,
                EFI_INVALID_PARAMETER);
        }
        g_assert_cmphex(auth_write(service, NULL, guid, names[i], KEYS, 20, auth_nothing), ==,
                        EFI_SECURITY_VIOLATION);
        g_assert_cmphex(auth_write(service, auth_stranger, guid, names[i], KEYS, 20, auth_nothing),
                        ==, EFI_SECURITY_VIOLATION);
    }
    auth_check_modes(service, 0, 1, 1);
    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "PK", KEYS, 20, auth_nothing), ==,
                    EFI_SUCCESS);
    auth_check_modes(service, 1, 0, -1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    auth_make_keys();
    g_test_add_func("/auth/setup-mode", test_setup_mode);
    g_test_add_func("/auth/who-signs", test_who_signs);
    g_test_add_func("/auth/time-stamps", test_time_stamps);
    g_test_add_func("/auth/appends", test_appends);
    g_test_add_func("/auth/empty-appends", test_empty_appends);
    g_test_add_func("/auth/append-to-pk", test_append_to_pk);
    g_test_add_func("/auth/changed-byte", test_changed_byte);
    g_test_add_func("/auth/forms", test_forms);
    g_test_add_func("/auth/unsigned-deletion", test_unsigned_deletion);
    const int result = g_test_run();
    auth_free_keys();
    return result;
}
