/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Authenticated variables and modes through the service (semantics 2.5 to 2.8). */

#include <string.h>

#include "fixture.h"
#include "pkcs7.h"
#include "signing.h"

#define KEYS (NV | BS | RT | AT)
#define GLOBAL uv_guid_global_variable
#define IMAGE uv_guid_image_security

static Signer *pk, *kek, *db, *stranger;
static GBytes *nothing, *hashes;

static UvService *new_service(UvServiceConfig config)
{
    config.size_bytes = 262144;
    UvService *service = uv_service_new(&config, NULL);

    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    return service;
}

static EfiStatus set_door(UvService *service, UvDoor door, UvGuid guid, const char *name_text,
                          uint32_t attributes, GBytes *data)
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
    UvRefusal refusal;
    const EfiStatus status = uv_service_set(service, &request, &refusal);

    g_assert_cmpint(status != EFI_SUCCESS, ==, refusal.rule != NULL);
    if (status != EFI_SUCCESS)
        g_test_message("%s: %s %s", name_text, refusal.rule, refusal.text);
    return status;
}

/* Takes ownership of `data`. */
static EfiStatus set(UvService *service, UvGuid guid, const char *name, uint32_t attributes,
                     GBytes *data)
{
    g_autoptr(GBytes) owned = data;

    return set_door(service, UV_DOOR_GUEST, guid, name, attributes, owned);
}

static EfiStatus set_byte(UvService *service, UvGuid guid, const char *name, uint32_t attributes,
                          uint8_t value)
{
    return set(service, guid, name, attributes, g_bytes_new(&value, 1));
}

/* Signs and sets. */
static EfiStatus write_as(UvService *service, const Signer *signer, UvGuid guid, const char *name,
                          uint32_t attributes, unsigned second, GBytes *content)
{
    return set(service, guid, name, attributes,
               sign_write(signer, &guid, name, attributes, second, content));
}

static GBytes *get(UvService *service, UvGuid guid, const char *name_text)
{
    g_autoptr(UvName) name = uv_name_new_utf8(name_text, NULL);
    g_autoptr(UvVariable) variable = NULL;

    if (uv_service_get(service, UV_DOOR_HOST, &guid, name, &variable) != EFI_SUCCESS)
        return NULL;
    return g_bytes_ref(variable->data);
}

/* -1: not there. */
static int get_byte(UvService *service, UvGuid guid, const char *name)
{
    g_autoptr(GBytes) data = get(service, guid, name);

    return data && g_bytes_get_size(data) == 1 ? *(const uint8_t *)g_bytes_get_data(data, NULL)
                                               : -1;
}

static bool has(UvService *service, UvGuid guid, const char *name, GBytes *content)
{
    g_autoptr(GBytes) data = get(service, guid, name);

    return data && g_bytes_equal(data, content);
}

static void check_modes(UvService *service, int setup, int secure_boot, int enable)
{
    g_assert_cmpint(get_byte(service, GLOBAL, "SetupMode"), ==, setup);
    g_assert_cmpint(get_byte(service, GLOBAL, "SecureBoot"), ==, secure_boot);
    g_assert_cmpint(get_byte(service, uv_guid_secure_boot_enable, "SecureBootEnable"), ==, enable);
}

/* PK, KEK and db with one key each. */
static void enrol(UvService *service)
{
    g_autoptr(GBytes) pk_list = sign_list(pk), kek_list = sign_list(kek), db_list = sign_list(db);

    g_assert_cmphex(write_as(service, NULL, IMAGE, "db", KEYS, 1, db_list), ==, EFI_SUCCESS);
    g_assert_cmphex(write_as(service, NULL, GLOBAL, "KEK", KEYS, 1, kek_list), ==, EFI_SUCCESS);
    g_assert_cmphex(write_as(service, pk, GLOBAL, "PK", KEYS, 1, pk_list), ==, EFI_SUCCESS);
}

static UvService *enrolled(UvServiceConfig config)
{
    UvService *service = new_service(config);

    enrol(service);
    return service;
}

