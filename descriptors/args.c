/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * QEMU's arguments for a choice, one a line, for `xargs -d '\n' qemu-system-ARCH`. They hold what
 * the firmware decides (machine properties, flash or ROM, the variable device) and nothing else:
 * accelerator, memory and devices are the caller's.
 */

#include "desc.h"

static void add(GString *args, const char *option, const char *value)
{
    g_string_append_printf(args, "%s\n%s\n", option, value);
}

/* A ',' inside a value of QEMU's own option syntax is written twice. */
static char *escape_commas(const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);

    return g_strjoinv(",,", parts);
}

static void add_word(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, value);
}

/* One node: a format on a file, as -blockdev's JSON. */
static void add_blockdev(GString *args, const char *node, DescFormat format, const char *filename,
                         bool read_only)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;

    json_builder_begin_object(builder);
    add_word(builder, "driver", desc_formats[format]);
    add_word(builder, "node-name", node);
    json_builder_set_member_name(builder, "read-only");
    json_builder_add_boolean_value(builder, read_only);
    json_builder_set_member_name(builder, "file");
    json_builder_begin_object(builder);
    add_word(builder, "driver", "file");
    add_word(builder, "filename", filename);
    json_builder_end_object(builder);
    if (format == DESC_FORMAT_QCOW2) { /* whatever its header says */
        json_builder_set_member_name(builder, "backing");
        json_builder_add_null_value(builder);
    }
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    text = json_to_string(root, FALSE);
    add(args, "-blockdev", text);
}

static bool is_flash(const DescChoice *choice)
{
    return choice->desc->device == DESC_DEVICE_FLASH;
}

static bool is_private_executable(const DescChoice *choice)
{
    return is_flash(choice) && choice->desc->mode == DESC_MODE_COMBINED;
}

static bool has_second_flash(const DescChoice *choice)
{
    return is_flash(choice) && choice->desc->mode == DESC_MODE_SPLIT;
}

static void add_machine(GString *args, const DescChoice *choice, bool legacy)
{
    g_autoptr(GString) value = g_string_new(choice->machine);

    if (choice->desc->features & DESC_FEATURE_REQUIRES_SMM)
        g_string_append(value, value->len ? ",smm=on" : "smm=on");
    if (is_flash(choice) && !legacy) {
        g_string_append(value, value->len ? ",pflash0=pflash0" : "pflash0=pflash0");
        if (has_second_flash(choice))
            g_string_append(value, ",pflash1=pflash1");
    }
    if (choice->desc->device == DESC_DEVICE_IGVM)
        g_string_append(value, value->len ? ",igvm-cfg=igvm0" : "igvm-cfg=igvm0");
    if (value->len > 0)
        add(args, "-machine", value->str);
    /* The default CPU of the virt machine is a 32-bit one. */
    if (choice->architecture && g_str_equal(choice->architecture, "aarch64"))
        add(args, "-cpu", "max");
}

static void add_secure_flash(GString *args, const DescChoice *choice)
{
    const unsigned both = DESC_FEATURE_SECURE_BOOT | DESC_FEATURE_REQUIRES_SMM;

    if (is_flash(choice) && (choice->desc->features & both) == both)
        add(args, "-global", "driver=cfi.pflash01,property=secure,value=on");
}

static void add_vars_device(GString *args, const DescChoice *choice, const DescPlace *place)
{
    g_autofree char *socket = NULL, *value = NULL;

    if (!(choice->desc->features & DESC_FEATURE_HOST_UEFI_VARS))
        return;
    socket = escape_commas(desc_place_socket(place));
    value = g_strdup_printf("%s,socket=%s",
                            desc_is_x86(choice) ? "uefi-vars-x64" : "uefi-vars-sysbus", socket);
    add(args, "-device", value);
}

static void add_executable(GString *args, const DescChoice *choice)
{
    g_autofree char *escaped = escape_commas(choice->desc->executable.filename);
    g_autofree char *igvm = g_strdup_printf("igvm-cfg,id=igvm0,file=%s", escaped);

    switch (choice->desc->device) {
    case DESC_DEVICE_KERNEL:
        add(args, "-kernel", choice->desc->executable.filename);
        break;
    case DESC_DEVICE_MEMORY:
        add(args, "-bios", choice->desc->executable.filename);
        break;
    case DESC_DEVICE_IGVM:
        add(args, "-object", igvm);
        break;
    case DESC_DEVICE_FLASH:
        break;
    }
}

static void add_flash(GString *args, const DescChoice *choice, const DescPlace *place)
{
    bool private = is_private_executable(choice);
    const Desc *desc = choice->desc;

    add_blockdev(args, "pflash0", private ? choice->format : desc->executable.format,
                 private ? desc_place_store(place) : desc->executable.filename, !private);
    if (has_second_flash(choice))
        add_blockdev(args, "pflash1", choice->format, desc_place_store(place), false);
}

char *desc_qemu_args(const DescChoice *choice, const DescPlace *place)
{
    GString *args = g_string_new(NULL);

    if (is_flash(choice))
        add_flash(args, choice, place);
    add_executable(args, choice);
    add_machine(args, choice, false);
    add_secure_flash(args, choice);
    add_vars_device(args, choice, place);
    return g_string_free(args, FALSE);
}

static void add_legacy_drive(GString *args, unsigned unit, bool read_only, const char *filename,
                             DescFormat format)
{
    g_autofree char *escaped = escape_commas(filename);
    g_autofree char *value =
        g_strdup_printf("if=pflash,unit=%u,readonly=%s,file=%s,format=%s", unit,
                        read_only ? "on" : "off", escaped, desc_formats[format]);

    add(args, "-drive", value);
}

char *desc_qemu_legacy_args(const DescChoice *choice, const DescPlace *place)
{
    GString *args;
    bool private = is_private_executable(choice);

    if (!is_flash(choice))
        return NULL;
    args = g_string_new(NULL);
    add_legacy_drive(args, 0, !private,
                     private ? desc_place_store(place) : choice->desc->executable.filename,
                     private ? choice->format : choice->desc->executable.format);
    if (has_second_flash(choice))
        add_legacy_drive(args, 1, false, desc_place_store(place), choice->format);
    add_machine(args, choice, true);
    add_secure_flash(args, choice);
    add_vars_device(args, choice, place);
    return g_string_free(args, FALSE);
}
