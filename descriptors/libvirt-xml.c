/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A complete minimal libvirt domain for a choice, with the firmware given by its files. */

#include "desc.h"

/* Appends with the arguments escaped for XML. */
static void add(GString *xml, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void add(GString *xml, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    text = g_markup_vprintf_escaped(format, arguments);
    va_end(arguments);
    g_string_append(xml, text);
}

static bool needs_command_line(const DescChoice *choice)
{
    return choice->desc->device == DESC_DEVICE_IGVM ||
           (choice->desc->features & DESC_FEATURE_HOST_UEFI_VARS);
}

/* libvirt assumes raw where no format is said, and older versions do not know the attribute. */
static void add_format(GString *xml, const char *attribute, DescFormat format)
{
    if (format != DESC_FORMAT_RAW)
        add(xml, " %s='%s'", attribute, desc_formats[format]);
}

static void add_flash(GString *xml, const DescChoice *choice, const DescPlace *place)
{
    const Desc *desc = choice->desc;
    bool combined = desc->mode == DESC_MODE_COMBINED;

    add(xml, "    <loader readonly='%s' type='pflash'", combined ? "no" : "yes");
    if (desc->features & DESC_FEATURE_REQUIRES_SMM)
        add(xml, " secure='yes'");
    if (desc->mode == DESC_MODE_STATELESS)
        add(xml, " stateless='yes'");
    add_format(xml, "format", combined ? choice->format : desc->executable.format);
    add(xml, ">%s</loader>\n", combined ? desc_place_store(place) : desc->executable.filename);
    if (desc->mode != DESC_MODE_SPLIT)
        return;
    add(xml, "    <nvram template='%s'", desc_choice_template(choice));
    add_format(xml, "templateFormat", desc->template.format);
    add_format(xml, "format", choice->format);
    add(xml, ">%s</nvram>\n", desc_place_store(place));
}

static void add_os(GString *xml, const DescChoice *choice, const DescPlace *place)
{
    add(xml, "  <os>\n    <type arch='%s'", choice->architecture ? choice->architecture : "x86_64");
    if (choice->machine)
        add(xml, " machine='%s'", choice->machine);
    add(xml, ">hvm</type>\n");
    switch (choice->desc->device) {
    case DESC_DEVICE_FLASH:
        add_flash(xml, choice, place);
        break;
    case DESC_DEVICE_MEMORY:
        add(xml, "    <loader readonly='yes' type='rom'>%s</loader>\n",
            choice->desc->executable.filename);
        break;
    case DESC_DEVICE_KERNEL:
        add(xml, "    <kernel>%s</kernel>\n", choice->desc->executable.filename);
        break;
    case DESC_DEVICE_IGVM:
        break;
    }
    add(xml, "  </os>\n");
}

static void add_features(GString *xml, const DescChoice *choice)
{
    add(xml, "  <features>\n    <acpi/>\n");
    if (choice->desc->features & DESC_FEATURE_REQUIRES_SMM)
        add(xml, "    <smm state='on'/>\n");
    add(xml, "  </features>\n");
    if (choice->architecture && g_str_equal(choice->architecture, "aarch64"))
        add(xml, "  <cpu mode='maximum'/>\n");
}

/* What libvirt has no element for: the variable device of ours, and IGVM files. */
static void add_command_line(GString *xml, const DescChoice *choice, const DescPlace *place)
{
    bool igvm = choice->desc->device == DESC_DEVICE_IGVM;

    if (!needs_command_line(choice))
        return;
    add(xml, "  <qemu:commandline>\n");
    if (igvm)
        add(xml,
            "    <qemu:arg value='-object'/>\n"
            "    <qemu:arg value='igvm-cfg,id=igvm0,file=%s'/>\n"
            "    <qemu:arg value='-machine'/>\n"
            "    <qemu:arg value='igvm-cfg=igvm0'/>\n",
            choice->desc->executable.filename);
    if (choice->desc->features & DESC_FEATURE_HOST_UEFI_VARS)
        add(xml,
            "    <qemu:arg value='-device'/>\n"
            "    <qemu:arg value='%s,socket=%s'/>\n"
            "    <qemu:env name='QEMU_MODULE_DIR' value='%s'/>\n",
            desc_is_x86(choice) ? "uefi-vars-x64" : "uefi-vars-sysbus", desc_place_socket(place),
            DESC_QEMU_MODULE_DIR);
    add(xml, "  </qemu:commandline>\n");
}

char *desc_libvirt_xml(const DescChoice *choice, const DescPlace *place)
{
    GString *xml = g_string_new(NULL);

    add(xml, "<domain type='%s'", desc_is_x86(choice) ? "kvm" : "qemu");
    if (needs_command_line(choice))
        add(xml, " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'");
    add(xml, ">\n");
    add(xml, "  <name>%s</name>\n", desc_place_name(place));
    add(xml, "  <memory unit='MiB'>2048</memory>\n  <vcpu>2</vcpu>\n");
    add_os(xml, choice, place);
    add_features(xml, choice);
    add(xml, "  <devices>\n    <console type='pty'/>\n  </devices>\n");
    add_command_line(xml, choice, place);
    add(xml, "</domain>\n");
    return g_string_free(xml, FALSE);
}
