/* SPDX-License-Identifier: GPL-2.0-or-later */

/* SetupMode, SecureBoot, CustomMode and kin: what follows from the keys, and what is waived
 * (rules 2.5, 2.8). */

#include <errno.h>
#include <string.h>

#include "authtest.h"

static void test_deleted_at_runtime(void)
{
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});

    fixture_go_to(service, AT_RUNTIME);
    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "PK", KEYS, 20, auth_nothing), ==,
                    EFI_SUCCESS);
    auth_check_modes(service, 1, 1, 1);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    auth_check_modes(service, 1, 0, 1);
}

/* A successor of the engine goes on with what the OS sees. */
static void test_resumed_at_runtime(void)
{
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});
    const UvServiceConfig config = {.size_bytes = 262144};
    g_autoptr(UvService) next = uv_service_new(&config, NULL);
    const UvVarset *set = uv_service_variables(service);
    g_autoptr(GPtrArray) variables = g_ptr_array_new();

    fixture_go_to(service, AT_RUNTIME);
    g_assert_cmphex(auth_write(service, auth_pk, GLOBAL, "PK", KEYS, 20, auth_nothing), ==,
                    EFI_SUCCESS);
    g_auto(UvWriter) writer = uv_writer(1 << 20);
    uv_service_write_session(service, &writer);
    g_autoptr(GBytes) session = uv_writer_steal(&writer);
    for (const UvVariable *v = uv_varset_first(set); v; v = uv_varset_next(set, v)) {
        if (uv_variable_is_nv(v))
            g_ptr_array_add(variables, (gpointer)v);
    }
    uv_service_load(next, variables);
    UvReader reader = uv_reader(g_bytes_get_data(session, NULL), g_bytes_get_size(session));
    g_assert_true(uv_service_read_session(next, &reader));
    auth_check_modes(next, 1, 1, 1);
}

/* What OVMF's screens do. */
static void test_custom_mode(void)
{
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) list = sign_list(auth_stranger);

    fixture_go_to(service, AT_END_OF_DXE);
    g_assert_cmphex(auth_set_byte(service, uv_guid_custom_mode, "CustomMode", NV | BS, 1), ==,
                    EFI_SUCCESS);
    g_assert_cmpint(auth_get_byte(service, GLOBAL, "VendorKeys"), ==, 1);
    g_assert_cmphex(auth_write(service, NULL, IMAGE, "db", KEYS, 0, list), ==, EFI_SUCCESS);
    g_assert_cmpint(auth_get_byte(service, GLOBAL, "VendorKeys"), ==, 0);
    g_assert_cmphex(auth_write(service, NULL, IMAGE, "db", KEYS | APPEND, 0, auth_hashes), ==,
                    EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, NULL, IMAGE, "dbr", KEYS, 0, auth_hashes), ==, EFI_SUCCESS);
    g_assert_cmphex(auth_write(service, NULL, GLOBAL, "PK", KEYS, 0, auth_nothing), ==,
                    EFI_SUCCESS);
    auth_check_modes(service, 1, 0, -1);
    g_assert_cmphex(auth_write(service, NULL, GLOBAL, "PK", KEYS, 0, list), ==, EFI_SUCCESS);
    auth_check_modes(service, 0, 1, 1);
    g_assert_cmphex(auth_write(service, NULL, GLOBAL, "KEK", KEYS, 0, auth_nothing), ==,
                    EFI_SUCCESS);
    /* What is never waived. */
    g_assert_cmphex(auth_set(service, IMAGE, "db", KEYS, g_bytes_ref(auth_nothing)), ==,
                    EFI_SECURITY_VIOLATION);
    g_autoptr(GBytes) cut = g_bytes_new_from_bytes(auth_hashes, 0, 50);
    g_assert_cmphex(auth_write(service, NULL, IMAGE, "db", KEYS, 0, cut), ==,
                    EFI_INVALID_PARAMETER);
    fixture_go_to(service, AT_RUNTIME);
    g_assert_cmphex(auth_write(service, NULL, IMAGE, "db", KEYS, 0, auth_hashes), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, NULL, GLOBAL, "PK", KEYS, 0, auth_nothing), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_set_byte(service, uv_guid_custom_mode, "CustomMode", NV | BS, 0), ==,
                    EFI_WRITE_PROTECTED);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    g_assert_cmpint(auth_get_byte(service, uv_guid_custom_mode, "CustomMode"), ==, 0);
    g_assert_cmpint(auth_get_byte(service, GLOBAL, "VendorKeys"), ==, 0);
    g_assert_cmphex(auth_write(service, NULL, GLOBAL, "PK", KEYS, 0, auth_nothing), ==,
                    EFI_SECURITY_VIOLATION);
}

