/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "varcheck-table.h"

#define NV EFI_VARIABLE_NON_VOLATILE
#define BS EFI_VARIABLE_BOOTSERVICE_ACCESS
#define RT EFI_VARIABLE_RUNTIME_ACCESS
#define AT EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS
#define HR EFI_VARIABLE_HARDWARE_ERROR_RECORD
#define ANY UINT32_MAX

#define WRITABLE VARCHECK_WRITABLE
#define READ_ONLY VARCHECK_READ_ONLY
#define OWNED VARCHECK_OWNED

#define GLOBAL &uv_guid_global_variable
#define IMAGE &uv_guid_image_security

#define LOAD_OPTION_MIN 6u
#define DEVICE_PATH_MIN 4u
#define KEY_OPTION_MIN 10u
#define KEY_OPTION_MAX 22u

static const VarcheckRule rules[] = {
    /* Languages. */
    {GLOBAL, "LangCodes", BS | RT, 1, ANY, varcheck_is_ascii, WRITABLE},
    {GLOBAL, "Lang", NV | BS | RT, 1, ANY, varcheck_is_ascii, WRITABLE},
    {GLOBAL, "PlatformLangCodes", BS | RT, 1, ANY, varcheck_is_ascii, WRITABLE},
    {GLOBAL, "PlatformLang", NV | BS | RT, 1, ANY, varcheck_is_ascii, WRITABLE},
    /* Consoles. */
    {GLOBAL, "ConIn", NV | BS | RT, DEVICE_PATH_MIN, ANY, varcheck_is_device_path, WRITABLE},
    {GLOBAL, "ConOut", NV | BS | RT, DEVICE_PATH_MIN, ANY, varcheck_is_device_path, WRITABLE},
    {GLOBAL, "ErrOut", NV | BS | RT, DEVICE_PATH_MIN, ANY, varcheck_is_device_path, WRITABLE},
    {GLOBAL, "ConInDev", BS | RT, DEVICE_PATH_MIN, ANY, varcheck_is_device_path, WRITABLE},
    {GLOBAL, "ConOutDev", BS | RT, DEVICE_PATH_MIN, ANY, varcheck_is_device_path, WRITABLE},
    {GLOBAL, "ErrOutDev", BS | RT, DEVICE_PATH_MIN, ANY, varcheck_is_device_path, WRITABLE},
    /* Booting. */
    {GLOBAL, "Timeout", NV | BS | RT, 2, 2, NULL, WRITABLE},
    {GLOBAL, "BootOrder", NV | BS | RT, 2, ANY, varcheck_is_u16_array, WRITABLE},
    {GLOBAL, "BootNext", NV | BS | RT, 2, 2, NULL, WRITABLE},
    {GLOBAL, "BootCurrent", BS | RT, 2, 2, NULL, WRITABLE},
    {GLOBAL, "BootOptionSupport", BS | RT, 4, 4, NULL, WRITABLE},
    {GLOBAL, "DriverOrder", NV | BS | RT, 2, ANY, varcheck_is_u16_array, WRITABLE},
    {GLOBAL, "SysPrepOrder", NV | BS | RT, 2, ANY, varcheck_is_u16_array, WRITABLE},
    {GLOBAL, "OsRecoveryOrder", NV | BS | RT | AT, 16, ANY, varcheck_is_guid_array, WRITABLE},
    {GLOBAL, "OsIndications", NV | BS | RT, 8, 8, NULL, WRITABLE},
    {GLOBAL, "OsIndicationsSupported", BS | RT, 8, 8, NULL, WRITABLE},
    {GLOBAL, "HwErrRecSupport", NV | BS | RT, 2, 2, NULL, WRITABLE},
    {GLOBAL, "Boot####", NV | BS | RT, LOAD_OPTION_MIN, ANY, varcheck_is_load_option, WRITABLE},
    {GLOBAL, "Driver####", NV | BS | RT, LOAD_OPTION_MIN, ANY, varcheck_is_load_option, WRITABLE},
    {GLOBAL, "SysPrep####", NV | BS | RT, LOAD_OPTION_MIN, ANY, varcheck_is_load_option, WRITABLE},
    {GLOBAL, "PlatformRecovery####", BS | RT, LOAD_OPTION_MIN, ANY, varcheck_is_load_option,
     WRITABLE},
    {GLOBAL, "Key####", NV | BS | RT, KEY_OPTION_MIN, KEY_OPTION_MAX, varcheck_is_key_option,
     WRITABLE},
    /* Security. */
    {GLOBAL, "PK", NV | BS | RT | AT, 1, ANY, NULL, WRITABLE},
    {GLOBAL, "KEK", NV | BS | RT | AT, 1, ANY, NULL, WRITABLE},
    {GLOBAL, "PKDefault", BS | RT, 1, ANY, NULL, READ_ONLY},
    {GLOBAL, "KEKDefault", BS | RT, 1, ANY, NULL, READ_ONLY},
    {GLOBAL, "dbDefault", BS | RT, 1, ANY, NULL, READ_ONLY},
    {GLOBAL, "dbxDefault", BS | RT, 1, ANY, NULL, READ_ONLY},
    {GLOBAL, "dbtDefault", BS | RT, 1, ANY, NULL, READ_ONLY},
    {GLOBAL, "dbrDefault", BS | RT, 1, ANY, NULL, READ_ONLY},
    {GLOBAL, "devdbDefault", BS | RT, 1, ANY, NULL, READ_ONLY},
    {GLOBAL, "devAuthBoot", BS | RT, 1, 1, NULL, READ_ONLY},
    {GLOBAL, "CryptoIndications", NV | BS | RT, 1, ANY, NULL, WRITABLE},
    {GLOBAL, "CryptoIndicationsSupported", BS | RT, 1, ANY, NULL, WRITABLE},
    {GLOBAL, "CryptoIndicationsActivated", BS | RT, 1, ANY, NULL, WRITABLE},
    {GLOBAL, "SetupMode", BS | RT, 1, 1, NULL, OWNED},
    {GLOBAL, "SecureBoot", BS | RT, 1, 1, NULL, OWNED},
    {GLOBAL, "AuditMode", BS | RT, 1, 1, NULL, OWNED},
    {GLOBAL, "DeployedMode", BS | RT, 1, 1, NULL, OWNED},
    {GLOBAL, "SignatureSupport", BS | RT, 16, ANY, varcheck_is_guid_array, OWNED},
    {GLOBAL, "VendorKeys", BS | RT, 1, 1, NULL, OWNED},
    {IMAGE, "db", NV | BS | RT | AT, 1, ANY, NULL, WRITABLE},
    {IMAGE, "dbx", NV | BS | RT | AT, 1, ANY, NULL, WRITABLE},
    {IMAGE, "dbt", NV | BS | RT | AT, 1, ANY, NULL, WRITABLE},
    {IMAGE, "dbr", NV | BS | RT | AT, 1, ANY, NULL, WRITABLE},
    /* edk2's own. */
    {&uv_guid_secure_boot_enable, "SecureBootEnable", NV | BS, 1, 1, NULL, WRITABLE},
    {&uv_guid_custom_mode, "CustomMode", NV | BS, 1, 1, NULL, WRITABLE},
    {&uv_guid_vendor_keys_nv, "VendorKeysNv", NV | BS | RT | AT, 1, 1, NULL, OWNED},
    {&uv_guid_cert_db, "certdb", NV | BS | RT | AT, 4, ANY, NULL, OWNED},
    {&uv_guid_cert_db, "certdbv", BS | RT | AT, 4, ANY, NULL, OWNED},
    {&uv_guid_hardware_error, "HwErrRec####", NV | BS | RT | HR, 1, ANY, NULL, WRITABLE},
};