static void test_setup_mode(void)
{
    g_autoptr(UvService) service = new_service((UvServiceConfig){0});
    g_autoptr(GBytes) pk_list = sign_list(pk), hash = g_bytes_ref(hashes);

    check_modes(service, 1, 0, -1);
    g_assert_cmphex(write_as(service, NULL, GLOBAL, "PK", KEYS, 1, pk_list), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, kek, GLOBAL, "PK", KEYS, 1, pk_list), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, pk, GLOBAL, "PK", KEYS, 1, hash), ==, EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, pk, GLOBAL, "PK", KEYS, 1, nothing), ==,
                    EFI_SECURITY_VIOLATION);
    check_modes(service, 1, 0, -1);
    enrol(service);
    check_modes(service, 0, 1, 1);
    g_assert_cmpint(get_byte(service, GLOBAL, "AuditMode"), ==, 0);
    g_assert_cmpint(get_byte(service, GLOBAL, "DeployedMode"), ==, 0);
    g_assert_cmpint(get_byte(service, GLOBAL, "VendorKeys"), ==, 1);
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
    g_autoptr(UvService) service = enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) pk_list = sign_list(pk);
    unsigned second = 10;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const UvGuid guid = i < 2 ? GLOBAL : IMAGE;
        GBytes *content = i == 0 ? pk_list : hashes;
        const struct {
            const Signer *signer;
            bool allowed;
        } who[] = {
            {NULL, false},         {stranger, false},   {pk, rows[i].by_pk},
            {kek, rows[i].by_kek}, {db, rows[i].by_db},
        };

        if (i == 1) /* keep KEK as it is: others need it */
            continue;
        for (size_t j = 0; j < G_N_ELEMENTS(who); j++) {
            g_test_message("%s by %zu", rows[i].name, j);
            g_assert_cmphex(
                write_as(service, who[j].signer, guid, rows[i].name, KEYS, second++, content), ==,
                who[j].allowed ? EFI_SUCCESS : EFI_SECURITY_VIOLATION);
        }
    }
    g_assert_cmphex(write_as(service, kek, GLOBAL, "KEK", KEYS, 90, hashes), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, pk, GLOBAL, "KEK", KEYS, 90, hashes), ==, EFI_SUCCESS);
    /* Without a certificate in KEK, PK is left. */
    g_assert_cmphex(write_as(service, kek, IMAGE, "db", KEYS, 91, hashes), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, pk, GLOBAL, "KEK", KEYS, 92, nothing), ==, EFI_SUCCESS);
    g_assert_cmphex(write_as(service, kek, IMAGE, "db", KEYS, 93, hashes), ==, EFI_NOT_FOUND);
}

static void test_time_stamps(void)
{
    g_autoptr(UvService) service = enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) more = sign_hash_list(9, (const uint8_t[]){9}, 1);
    uint8_t time[16];

    g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", KEYS, 50, hashes), ==, EFI_SUCCESS);
    g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", KEYS, 50, more), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", KEYS, 49, more), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_true(has(service, IMAGE, "dbx", hashes));
    /* An append may be older; the time stays the newest. */
    g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", KEYS | APPEND, 40, more), ==, EFI_SUCCESS);
    g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", KEYS, 45, more), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", KEYS, 51, more), ==, EFI_SUCCESS);

    for (size_t i = 7; i < 16; i++) {
        sign_time(60, time);
        time[i] = 1;
        g_autoptr(GBytes) content = sign_content(&IMAGE, "dbx", KEYS, time, more);
        g_autoptr(GBytes) pkcs7 =
            sign_pkcs7(kek, GNUTLS_DIG_SHA256, content, (const Signer *const[]){kek, NULL});
        g_assert_cmphex(set(service, IMAGE, "dbx", KEYS, sign_write_with(pkcs7, time, more)), ==,
                        EFI_SECURITY_VIOLATION);
    }
}