static void test_custom_mode_disabled(void)
{
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){.disable_custom_mode = true});
    const UvGuid enable = uv_guid_secure_boot_enable;

    g_assert_cmphex(auth_set_byte(service, uv_guid_custom_mode, "CustomMode", NV | BS, 1), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_set_byte(service, enable, "SecureBootEnable", NV | BS, 0), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_write(service, NULL, GLOBAL, "PK", KEYS, 0, auth_nothing), ==,
                    EFI_SECURITY_VIOLATION);
    auth_check_modes(service, 0, 1, 1);
}

static void test_secure_boot_enable(void)
{
    const UvGuid enable = uv_guid_secure_boot_enable;
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});

    g_assert_cmphex(auth_set_byte(service, enable, "SecureBootEnable", NV | BS, 0), ==,
                    EFI_SUCCESS);
    auth_check_modes(service, 0, 0, 0);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    auth_check_modes(service, 0, 0, 0);
    g_assert_cmphex(
        auth_set(service, enable, "SecureBootEnable", NV | BS, g_bytes_ref(auth_nothing)), ==,
        EFI_SUCCESS);
    auth_check_modes(service, 0, 1, -1);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    auth_check_modes(service, 0, 1, 1);
    fixture_go_to(service, AT_RUNTIME);
    g_assert_cmphex(auth_set_byte(service, enable, "SecureBootEnable", NV | BS, 0), ==,
                    EFI_WRITE_PROTECTED);
}

static void test_force_secure_boot(void)
{
    const UvGuid enable = uv_guid_secure_boot_enable;
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){.force_secure_boot = true});

    g_assert_cmphex(auth_set_byte(service, enable, "SecureBootEnable", NV | BS, 0), ==,
                    EFI_WRITE_PROTECTED);
    g_assert_cmphex(
        auth_set(service, enable, "SecureBootEnable", NV | BS, g_bytes_ref(auth_nothing)), ==,
        EFI_WRITE_PROTECTED);
    g_assert_cmphex(auth_set_byte(service, enable, "SecureBootEnable", NV | BS, 1), ==,
                    EFI_SUCCESS);
    auth_check_modes(service, 0, 1, 1);
}

/* ---- the owner's door (1.12) ---- */

/* Refused with the owner's rule and this errno; nothing has changed. */
static void check_owner_refused(UvService *service, UvGuid guid, const char *name,
                                uint32_t attributes, GBytes *data, int error)
{
    g_autoptr(GBytes) before = auth_get(service, guid, name);
    UvRefusal refusal;

    g_assert_cmphex(auth_try(service, UV_DOOR_OWNER, guid, name, attributes, data, &refusal), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmpstr(refusal.rule, ==, "1.12");
    g_assert_nonnull(refusal.text);
    g_assert_cmpint(refusal.error, ==, error);
    g_autoptr(GBytes) after = auth_get(service, guid, name);
    g_assert_true(before == after || g_bytes_equal(before, after));
}

static EfiStatus owner_write(UvService *service, UvGuid guid, const char *name, uint32_t attributes,
                             unsigned second, GBytes *content)
{
    g_autoptr(GBytes) data = sign_write(NULL, &guid, name, attributes, second, content);

    return auth_set_door(service, UV_DOOR_OWNER, guid, name, attributes, data);
}

static void test_owner(void)
{
    static const char *const databases[] = {"db", "dbx", "dbt", "dbr"};
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){0});
    g_autoptr(GBytes) list = sign_list(auth_stranger);
    g_autoptr(GBytes) cut = g_bytes_new_from_bytes(auth_hashes, 0, 50);

    uv_service_end_session(service);
    for (size_t i = 0; i < G_N_ELEMENTS(databases); i++) {
        g_assert_cmphex(owner_write(service, IMAGE, databases[i], KEYS, 0, auth_hashes), ==,
                        EFI_SUCCESS);
        g_assert_cmphex(owner_write(service, IMAGE, databases[i], KEYS | APPEND, 0, list), ==,
                        EFI_SUCCESS);
        g_assert_cmphex(owner_write(service, IMAGE, databases[i], KEYS, 0, auth_nothing), ==,
                        EFI_SUCCESS);
    }
    g_assert_cmphex(owner_write(service, GLOBAL, "KEK", KEYS, 0, list), ==, EFI_SUCCESS);
    g_assert_cmphex(owner_write(service, GLOBAL, "PK", KEYS, 0, list), ==, EFI_SUCCESS);
    g_assert_true(auth_has(service, GLOBAL, "PK", list));
    auth_check_modes(service, 0, 1, 1);
    g_assert_cmphex(owner_write(service, GLOBAL, "PK", KEYS, 0, auth_nothing), ==, EFI_SUCCESS);
    auth_check_modes(service, 1, 0, -1);
    g_assert_cmphex(owner_write(service, GLOBAL, "PK", KEYS, 0, list), ==, EFI_SUCCESS);
    auth_check_modes(service, 0, 1, 1);
    /* What is never waived; and CustomMode is as it was. */
    g_assert_cmphex(owner_write(service, IMAGE, "db", KEYS, 0, cut), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(auth_set_door(service, UV_DOOR_OWNER, IMAGE, "db", KEYS, auth_nothing), ==,
                    EFI_SECURITY_VIOLATION);
    g_assert_cmphex(auth_set_door(service, UV_DOOR_OWNER, IMAGE, "db", 0, auth_nothing), ==,
                    EFI_INVALID_PARAMETER);
    g_assert_cmpint(auth_get_byte(service, uv_guid_custom_mode, "CustomMode"), ==, 0);
    /* The host's own door has waived nothing meanwhile. */
    g_autoptr(GBytes) unsigned_write = sign_write(NULL, &IMAGE, "db", KEYS, 50, auth_hashes);
    g_assert_cmphex(auth_set_door(service, UV_DOOR_HOST, IMAGE, "db", KEYS, unsigned_write), ==,
                    EFI_SECURITY_VIOLATION);
}

