/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * QEMU's arguments for a choice, one a line, for `xargs -d '\n' qemu-system-ARCH`. They hold what
 * the firmware decides (machine properties, flash or ROM, the variable device) and nothing else:
 * accelerator, memory and devices are the caller's.
 */

#include "desc.h"
#include "emit.h"
#include "json-put.h"

/* One node: a format on a file, as -blockdev's JSON. */
static char *blockdev_text(const char *node, DescFormat format, const char *filename,
                           bool read_only)
{
    GString *text = g_string_new(NULL);

    uv_json_begin(text, NULL, '{');
    uv_json_put_text(text, "driver", desc_formats[format]);
    uv_json_put_text(text, "node-name", node);
    uv_json_put_bool(text, "read-only", read_only);
    uv_json_begin(text, "file", '{');
    uv_json_put_text(text, "driver", "file");
    uv_json_put_text(text, "filename", filename);
    uv_json_end(text, '}');
    if (format == DESC_FORMAT_QCOW2) /* whatever its header says */
        uv_json_put_null(text, "backing");
    uv_json_end(text, '}');
    return g_string_free(text, FALSE);
}

static void add_blockdev(DescArgs *args, const char *node, DescFormat format, const char *filename,
                         bool read_only)
{
    g_autofree char *text = NULL;

    desc_args_option(args, "-blockdev");
    desc_args_check(args, "filename", filename);
    if (desc_emit_fault(filename))
        return;
    text = blockdev_text(node, format, filename, read_only);
    desc_args_whole(args, "blockdev", text);
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

static void add_machine(DescArgs *args, const DescChoice *choice, bool legacy)
{
    const bool smm = choice->desc->features & DESC_FEATURE_REQUIRES_SMM;
    const bool flash = is_flash(choice) && !legacy;
    const bool igvm = choice->desc->device == DESC_DEVICE_IGVM;

    if (choice->machine || smm || flash || igvm)
        desc_args_option(args, "-machine");
    if (choice->machine)
        desc_args_word(args, "machine", choice->machine);
    if (smm)
        desc_args_pair(args, "smm", "on");
    if (flash)
        desc_args_pair(args, "pflash0", "pflash0");
    if (flash && has_second_flash(choice))
        desc_args_pair(args, "pflash1", "pflash1");
    if (igvm)
        desc_args_pair(args, "igvm-cfg", "igvm0");
    /* The default CPU of the virt machine is a 32-bit one. */
    if (choice->architecture && g_str_equal(choice->architecture, "aarch64")) {
        desc_args_option(args, "-cpu");
        desc_args_word(args, "cpu", "max");
    }
}

static void add_secure_flash(DescArgs *args, const DescChoice *choice)
{
    const unsigned both = DESC_FEATURE_SECURE_BOOT | DESC_FEATURE_REQUIRES_SMM;

    if (!is_flash(choice) || (choice->desc->features & both) != both)
        return;
    desc_args_option(args, "-global");
    desc_args_pair(args, "driver", "cfi.pflash01");
    desc_args_pair(args, "property", "secure");
    desc_args_pair(args, "value", "on");
}

void desc_args_vars_device(DescArgs *args, const DescChoice *choice, const DescPlace *place)
{
    if (!(choice->desc->features & DESC_FEATURE_HOST_UEFI_VARS))
        return;
    desc_args_option(args, "-device");
    desc_args_word(args, "driver", desc_is_x86(choice) ? "uefi-vars-x64" : "uefi-vars-sysbus");
    desc_args_pair(args, "socket", desc_place_socket(place));
}

void desc_args_igvm(DescArgs *args, const DescChoice *choice)
{
    if (choice->desc->device != DESC_DEVICE_IGVM)
        return;
    desc_args_option(args, "-object");
    desc_args_word(args, "type", "igvm-cfg");
    desc_args_pair(args, "id", "igvm0");
    desc_args_pair(args, "file", choice->desc->executable.filename);
}

static void add_executable(DescArgs *args, const DescChoice *choice)
{
    switch (choice->desc->device) {
    case DESC_DEVICE_KERNEL:
        desc_args_option(args, "-kernel");
        desc_args_whole(args, "executable", choice->desc->executable.filename);
        break;
    case DESC_DEVICE_MEMORY:
        desc_args_option(args, "-bios");
        desc_args_whole(args, "executable", choice->desc->executable.filename);
        break;
    case DESC_DEVICE_IGVM:
        desc_args_igvm(args, choice);
        break;
    case DESC_DEVICE_FLASH:
        break;
    }
}

static void add_flash(DescArgs *args, const DescChoice *choice, const DescPlace *place)
{
    bool private = is_private_executable(choice);
    const Desc *desc = choice->desc;

    add_blockdev(args, "pflash0", private ? choice->format : desc->executable.format,
                 private ? desc_place_store(place) : desc->executable.filename, !private);
    if (has_second_flash(choice))
        add_blockdev(args, "pflash1", choice->format, desc_place_store(place), false);
}

char *desc_qemu_args(const DescChoice *choice, const DescPlace *place, char **ret_refusal)
{
    DescArgs *args = desc_args_new();

    if (is_flash(choice))
        add_flash(args, choice, place);
    add_executable(args, choice);
    add_machine(args, choice, false);
    add_secure_flash(args, choice);
    desc_args_vars_device(args, choice, place);
    return desc_args_finish(args, ret_refusal);
}

static void add_legacy_drive(DescArgs *args, const char *unit, bool read_only, const char *filename,
                             DescFormat format)
{
    desc_args_option(args, "-drive");
    desc_args_pair(args, "if", "pflash");
    desc_args_pair(args, "unit", unit);
    desc_args_pair(args, "readonly", read_only ? "on" : "off");
    desc_args_pair(args, "file", filename);
    desc_args_pair(args, "format", desc_formats[format]);
}

char *desc_qemu_legacy_args(const DescChoice *choice, const DescPlace *place, char **ret_refusal)
{
    DescArgs *args;
    bool private = is_private_executable(choice);

    if (!is_flash(choice))
        return NULL;
    args = desc_args_new();
    add_legacy_drive(args, "0", !private,
                     private ? desc_place_store(place) : choice->desc->executable.filename,
                     private ? choice->format : choice->desc->executable.format);
    if (has_second_flash(choice))
        add_legacy_drive(args, "1", false, desc_place_store(place), choice->format);
    add_machine(args, choice, true);
    add_secure_flash(args, choice);
    desc_args_vars_device(args, choice, place);
    return desc_args_finish(args, ret_refusal);
}
