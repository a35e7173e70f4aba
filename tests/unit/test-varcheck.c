/* SPDX-License-Identifier: GPL-2.0-or-later */

/* VarCheckUefiLib's rules (rules 2.9) through the service. */

#include "varcheck.h"

#include <string.h>

#include "fixture.h"

#define GLOBAL &uv_guid_global_variable
#define IMAGE &uv_guid_image_security
#define ALL (NV | BS | RT)
#define END "\x7f\xff\x04\0"
#define BAD EFI_INVALID_PARAMETER

typedef struct {
    const UvGuid *guid;
    const char *name;
    uint32_t attributes;
    const char *data;
    size_t size;
    EfiStatus expected;
} Row;

#define DATA(text) text, sizeof(text) - 1

static const Row rows[] = {
    /* Sizes. */
    {GLOBAL, "BootNext", ALL, DATA("\1\0"), EFI_SUCCESS},
    {GLOBAL, "BootNext", ALL, DATA("\1"), BAD},
    {GLOBAL, "BootNext", ALL, DATA("\1\0\0"), BAD},
    {GLOBAL, "BootCurrent", BS | RT, DATA("\1\0"), EFI_SUCCESS},
    {GLOBAL, "Timeout", ALL, DATA("\5\0"), EFI_SUCCESS},
    {GLOBAL, "Timeout", ALL, DATA("\5\0\0\0\0"), BAD},
    {GLOBAL, "OsIndications", ALL, DATA("\1\0\0\0\0\0\0\0"), EFI_SUCCESS},
    {GLOBAL, "OsIndications", ALL, DATA("\1\0\0\0"), BAD},
    {GLOBAL, "HwErrRecSupport", ALL, DATA("\1\0"), EFI_SUCCESS},
    {GLOBAL, "BootOrder", ALL, DATA("\1\0\2\0"), EFI_SUCCESS},
    {GLOBAL, "BootOrder", ALL, DATA("\1\0\2"), BAD},
    {GLOBAL, "DriverOrder", ALL, DATA("\1"), BAD},
    {GLOBAL, "SysPrepOrder", ALL, DATA("\1\0"), EFI_SUCCESS},
    {GLOBAL, "CryptoIndications", ALL, DATA("\1\0\0\0"), EFI_SUCCESS},
    /* Attributes. */
    {GLOBAL, "BootOrder", NV | BS, DATA("\1\0"), BAD},
    {GLOBAL, "BootOrder", ALL | APPEND, DATA("\1\0"), EFI_SUCCESS},
    {GLOBAL, "BootCurrent", ALL, DATA("\1\0"), BAD},
    {IMAGE, "db", ALL, DATA("x"), BAD},
    /* Texts. */
    {GLOBAL, "Lang", ALL, DATA("eng\0"), EFI_SUCCESS},
    {GLOBAL, "Lang", ALL, DATA("eng"), BAD},
    {GLOBAL, "PlatformLang", ALL, DATA("en-US\0"), EFI_SUCCESS},
    /* Device paths. */
    {GLOBAL, "ConOut", ALL, DATA(END), EFI_SUCCESS},
    {GLOBAL, "ConOut", ALL, DATA("\1\1\6\0\0\0" END), EFI_SUCCESS},
    {GLOBAL, "ConOut", ALL, DATA("\1\1\6\0\0\0"), BAD},
    {GLOBAL, "ConOut", ALL, DATA("\1\1\3\0" END), BAD},
    {GLOBAL, "ConOut", ALL, DATA("\1\1\xff\xff" END), BAD},
    {GLOBAL, "ConOut", ALL, DATA("\x7f\xff\x05\0\0"), BAD},
    {GLOBAL, "ConIn", ALL, DATA("\4\4\6\0x\0" END), BAD},
    {GLOBAL, "ConIn", ALL, DATA("\4\4\x08\0x\0\0\0" END), EFI_SUCCESS},
    {GLOBAL, "ConIn", ALL, DATA("abc"), BAD},
    /* Load options. */
    {GLOBAL, "Boot0001", ALL, DATA("\1\0\0\0\4\0a\0\0\0" END), EFI_SUCCESS},
    {GLOBAL, "Boot00AF", ALL, DATA("\1\0\0\0\4\0\0\0" END "optional"), EFI_SUCCESS},
    {GLOBAL, "Boot0001", ALL, DATA("\1\0\0\0\4\0a\0b\0"), BAD},
    {GLOBAL, "Boot0001", ALL, DATA("\1\0\0\0\5\0\0\0" END), BAD},
    {GLOBAL, "Boot0001", ALL, DATA("\1\0\0\0\3\0\0\0" END), BAD},
    {GLOBAL, "Boot0001", ALL, DATA("\1\0\0\0\0\0\0\0" END), BAD},
    {GLOBAL, "Boot0001", ALL, DATA("\1\0\0\0\4"), BAD},
    {GLOBAL, "Driver0001", ALL, DATA("\1\0\0\0\4\0\0\0" END), EFI_SUCCESS},
    {GLOBAL, "SysPrep0001", ALL, DATA("garbage"), BAD},
    {GLOBAL, "PlatformRecovery0000", BS | RT, DATA("\1\0\0\0\4\0\0\0" END), EFI_SUCCESS},
    {GLOBAL, "PlatformRecovery0000", ALL, DATA("\1\0\0\0\4\0\0\0" END), BAD},
    {GLOBAL, "Key0000", ALL, DATA("0123456789"), EFI_SUCCESS},
    {GLOBAL, "Key0000", ALL, DATA("0123456789abcd"), EFI_SUCCESS},
    {GLOBAL, "Key0000", ALL, DATA("0123456789ab"), BAD},
    {GLOBAL, "Key0000", ALL, DATA("0123456789abcd01234567abc"), BAD},
    /* Names. */
    {GLOBAL, "Boot000a", ALL, DATA("\1\0\0\0\4\0\0\0" END), BAD},
    {GLOBAL, "Boot####", ALL, DATA("\1\0\0\0\4\0\0\0" END), BAD},
    {GLOBAL, "Boot00001", ALL, DATA("\1\0\0\0\4\0\0\0" END), BAD},
    {GLOBAL, "Nonsense", ALL, DATA("x"), BAD},
    {GLOBAL, "bootorder", ALL, DATA("\1\0"), BAD},
    {IMAGE, "dbz", ALL, DATA("x"), BAD},
    {&uv_guid_hardware_error, "Other", ALL, DATA("x"), BAD},
    {&uv_guid_hardware_error, "HwErrRec00AB", ALL | HR, DATA("x"), EFI_SUCCESS},
    {&uv_guid_hardware_error, "HwErrRec00AB", ALL, DATA("x"), BAD},
    {&fixture_guid, "HwErrRec00AB", ALL | HR, DATA("x"), BAD},
    {&fixture_guid, "Nonsense", ALL, DATA("x"), EFI_SUCCESS},
    {&uv_guid_custom_mode, "CustomMode", NV | BS, DATA("\0\0"), BAD},
    {&uv_guid_custom_mode, "CustomMode", ALL, DATA("\0"), BAD},
    /* Read-only. */
    {GLOBAL, "PKDefault", BS | RT, DATA("x"), EFI_WRITE_PROTECTED},
    {GLOBAL, "dbrDefault", BS | RT, DATA("x"), EFI_WRITE_PROTECTED},
    {GLOBAL, "dbDefault", 0, DATA(""), EFI_WRITE_PROTECTED},
    /* Deletions are held to nothing else. */
    {GLOBAL, "Nonsense", 0, DATA(""), EFI_NOT_FOUND},
    {GLOBAL, "BootNext", NV | BS, DATA(""), EFI_NOT_FOUND},
};

