/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "modes.h"

#include "certdb.h"

#define BS_RT (EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS)
#define NV_BS (EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS)
#define NV_BS_AT (NV_BS | EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS)

/* SHA-1, SHA-256, SHA-384, SHA-512, RSA-2048, X.509. */
static const UvGuid signature_support[] = {
    UV_GUID(0x826ca512, 0xcf10, 0x4ac9, 0xb1, 0x87, 0xbe, 0x01, 0x49, 0x66, 0x31, 0xbd),
    UV_GUID(0xc1c41626, 0x504c, 0x4092, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28),
    UV_GUID(0xff3e5307, 0x9fd0, 0x48c9, 0x85, 0xf1, 0x8a, 0xd5, 0x6c, 0x70, 0x1e, 0x01),
    UV_GUID(0x093e0fae, 0xa6c4, 0x4f50, 0x9f, 0x1b, 0xd4, 0x1e, 0x2b, 0x89, 0xc1, 0x9a),
    UV_GUID(0x3c5766e8, 0x269c, 0x4e34, 0xaa, 0x14, 0xed, 0x77, 0x6e, 0x85, 0xb3, 0xb6),
    UV_GUID(0xa5c059a1, 0x94e4, 0x4aa7, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72),
};

static const UvVariable *lookup(const UvChange *change, const UvGuid *guid, const char *ascii)
{
    g_autoptr(UvName) name = uv_name_new_utf8(ascii, NULL);

    return uv_change_lookup(change, guid, name);
}

/* Only if that changes something: a boot must not rewrite what is there. */
static void put(UvChange *change, const UvGuid *guid, const char *ascii, uint32_t attributes,
                const void *bytes, size_t size)
{
    g_autoptr(UvName) name = uv_name_new_utf8(ascii, NULL);
    g_autoptr(GBytes) data = g_bytes_new(bytes, size);
    const UvVariable *old = uv_change_lookup(change, guid, name);

    if (old && old->attributes == attributes && g_bytes_equal(old->data, data))
        return;
    g_autoptr(UvVariable) variable = uv_variable_new(&(UvVariable){
        .guid = *guid,
        .name = name,
        .attributes = attributes,
        .data = data,
        /* A derived one follows from the store, and is as old: backups take it once. */
        .mtime_ns = attributes & EFI_VARIABLE_NON_VOLATILE ? g_get_real_time() * 1000 : 0,
    });
    uv_change_put(change, variable);
}

static void put_byte(UvChange *change, const UvGuid *guid, const char *name, uint32_t attributes,
                     uint8_t value)
{
    put(change, guid, name, attributes, &value, sizeof(value));
}

/* The first byte of a variable, or `absent`. */
static uint8_t get_byte(const UvChange *change, const UvGuid *guid, const char *name,
                        uint8_t absent)
{
    const UvVariable *variable = lookup(change, guid, name);
    gsize size;

    if (!variable)
        return absent;
    const uint8_t *data = g_bytes_get_data(variable->data, &size);
    return size > 0 ? data[0] : absent;
}

bool uv_modes_is_setup(const UvChange *change)
{
    return lookup(change, &uv_guid_global_variable, "PK") == NULL;
}

bool uv_modes_is_custom(const UvChange *change)
{
    return get_byte(change, &uv_guid_custom_mode, "CustomMode", 0) == 1;
}

/* What SecureBoot says, or will say at the next boot. */
static bool is_secure_boot(const UvChange *change, const UvServiceConfig *config)
{
    if (uv_modes_is_setup(change))
        return false;
    return config->force_secure_boot ||
           get_byte(change, &uv_guid_secure_boot_enable, "SecureBootEnable", 1) == 1;
}

static void derive_setup_mode(UvChange *change)
{
    put_byte(change, &uv_guid_global_variable, "SetupMode", BS_RT, uv_modes_is_setup(change));
}