static void test_appends(void)
{
    g_autoptr(UvService) service = enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) first = sign_hash_list(1, (const uint8_t[]){1, 2}, 2);
    g_autoptr(GBytes) overlapping = sign_hash_list(1, (const uint8_t[]){2, 3}, 2);
    g_autoptr(GBytes) fresh = sign_hash_list(1, (const uint8_t[]){3}, 1);
    g_autoptr(GByteArray) both = g_byte_array_new();

    g_byte_array_append(both, g_bytes_get_data(first, NULL), g_bytes_get_size(first));
    g_byte_array_append(both, g_bytes_get_data(fresh, NULL), g_bytes_get_size(fresh));
    g_autoptr(GBytes) expected = g_bytes_new(both->data, both->len);

    g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", KEYS | APPEND, 10, first), ==,
                    EFI_SUCCESS);
    g_assert_true(has(service, IMAGE, "dbx", first));
    g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", KEYS | APPEND, 11, overlapping), ==,
                    EFI_SUCCESS);
    g_assert_true(has(service, IMAGE, "dbx", expected));
    g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", KEYS | APPEND, 12, overlapping), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", KEYS | APPEND, 13, nothing), ==,
                    EFI_SUCCESS);
    g_assert_true(has(service, IMAGE, "dbx", expected));
    /* A signature for a set is none for an append. */
    g_assert_cmphex(
        set(service, IMAGE, "dbx", KEYS | APPEND, sign_write(kek, &IMAGE, "dbx", KEYS, 14, fresh)),
        ==, EFI_SECURITY_VIOLATION);
}

/*
 * One byte of a signed write is another one. Refused, whichever it is, but for fields of the PKCS#7
 * that nothing signs and nothing is read from (versions, the content's type): then what is stored
 * is what was signed.
 */
static void test_changed_byte(void)
{
    g_autoptr(UvService) service = enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) whole = sign_write(kek, &IMAGE, "dbx", KEYS, 10, hashes);
    gsize size;
    const uint8_t *bytes = g_bytes_get_data(whole, &size);
    const size_t content_at = size - g_bytes_get_size(hashes);
    unsigned accepted = 0;

    for (size_t i = 0; i < size; i += i < 40 ? 1 : 3) {
        uint8_t *changed = g_memdup2(bytes, size);

        changed[i] ^= 0x55;
        if (set(service, IMAGE, "dbx", KEYS, g_bytes_new_take(changed, size)) != EFI_SUCCESS)
            continue;
        g_assert_true(i == 20 || i == 21 || (i >= 40 && i < content_at)); /* 20: wRevision */
        g_assert_true(has(service, IMAGE, "dbx", hashes));
        g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", KEYS, 11, nothing), ==, EFI_SUCCESS);
        accepted++;
    }
    g_assert_cmpuint(accepted, <, 12);
    g_assert_cmphex(set(service, IMAGE, "dbt", KEYS, g_bytes_ref(whole)), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(set(service, IMAGE, "dbx", KEYS, g_bytes_ref(whole)), ==, EFI_SUCCESS);
}

static void test_forms(void)
{
    g_autoptr(UvService) service = enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) cut = g_bytes_new_from_bytes(hashes, 0, g_bytes_get_size(hashes) - 1);
    g_autoptr(GBytes) two = sign_hash_list(0, (const uint8_t[]){1, 2}, 2);

    /* A well-signed malformed list: PK's own word is INVALID_PARAMETER; for db KEK has the last. */
    g_assert_cmphex(write_as(service, pk, GLOBAL, "KEK", KEYS, 10, cut), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(write_as(service, kek, IMAGE, "db", KEYS, 10, cut), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(write_as(service, pk, GLOBAL, "PK", KEYS, 10, two), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", NV | BS | RT, 10, hashes), ==,
                    EFI_INVALID_PARAMETER);
    g_assert_cmphex(write_as(service, kek, IMAGE, "dbx", BS | RT | AT, 10, hashes), ==,
                    EFI_INVALID_PARAMETER);
    g_assert_cmphex(set(service, IMAGE, "db", 0, g_bytes_ref(nothing)), ==, EFI_INVALID_PARAMETER);
}

/* Every way to lose a key without its owner's signature. */
static void test_unsigned_deletion(void)
{
    static const char *const names[] = {"PK", "KEK", "db"};
    g_autoptr(UvService) service = enrolled((UvServiceConfig){0});

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const UvGuid guid = i < 2 ? GLOBAL : IMAGE;

        for (UvDoor door = UV_DOOR_GUEST; door <= UV_DOOR_HOST; door++) {
            g_assert_cmphex(set_door(service, door, guid, names[i], 0, nothing), ==,
                            EFI_INVALID_PARAMETER);
            g_assert_cmphex(set_door(service, door, guid, names[i], KEYS, nothing), ==,
                            EFI_SECURITY_VIOLATION);
            g_assert_cmphex(set_door(service, door, guid, names[i], NV | BS | RT, nothing), ==,
                            EFI_INVALID_PARAMETER);
        }
        g_assert_cmphex(write_as(service, NULL, guid, names[i], KEYS, 20, nothing), ==,
                        EFI_SECURITY_VIOLATION);
        g_assert_cmphex(write_as(service, stranger, guid, names[i], KEYS, 20, nothing), ==,
                        EFI_SECURITY_VIOLATION);
    }
    check_modes(service, 0, 1, 1);
    g_assert_cmphex(write_as(service, pk, GLOBAL, "PK", KEYS, 20, nothing), ==, EFI_SUCCESS);
    check_modes(service, 1, 0, -1);
}