static bool is_upper_hex(uint16_t unit)
{
    return (unit >= '0' && unit <= '9') || (unit >= 'A' && unit <= 'F');
}

static bool name_fits(const UvName *name, const char *pattern)
{
    const uint8_t *units = uv_name_utf16le(name);
    const size_t count = uv_name_units(name);
    size_t i;

    for (i = 0; i < count && pattern[i] != '\0'; i++) {
        const uint16_t unit = units[2 * i] | units[2 * i + 1] << 8;

        if (pattern[i] == '#' ? !is_upper_hex(unit) : unit != (uint8_t)pattern[i])
            return false;
    }
    return i == count && pattern[i] == '\0';
}

const VarcheckRule *varcheck_find(const UvGuid *guid, const UvName *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        if (uv_guid_equal(rules[i].guid, guid) && name_fits(name, rules[i].name))
            return &rules[i];
    }
    return NULL;
}

bool varcheck_is_closed(const UvGuid *guid)
{
    return uv_guid_equal(guid, &uv_guid_global_variable) ||
           uv_guid_equal(guid, &uv_guid_image_security) ||
           uv_guid_equal(guid, &uv_guid_hardware_error);
}

bool varcheck_is_hardware_error_record(const UvGuid *guid, const UvName *name)
{
    return uv_guid_equal(guid, &uv_guid_hardware_error) && name_fits(name, "HwErrRec####");
}