void uv_modes_derive(UvChange *change, const UvServiceConfig *config)
{
    const UvGuid *global = &uv_guid_global_variable;

    if (config->stateless)
        return;
    derive_setup_mode(change);
    put(change, global, "SignatureSupport", BS_RT, signature_support, sizeof(signature_support));
    put_byte(change, global, "SecureBoot", BS_RT, is_secure_boot(change, config));
    put_byte(change, global, "AuditMode", BS_RT, 0);
    put_byte(change, global, "DeployedMode", BS_RT, 0);
    put_byte(change, global, "VendorKeys", BS_RT,
             get_byte(change, &uv_guid_vendor_keys_nv, "VendorKeysNv", 1));
    if (config->keeps_certdb)
        uv_certdb_derive(change);
}

void uv_modes_resume(UvChange *change, const UvServiceConfig *config, const UvPhase *phase)
{
    if (phase->exit_boot_services && lookup(change, &uv_guid_global_variable, "SecureBoot"))
        derive_setup_mode(change);
    else
        uv_modes_derive(change, config);
}

void uv_modes_boot(UvChange *change, const UvServiceConfig *config)
{
    const UvGuid *enable = &uv_guid_secure_boot_enable;

    if (!uv_modes_is_setup(change) &&
        (config->force_secure_boot || !lookup(change, enable, "SecureBootEnable")))
        put_byte(change, enable, "SecureBootEnable", NV_BS, 1);
    put_byte(change, &uv_guid_custom_mode, "CustomMode", NV_BS, 0);
    if (config->keeps_certdb)
        uv_certdb_boot(change);
    if (!lookup(change, &uv_guid_vendor_keys_nv, "VendorKeysNv"))
        put_byte(change, &uv_guid_vendor_keys_nv, "VendorKeysNv", NV_BS_AT, 1);
}

void uv_modes_vendor_keys_changed(UvChange *change)
{
    put_byte(change, &uv_guid_vendor_keys_nv, "VendorKeysNv", NV_BS_AT, 0);
}

/* What this change does to PK: NULL if nothing. */
static const UvChangeItem *find_pk(const UvChange *change)
{
    for (size_t i = 0; i < uv_change_count(change); i++) {
        const UvChangeItem *item = uv_change_item(change, i);
        const UvVariable *any = item->after ? item->after : item->before;

        if (uv_guid_equal(&any->guid, &uv_guid_global_variable) && uv_name_is(any->name, "PK"))
            return item;
    }
    return NULL;
}

static void follow_pk(UvChange *change, const UvChangeItem *pk)
{
    g_autoptr(UvName) name = uv_name_new_utf8("SecureBootEnable", NULL);

    if (!pk->before)
        put_byte(change, &uv_guid_secure_boot_enable, "SecureBootEnable", NV_BS, 1);
    else if (!pk->after && uv_change_lookup(change, &uv_guid_secure_boot_enable, name))
        uv_change_remove(change, &uv_guid_secure_boot_enable, name);
}

/* Whether a derived variable can come out differently: most changes are of others. */
static bool touches_modes(const UvChange *change)
{
    const UvGuid *const sources[] = {&uv_guid_secure_boot_enable, &uv_guid_custom_mode,
                                     &uv_guid_vendor_keys_nv, &uv_guid_cert_db};

    for (size_t i = 0; i < uv_change_count(change); i++) {
        const UvChangeItem *item = uv_change_item(change, i);
        const UvVariable *any = item->after ? item->after : item->before;

        for (size_t n = 0; n < G_N_ELEMENTS(sources); n++)
            if (uv_guid_equal(&any->guid, sources[n]))
                return true;
    }
    return find_pk(change) != NULL;
}

void uv_modes_follow(UvChange *change, const UvGate *gate)
{
    const UvChangeItem *pk = find_pk(change);

    if (!touches_modes(change))
        return;

    /* edk2's UpdatePlatformMode: what the OS booted with does not change under it. */
    if (gate->phase->exit_boot_services) {
        derive_setup_mode(change);
        return;
    }
    if (pk)
        follow_pk(change, pk);
    uv_modes_derive(change, gate->config);
}