static void test_deleted_at_runtime(void)
{
    g_autoptr(UvService) service = enrolled((UvServiceConfig){0});

    fixture_go_to(service, AT_RUNTIME);
    g_assert_cmphex(write_as(service, pk, GLOBAL, "PK", KEYS, 20, nothing), ==, EFI_SUCCESS);
    check_modes(service, 1, 1, 1);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    check_modes(service, 1, 0, 1);
}

/* A successor of the engine goes on with what the OS sees. */
static void test_resumed_at_runtime(void)
{
    g_autoptr(UvService) service = enrolled((UvServiceConfig){0});
    const UvServiceConfig config = {.size_bytes = 262144};
    g_autoptr(UvService) next = uv_service_new(&config, NULL);
    const UvVarset *set = uv_service_variables(service);
    g_autoptr(GPtrArray) variables = g_ptr_array_new();
    g_auto(UvWriter) writer = {0};
    UvReader reader;

    fixture_go_to(service, AT_RUNTIME);
    g_assert_cmphex(write_as(service, pk, GLOBAL, "PK", KEYS, 20, nothing), ==, EFI_SUCCESS);
    uv_writer_init(&writer, 1 << 20);
    uv_service_write_session(service, &writer);
    g_autoptr(GBytes) session = uv_writer_steal(&writer);
    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        if (uv_variable_is_nv(v))
            g_ptr_array_add(variables, (gpointer)v);
    }
    uv_service_load(next, variables);
    uv_reader_init(&reader, g_bytes_get_data(session, NULL), g_bytes_get_size(session));
    g_assert_true(uv_service_read_session(next, &reader));
    check_modes(next, 1, 1, 1);
}