static void test_owner_refused(void)
{
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){.varcheck = UV_VARCHECK_OFF});
    g_autoptr(UvService) strict = auth_enrolled((UvServiceConfig){.disable_custom_mode = true});
    g_autoptr(GBytes) keys = sign_write(NULL, &IMAGE, "db", KEYS, 50, auth_hashes);
    g_autoptr(GBytes) other = sign_write(NULL, &GLOBAL, "db", KEYS, 50, auth_hashes);
    g_autoptr(GBytes) byte = g_bytes_new_static("\1", 1);

    for (FixturePhase phase = AT_POWER_ON; phase <= AT_RUNTIME; phase++) {
        fixture_go_to(service, phase);
        check_owner_refused(service, IMAGE, "db", KEYS, keys, EBUSY);
    }
    uv_service_fail_closed(service);
    check_owner_refused(service, IMAGE, "db", KEYS, keys, EBUSY);
    uv_service_end_session(service);
    check_owner_refused(service, GLOBAL, "db", KEYS, other, EPERM);
    check_owner_refused(service, GLOBAL, "Timeout", NV | BS | RT, byte, EPERM);
    check_owner_refused(service, GLOBAL, "SetupMode", BS | RT, byte, EPERM);
    check_owner_refused(service, uv_guid_custom_mode, "CustomMode", NV | BS, byte, EPERM);
    check_owner_refused(service, uv_guid_secure_boot_enable, "SecureBootEnable", NV | BS, byte,
                        EPERM);
    uv_service_end_session(strict);
    check_owner_refused(strict, IMAGE, "db", KEYS, keys, 0);
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
    g_autoptr(UvService) service = auth_enrolled((UvServiceConfig){.varcheck = UV_VARCHECK_OFF});
    g_autoptr(GBytes) byte = g_bytes_new_static("\2", 1);

    for (FixturePhase phase = AT_POWER_ON; phase <= AT_RUNTIME; phase++) {
        fixture_go_to(service, phase);
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
            for (UvDoor door = UV_DOOR_GUEST; door <= UV_DOOR_HOST; door++) {
                g_assert_cmphex(
                    auth_set_door(service, door, *rows[i].guid, rows[i].name, BS | RT, byte), ==,
                    EFI_WRITE_PROTECTED);
                g_assert_cmphex(
                    auth_set_door(service, door, *rows[i].guid, rows[i].name, 0, auth_nothing), ==,
                    EFI_WRITE_PROTECTED);
            }
        }
    }
    auth_check_modes(service, 0, 1, 1);
}

static void test_merely_serving(void)
{
    const UvServiceConfig config = {.size_bytes = 262144};
    FixtureStore *store = fixture_store_new();
    g_autoptr(UvService) service = uv_service_new(&config, &store->store);

    auth_check_modes(service, 1, 0, -1);
    g_assert_cmpint(auth_get_byte(service, uv_guid_custom_mode, "CustomMode"), ==, -1);
    g_assert_cmpint(store->applied, ==, 0);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    g_assert_cmpint(auth_get_byte(service, uv_guid_custom_mode, "CustomMode"), ==, 0);
    g_assert_cmpint(store->applied, ==, 1);
    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    g_assert_cmpint(store->applied, ==, 1); /* nothing new at the second boot */
    uv_service_set_store(service, NULL);
    fixture_store_free(store);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    auth_make_keys();
    g_test_add_func("/auth-modes/deleted-at-runtime", test_deleted_at_runtime);
    g_test_add_func("/auth-modes/resumed-at-runtime", test_resumed_at_runtime);
    g_test_add_func("/auth-modes/custom-mode", test_custom_mode);
    g_test_add_func("/auth-modes/custom-mode-disabled", test_custom_mode_disabled);
    g_test_add_func("/auth-modes/secure-boot-enable", test_secure_boot_enable);
    g_test_add_func("/auth-modes/force-secure-boot", test_force_secure_boot);
    g_test_add_func("/auth-modes/owner", test_owner);
    g_test_add_func("/auth-modes/owner-refused", test_owner_refused);
    g_test_add_func("/auth-modes/owned", test_owned);
    g_test_add_func("/auth-modes/merely-serving", test_merely_serving);
    const int result = g_test_run();
    auth_free_keys();
    return result;
}