static EfiStatus set(UvService *service, UvDoor door, const Row *row)
{
    g_autoptr(UvName) name = uv_name_new_utf8(row->name, NULL);
    const UvSetRequest request = {
        .door = door,
        .guid = *row->guid,
        .name = name,
        .attributes = row->attributes,
        .data = (const uint8_t *)row->data,
        .data_bytes = row->size,
    };

    return fixture_request(service, &request);
}

static UvService *service_at(FixturePhase phase, UvVarcheckMode varcheck)
{
    const UvServiceConfig config = {.size_bytes = 65536, .varcheck = varcheck};
    UvService *service = uv_service_new(&config, NULL);

    g_assert_cmphex(uv_service_cold_start(service), ==, EFI_SUCCESS);
    fixture_go_to(service, phase);
    return service;
}

static void test_rules(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(UvService) guest = service_at(AT_END_OF_DXE, UV_VARCHECK_STRICT);
        g_autoptr(UvService) host = service_at(AT_POWER_ON, UV_VARCHECK_STRICT);

        g_test_message("row %zu: %s", i, rows[i].name);
        g_assert_cmphex(set(guest, UV_DOOR_GUEST, &rows[i]), ==, rows[i].expected);
        g_assert_cmphex(set(host, UV_DOOR_HOST, &rows[i]), ==, rows[i].expected);
    }
}