/* What OVMF's screens do. */
static void test_custom_mode(void)
{
    g_autoptr(UvService) service = enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) list = sign_list(stranger);

    fixture_go_to(service, AT_END_OF_DXE);
    g_assert_cmphex(set_byte(service, uv_guid_custom_mode, "CustomMode", NV | BS, 1), ==,
                    EFI_SUCCESS);
    g_assert_cmpint(get_byte(service, GLOBAL, "VendorKeys"), ==, 1);
    g_assert_cmphex(write_as(service, NULL, IMAGE, "db", KEYS, 0, list), ==, EFI_SUCCESS);
    g_assert_cmpint(get_byte(service, GLOBAL, "VendorKeys"), ==, 0);
    g_assert_cmphex(write_as(service, NULL, IMAGE, "db", KEYS | APPEND, 0, hashes), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(write_as(service, NULL, IMAGE, "dbr", KEYS, 0, hashes), ==, EFI_SUCCESS);
    g_assert_cmphex(write_as(service, NULL, GLOBAL, "PK", KEYS, 0, nothing), ==, EFI_SUCCESS);
    check_modes(service, 1, 0, -1);
    g_assert_cmphex(write_as(service, NULL, GLOBAL, "PK", KEYS, 0, list), ==, EFI_SUCCESS);
    check_modes(service, 0, 1, 1);
    g_assert_cmphex(write_as(service, NULL, GLOBAL, "KEK", KEYS, 0, nothing), ==, EFI_SUCCESS);
    /* What is never waived. */
    g_assert_cmphex(set(service, IMAGE, "db", KEYS, g_bytes_ref(nothing)), ==,
                    EFI_SECURITY_VIOLATION);
    g_autoptr(GBytes) cut = g_bytes_new_from_bytes(hashes, 0, 50);
    g_assert_cmphex(write_as(service, NULL, IMAGE, "db", KEYS, 0, cut), ==, EFI_INVALID_PARAMETER);
    fixture_go_to(service, AT_RUNTIME);
    g_assert_cmphex(write_as(service, NULL, IMAGE, "db", KEYS, 0, hashes), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, NULL, GLOBAL, "PK", KEYS, 0, nothing), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(set_byte(service, uv_guid_custom_mode, "CustomMode", NV | BS, 0), ==,
                    EFI_WRITE_PROTECTED);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    g_assert_cmpint(get_byte(service, uv_guid_custom_mode, "CustomMode"), ==, 0);
    g_assert_cmpint(get_byte(service, GLOBAL, "VendorKeys"), ==, 0);
    g_assert_cmphex(write_as(service, NULL, GLOBAL, "PK", KEYS, 0, nothing), ==,
                    EFI_SECURITY_VIOLATION);
}

static void test_custom_mode_disabled(void)
{
    g_autoptr(UvService) service = enrolled((UvServiceConfig){.disable_custom_mode = true});
    const UvGuid enable = uv_guid_secure_boot_enable;

    g_assert_cmphex(set_byte(service, uv_guid_custom_mode, "CustomMode", NV | BS, 1), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(set_byte(service, enable, "SecureBootEnable", NV | BS, 0), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, NULL, GLOBAL, "PK", KEYS, 0, nothing), ==,
                    EFI_SECURITY_VIOLATION);
    check_modes(service, 0, 1, 1);
}

static void test_secure_boot_enable(void)
{
    const UvGuid enable = uv_guid_secure_boot_enable;
    g_autoptr(UvService) service = enrolled((UvServiceConfig){0});

    g_assert_cmphex(set_byte(service, enable, "SecureBootEnable", NV | BS, 0), ==, EFI_SUCCESS);
    check_modes(service, 0, 0, 0);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    check_modes(service, 0, 0, 0);
    g_assert_cmphex(set(service, enable, "SecureBootEnable", NV | BS, g_bytes_ref(nothing)), ==,
                    EFI_SUCCESS);
    check_modes(service, 0, 1, -1);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    check_modes(service, 0, 1, 1);
    fixture_go_to(service, AT_RUNTIME);
    g_assert_cmphex(set_byte(service, enable, "SecureBootEnable", NV | BS, 0), ==,
                    EFI_WRITE_PROTECTED);
}

static void test_force_secure_boot(void)
{
    const UvGuid enable = uv_guid_secure_boot_enable;
    g_autoptr(UvService) service = enrolled((UvServiceConfig){.force_secure_boot = true});

    g_assert_cmphex(set_byte(service, enable, "SecureBootEnable", NV | BS, 0), ==,
                    EFI_WRITE_PROTECTED);
    g_assert_cmphex(set(service, enable, "SecureBootEnable", NV | BS, g_bytes_ref(nothing)), ==,
                    EFI_WRITE_PROTECTED);
    g_assert_cmphex(set_byte(service, enable, "SecureBootEnable", NV | BS, 1), ==, EFI_SUCCESS);
    check_modes(service, 0, 1, 1);
}

