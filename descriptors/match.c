/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Does a descriptor satisfy a wish? The rules in libvirt's order (qemuFirmwareMatchDomain), so that
 * the first reason for passing one over is libvirt's too. The first descriptor without a reason is
 * taken.
 */

#include "desc.h"

/* Machine aliases, and a versioned name that stands for what they mean. */
static const struct {
    const char *alias;
    const char *canonical;
} aliases[] = {
    {"q35", "pc-q35-11.0"},
    {"pc", "pc-i440fx-11.0"},
    {"virt", "virt-11.0"},
};

static const char *canonical_machine(const char *machine)
{
    for (size_t i = 0; i < G_N_ELEMENTS(aliases); i++) {
        if (g_str_equal(machine, aliases[i].alias))
            return aliases[i].canonical;
    }
    return machine;
}

static bool target_fits(const DescTarget *target, const DescWish *wish)
{
    const char *machine;

    if (wish->architecture && !g_str_equal(target->architecture, wish->architecture))
        return false;
    if (!wish->machine)
        return true;
    machine = canonical_machine(wish->machine);
    for (guint i = 0; i < target->machines->len; i++) {
        if (g_pattern_match_simple(target->machines->pdata[i], machine))
            return true;
    }
    return false;
}

const DescTarget *desc_find_target(const Desc *desc, const DescWish *wish)
{
    for (guint i = 0; i < desc->targets->len; i++) {
        const DescTarget *target = desc->targets->pdata[i];

        if (target_fits(target, wish))
            return target;
    }
    return NULL;
}

static char *target_mismatch(const Desc *desc, const DescWish *wish)
{
    if (desc_find_target(desc, wish))
        return NULL;
    return g_strdup_printf("no target for %s, machine %s",
                           wish->architecture ? wish->architecture : "any architecture",
                           wish->machine ? wish->machine : "any");
}

/* S3 and S4 first, then Secure Boot and enrolled keys, then the rest: libvirt's order. */
static const DescFeature feature_order[] = {
    DESC_FEATURE_ACPI_S3,         DESC_FEATURE_ACPI_S4,        DESC_FEATURE_SECURE_BOOT,
    DESC_FEATURE_ENROLLED_KEYS,   DESC_FEATURE_REQUIRES_SMM,   DESC_FEATURE_HOST_UEFI_VARS,
    DESC_FEATURE_VERBOSE_DYNAMIC, DESC_FEATURE_VERBOSE_STATIC,
};

static const DescFeature launch_security_order[] = {
    DESC_FEATURE_AMD_SEV,   DESC_FEATURE_AMD_SEV_ES, DESC_FEATURE_AMD_SEV_SNP,
    DESC_FEATURE_INTEL_TDX, DESC_FEATURE_ARM_RME,
};

static char *feature_mismatch(const Desc *desc, const DescWish *wish, const DescFeature *order,
                              size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *name = desc_features[g_bit_nth_lsf(order[i], -1)];

        if ((wish->required & order[i]) && !(desc->features & order[i]))
            return g_strdup_printf("feature %s is required, and missing", name);
        if ((wish->refused & order[i]) && (desc->features & order[i]))
            return g_strdup_printf("feature %s is refused, and there", name);
    }
    return NULL;
}

static char *mapping_mismatch(const Desc *desc, const DescWish *wish)
{
    if (wish->has_device && desc->device != wish->device)
        return g_strdup_printf("device is %s, not %s", desc_devices[desc->device],
                               desc_devices[wish->device]);
    if (!wish->has_device &&
        (desc->device == DESC_DEVICE_KERNEL || desc->device == DESC_DEVICE_IGVM))
        return g_strdup_printf("device %s is only taken when asked for",
                               desc_devices[desc->device]);
    if (wish->has_mode && desc->device != DESC_DEVICE_FLASH && wish->mode != DESC_MODE_STATELESS)
        return g_strdup_printf("device %s has no flash mode", desc_devices[desc->device]);
    if (wish->has_mode && desc->device == DESC_DEVICE_FLASH && desc->mode != wish->mode)
        return g_strdup_printf("mode is %s, not %s", desc_modes[desc->mode],
                               desc_modes[wish->mode]);
    if (wish->has_format && desc->device == DESC_DEVICE_FLASH &&
        desc->executable.format != wish->format)
        return g_strdup_printf("format is %s, not %s%s", desc_formats[desc->executable.format],
                               desc_formats[wish->format],
                               wish->format_is_stores ? " (the store's)" : "");
    return NULL;
}

char *desc_mismatch(const Desc *desc, const DescWish *wish)
{
    char *reason = NULL;

    if (desc->problem)
        return g_strdup_printf("unusable: %s", desc->problem);
    if (wish->descriptor && !g_str_equal(wish->descriptor, desc->name))
        return g_strdup_printf("descriptor %s was picked", wish->descriptor);
    if (wish->interface && !desc_has_interface(desc, wish->interface))
        return g_strdup_printf("no interface %s", wish->interface);
    if (!(reason = target_mismatch(desc, wish)) &&
        !(reason = feature_mismatch(desc, wish, feature_order, G_N_ELEMENTS(feature_order))) &&
        !(reason = mapping_mismatch(desc, wish)))
        reason = feature_mismatch(desc, wish, launch_security_order,
                                  G_N_ELEMENTS(launch_security_order));
    return reason;
}