static void test_when(void)
{
    static const Row bad = {GLOBAL, "Nonsense", ALL, DATA("x"), BAD};
    static const struct {
        FixturePhase phase;
        UvDoor door;
        UvVarcheckMode varcheck;
        bool refused;
    } cases[] = {
        {AT_POWER_ON, UV_DOOR_GUEST, UV_VARCHECK_STRICT, false},
        {AT_END_OF_DXE, UV_DOOR_GUEST, UV_VARCHECK_OFF, true},
        {AT_RUNTIME, UV_DOOR_GUEST, UV_VARCHECK_EDK2, true},
        {AT_POWER_ON, UV_DOOR_HOST, UV_VARCHECK_STRICT, true},
        {AT_POWER_ON, UV_DOOR_HOST, UV_VARCHECK_EDK2, false},
        {AT_END_OF_DXE, UV_DOOR_HOST, UV_VARCHECK_EDK2, true},
        {AT_END_OF_DXE, UV_DOOR_HOST, UV_VARCHECK_OFF, false},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(UvService) service = service_at(cases[i].phase, cases[i].varcheck);

        g_assert_cmphex(set(service, cases[i].door, &bad), ==,
                        cases[i].refused ? EFI_INVALID_PARAMETER : EFI_SUCCESS);
    }
}

static void count_let_through(const UvSetRequest *request, EfiStatus status,
                              const UvRefusal *refusal, void *data)
{
    g_assert_cmphex(status, ==, EFI_SUCCESS);
    g_assert_cmpstr(refusal->rule, ==, "2.9.3");
    ++*(guint *)data;
}

/* Off is not silent. */
static void test_off_tells(void)
{
    static const Row bad = {GLOBAL, "Nonsense", ALL, DATA("x"), BAD};
    static const Row good = {GLOBAL, "Timeout", ALL, DATA("\1\0"), BAD};
    g_autoptr(UvService) service = service_at(AT_POWER_ON, UV_VARCHECK_OFF);
    guint told = 0;

    uv_service_set_refusal_log(service, count_let_through, &told);
    g_assert_cmphex(set(service, UV_DOOR_HOST, &bad), ==, EFI_SUCCESS);
    g_assert_cmpuint(told, ==, 1);
    g_assert_cmphex(set(service, UV_DOOR_HOST, &good), ==, EFI_SUCCESS);
    g_assert_cmpuint(told, ==, 1);
}

static void test_property(void)
{
    g_autoptr(UvService) service = service_at(AT_POWER_ON, UV_VARCHECK_STRICT);
    UvPolicy *policy = uv_service_policy(service);
    g_autoptr(UvName) timeout = uv_name_new_utf8("Timeout", NULL);
    g_autoptr(UvName) mine = uv_name_new_utf8("Mine", NULL);
    UvProperty property;

    g_assert_cmphex(uv_varcheck_property(policy, GLOBAL, timeout, &property), ==, EFI_SUCCESS);
    g_assert_cmpuint(property.attributes, ==, ALL);
    g_assert_cmpuint(property.max_bytes, ==, 2);
    g_assert_cmphex(uv_varcheck_property(policy, &fixture_guid, mine, &property), ==,
                    EFI_NOT_FOUND);
    g_assert_cmphex(uv_varcheck_property(policy, GLOBAL, NULL, &property), ==,
                    EFI_INVALID_PARAMETER);

    property = (UvProperty){1, 0, NV | BS, 2, 3};
    g_assert_cmphex(uv_policy_set_property(policy, &fixture_guid, mine, &property), ==,
                    EFI_SUCCESS);
    property = (UvProperty){1, UV_PROPERTY_READ_ONLY, 0, 0, UINT64_MAX};
    g_assert_cmphex(uv_policy_set_property(policy, GLOBAL, timeout, &property), ==, EFI_SUCCESS);
    property.revision = 2;
    g_assert_cmphex(uv_policy_set_property(policy, GLOBAL, timeout, &property), ==,
                    EFI_INVALID_PARAMETER);
    fixture_go_to(service, AT_END_OF_DXE);
    const Row long_one = {&fixture_guid, "Mine", NV | BS, DATA("1234"), 0};
    const Row right = {&fixture_guid, "Mine", NV | BS, DATA("123"), 0};
    const Row other = {&fixture_guid, "Mine", ALL, DATA("123"), 0};
    const Row locked = {GLOBAL, "Timeout", ALL, DATA("\1\0"), 0};
    g_assert_cmphex(set(service, UV_DOOR_GUEST, &long_one), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(set(service, UV_DOOR_GUEST, &other), ==, EFI_INVALID_PARAMETER);
    g_assert_cmphex(set(service, UV_DOOR_GUEST, &right), ==, EFI_SUCCESS);
    g_assert_cmphex(set(service, UV_DOOR_GUEST, &locked), ==, EFI_WRITE_PROTECTED);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/varcheck/rules", test_rules);
    g_test_add_func("/varcheck/when", test_when);
    g_test_add_func("/varcheck/off-tells", test_off_tells);
    g_test_add_func("/varcheck/property", test_property);
    return g_test_run();
}