static void test_owned(void)
{
    static const struct {
        const UvGuid *guid;
        const char *name;
    } rows[] = {
        {&uv_guid_global_variable, "SetupMode"},
        {&uv_guid_global_variable, "SecureBoot"},
        {&uv_guid_global_variable, "AuditMode"},
        {&uv_guid_global_variable, "DeployedMode"},
        {&uv_guid_global_variable, "VendorKeys"},
        {&uv_guid_global_variable, "SignatureSupport"},
        {&uv_guid_vendor_keys_nv, "VendorKeysNv"},
        {&uv_guid_cert_db, "certdb"},
        {&uv_guid_cert_db, "certdbv"},
    };
    g_autoptr(UvService) service = enrolled((UvServiceConfig){.varcheck = UV_VARCHECK_OFF});
    g_autoptr(GBytes) byte = g_bytes_new_static("\2", 1);

    for (FixturePhase phase = AT_POWER_ON; phase <= AT_RUNTIME; phase++) {
        fixture_go_to(service, phase);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
            for (UvDoor door = UV_DOOR_GUEST; door <= UV_DOOR_HOST; door++) {
                g_assert_cmphex(set_door(service, door, *rows[i].guid, rows[i].name, BS | RT, byte),
                                ==, EFI_WRITE_PROTECTED);
                g_assert_cmphex(set_door(service, door, *rows[i].guid, rows[i].name, 0, nothing),
                                ==, EFI_WRITE_PROTECTED);
            }
        }
    }
    check_modes(service, 0, 1, 1);
}

/* ---- private authenticated variables ---- */

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

    g_assert_cmphex(write_as(service, NULL, PRIVATE, "P", KEYS, 10, one), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, kek, PRIVATE, "P", KEYS, 10, nothing), ==, EFI_NOT_FOUND);
    g_assert_cmphex(write_as(service, kek, PRIVATE, "P", KEYS, 10, one), ==, EFI_SUCCESS);
    g_assert_cmphex(write_as(service, stranger, PRIVATE, "P", KEYS, 11, two), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, kek, PRIVATE, "P", KEYS, 10, two), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, kek, PRIVATE, "P", KEYS | APPEND, 9, two), ==, EFI_SUCCESS);
    g_assert_true(has(service, PRIVATE, "P", onetwo));
    /* The ways around: without authentication, by attributes, by size, from the host. */
    for (UvDoor door = UV_DOOR_GUEST; door <= UV_DOOR_HOST; door++) {
        g_assert_cmphex(set_door(service, door, PRIVATE, "P", 0, nothing), ==, EFI_WRITE_PROTECTED);
        g_assert_cmphex(set_door(service, door, PRIVATE, "P", NV | BS | RT, two), ==,
                        EFI_INVALID_PARAMETER);
        g_assert_cmphex(set_door(service, door, PRIVATE, "P", KEYS, nothing), ==,
                        EFI_SECURITY_VIOLATION);
    }
    g_assert_cmphex(write_as(service, NULL, PRIVATE, "P", KEYS, 12, nothing), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, stranger, PRIVATE, "P", KEYS, 12, nothing), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_true(has(service, PRIVATE, "P", onetwo));
    g_assert_cmphex(write_as(service, kek, PRIVATE, "P", KEYS, 12, two), ==, EFI_SUCCESS);
    g_assert_cmphex(write_as(service, kek, PRIVATE, "Q", KEYS, 12, two), ==, EFI_SUCCESS);
    g_assert_cmphex(write_as(service, kek, PRIVATE, "P", KEYS, 13, nothing), ==, EFI_SUCCESS);
    g_assert_null(fixture_get(service, "P"));
    /* Gone is gone: anybody's. */
    g_assert_cmphex(write_as(service, stranger, PRIVATE, "P", KEYS, 1, one), ==, EFI_SUCCESS);
    g_assert_cmphex(write_as(service, kek, PRIVATE, "P", KEYS, 20, two), ==,
                    EFI_SECURITY_VIOLATION);
}

static void test_private(void)
{
    g_autoptr(UvService) service = new_service((UvServiceConfig){0});
    g_autoptr(GBytes) one = g_bytes_new_static("one", 3);

    private_cycle(service);
    g_autoptr(GBytes) digest = digest_of(service, "Q");
    g_assert_nonnull(digest);
    g_assert_cmpuint(g_bytes_get_size(digest), ==, 32);
    g_assert_null(get(service, uv_guid_cert_db, "certdb"));
    /* CustomMode waives nothing here. */
    g_assert_cmphex(set_byte(service, uv_guid_custom_mode, "CustomMode", NV | BS, 1), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(write_as(service, NULL, PRIVATE, "Q", KEYS, 40, one), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(write_as(service, NULL, PRIVATE, "Q", KEYS, 40, nothing), ==,
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
    g_autoptr(UvService) service = new_service((UvServiceConfig){0});
    g_autoptr(GBytes) one = g_bytes_new_static("one", 3);
    gsize size;

    g_assert_cmphex(write_as(service, kek, PRIVATE, "Q", KEYS, 1, one), ==, EFI_SUCCESS);
    g_autoptr(GBytes) of_qemu = digest_of(service, "Q");
    g_autoptr(GBytes) whole = sign_write(kek, &PRIVATE, "L", KEYS, 30, one);
    const uint8_t *bytes = g_bytes_get_data(whole, &size);
    g_autoptr(UvPkcs7) pkcs7 = uv_pkcs7_parse(bytes + 40, size - 40);
    g_autoptr(GBytes) of_edk2 = uv_pkcs7_identity_edk2(pkcs7);

    load_private(service, of_edk2);
    g_assert_cmphex(write_as(service, stranger, PRIVATE, "L", KEYS, 30, one), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(set(service, PRIVATE, "L", KEYS, g_bytes_ref(whole)), ==, EFI_SUCCESS);
    g_autoptr(GBytes) now = digest_of(service, "L");
    g_assert_true(g_bytes_equal(now, of_qemu));

    load_private(service, of_qemu);
    g_assert_cmphex(set(service, PRIVATE, "L", KEYS, g_bytes_ref(whole)), ==, EFI_SUCCESS);
    load_private(service, NULL); /* a converter lost it: nobody's, not anybody's */
    g_assert_cmphex(set(service, PRIVATE, "L", KEYS, g_bytes_ref(whole)), ==,
                    EFI_SECURITY_VIOLATION);
}

static void test_certdb(void)
{
    g_autoptr(UvService) service = new_service((UvServiceConfig){.keeps_certdb = true});
    static const uint8_t empty[] = {4, 0, 0, 0};
    g_autoptr(GBytes) none = g_bytes_new_static(empty, sizeof empty);

    g_assert_true(has(service, uv_guid_cert_db, "certdb", none));
    g_assert_true(has(service, uv_guid_cert_db, "certdbv", none));
    private_cycle(service);
    g_assert_null(digest_of(service, "Q"));
    /* P (a stranger's) and Q: GUID, sizes, one letter, SHA-256; newest last. */
    g_autoptr(GBytes) certdb = get(service, uv_guid_cert_db, "certdb");
    const uint8_t *bytes = g_bytes_get_data(certdb, NULL);
    g_assert_cmpuint(g_bytes_get_size(certdb), ==, 4 + 2 * (28 + 2 + 32));
    g_assert_cmpuint(bytes[0], ==, g_bytes_get_size(certdb));
    g_assert_cmpmem(bytes + 4, 16, PRIVATE.bytes, 16);
    g_assert_cmpmem(bytes + 20, 12, "\x3e\0\0\0\1\0\0\0\x20\0\0\0", 12);
    g_assert_cmpmem(bytes + 32, 2, "Q\0", 2);
    g_assert_cmpmem(bytes + 66 + 28, 2, "P\0", 2);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    g_assert_true(has(service, uv_guid_cert_db, "certdb", certdb));

    /* Entries of variables that are gone go at boot. */
    g_autoptr(GPtrArray) variables = g_ptr_array_new();
    g_autoptr(UvName) name = uv_name_new_utf8("certdb", NULL);
    g_autoptr(UvVariable) orphans = uv_variable_new(
        &(UvVariable){.guid = uv_guid_cert_db, .name = name, .attributes = KEYS, .data = certdb});
    g_ptr_array_add(variables, orphans);
    uv_service_load(service, variables);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    g_assert_true(has(service, uv_guid_cert_db, "certdb", none));
}

/* A certdb that says nonsense lets nobody in, and is left alone. */
static void test_certdb_malformed(void)
{
    static const char *const contents[] = {"", "\4", "\5\0\0\0", "\x10\0\0\0xxxxxxxxxxxx"};
    g_autoptr(GBytes) one = g_bytes_new_static("one", 3);

    for (size_t i = 0; i < G_N_ELEMENTS(contents); i++) {
        g_autoptr(UvService) service = new_service((UvServiceConfig){.keeps_certdb = true});
        g_autoptr(GPtrArray) variables = g_ptr_array_new();
        g_autoptr(UvName) name = uv_name_new_utf8("certdb", NULL);
        const size_t size = i == 2 ? 4 : i == 3 ? 16 : strlen(contents[i]);
        g_autoptr(GBytes) data = g_bytes_new(contents[i], size);
        g_autoptr(UvVariable) bad = uv_variable_new(
            &(UvVariable){.guid = uv_guid_cert_db, .name = name, .attributes = KEYS, .data = data});

        g_ptr_array_add(variables, bad);
        uv_service_load(service, variables);
        g_assert_cmphex(write_as(service, kek, PRIVATE, "N", KEYS, 1, one), ==,
                        EFI_SECURITY_VIOLATION);
        g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
        g_assert_true(has(service, uv_guid_cert_db, "certdb", data));
    }
}

static void test_merely_serving(void)
{
    const UvServiceConfig config = {.size_bytes = 262144};
    FixtureStore *store = fixture_store_new();
    g_autoptr(UvService) service = uv_service_new(&config, &store->store);

    check_modes(service, 1, 0, -1);
    g_assert_cmpint(get_byte(service, uv_guid_custom_mode, "CustomMode"), ==, -1);
    g_assert_cmpint(store->applied, ==, 0);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    g_assert_cmpint(get_byte(service, uv_guid_custom_mode, "CustomMode"), ==, 0);
    g_assert_cmpint(store->applied, ==, 1);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    g_assert_cmpint(store->applied, ==, 1); /* nothing new at the second boot */
    uv_service_set_store(service, NULL);
    fixture_store_free(store);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    pk = signer_new("pk", GNUTLS_PK_RSA, 2048, NULL, true);
    kek = signer_new("kek", GNUTLS_PK_ECDSA, 256, NULL, true);
    db = signer_new("db", GNUTLS_PK_ECDSA, 256, NULL, true);
    stranger = signer_new("kek", GNUTLS_PK_ECDSA, 256, NULL, true);
    nothing = g_bytes_new_static("", 0);
    hashes = sign_hash_list(7, (const uint8_t[]){1, 2, 3}, 3);
    g_test_add_func("/auth/setup-mode", test_setup_mode);
    g_test_add_func("/auth/who-signs", test_who_signs);
    g_test_add_func("/auth/time-stamps", test_time_stamps);
    g_test_add_func("/auth/appends", test_appends);
    g_test_add_func("/auth/changed-byte", test_changed_byte);
    g_test_add_func("/auth/forms", test_forms);
    g_test_add_func("/auth/unsigned-deletion", test_unsigned_deletion);
    g_test_add_func("/auth/deleted-at-runtime", test_deleted_at_runtime);
    g_test_add_func("/auth/resumed-at-runtime", test_resumed_at_runtime);
    g_test_add_func("/auth/custom-mode", test_custom_mode);
    g_test_add_func("/auth/custom-mode-disabled", test_custom_mode_disabled);
    g_test_add_func("/auth/secure-boot-enable", test_secure_boot_enable);
    g_test_add_func("/auth/force-secure-boot", test_force_secure_boot);
    g_test_add_func("/auth/owned", test_owned);
    g_test_add_func("/auth/private", test_private);
    g_test_add_func("/auth/private-digests", test_private_digests);
    g_test_add_func("/auth/certdb", test_certdb);
    g_test_add_func("/auth/certdb-malformed", test_certdb_malformed);
    g_test_add_func("/auth/merely-serving", test_merely_serving);
    const int result = g_test_run();
    signer_free(pk);
    signer_free(kek);
    signer_free(db);
    signer_free(stranger);
    g_bytes_unref(nothing);
    g_bytes_unref(hashes);
    return result;
}
