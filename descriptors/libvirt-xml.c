/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A complete minimal libvirt domain for a choice, with the firmware given by its files.
 *
 * A host-uefi-vars firmware's store is a <varstore> for libvirt from 12.1 on, as libvirt itself
 * makes it. Older ones have no element for the variable device, so it is on QEMU's command line,
 * and the loader is stateless: else libvirt 12 would add a device of its own to such a domain.
 */

#include "desc.h"
#include "emit.h"

static void add_element(DescXml *xml, const char *element, const char *text)
{
    desc_xml_begin(xml, element);
    desc_xml_text(xml, text);
    desc_xml_end(xml);
}

/* libvirt assumes raw where no format is said, and older versions do not know the attribute. */
static void add_format(DescXml *xml, const char *attribute, DescFormat format)
{
    if (format != DESC_FORMAT_RAW)
        desc_xml_attribute(xml, attribute, desc_formats[format]);
}

static void add_flash(DescXml *xml, const DescChoice *choice, const DescPlace *place)
{
    const Desc *desc = choice->desc;
    bool combined = desc->mode == DESC_MODE_COMBINED;

    desc_xml_begin(xml, "loader");
    desc_xml_attribute(xml, "readonly", combined ? "no" : "yes");
    desc_xml_attribute(xml, "type", "pflash");
    if (desc->features & DESC_FEATURE_REQUIRES_SMM)
        desc_xml_attribute(xml, "secure", "yes");
    if (desc->mode == DESC_MODE_STATELESS)
        desc_xml_attribute(xml, "stateless", "yes");
    add_format(xml, "format", combined ? choice->format : desc->executable.format);
    desc_xml_text(xml, combined ? desc_place_store(place) : desc->executable.filename);
    desc_xml_end(xml);
    if (desc->mode != DESC_MODE_SPLIT)
        return;
    desc_xml_begin(xml, "nvram");
    desc_xml_attribute(xml, "template", desc_choice_template(choice));
    add_format(xml, "templateFormat", desc->template.format);
    add_format(xml, "format", choice->format);
    desc_xml_text(xml, desc_place_store(place));
    desc_xml_end(xml);
}

static bool has_vars_device(const DescChoice *choice)
{
    return choice->desc->features & DESC_FEATURE_HOST_UEFI_VARS;
}

static bool has_varstore(const DescChoice *choice)
{
    return choice->desc->device == DESC_DEVICE_MEMORY && has_vars_device(choice) &&
           !choice->stateless;
}

static void add_memory(DescXml *xml, const DescChoice *choice, const DescPlace *place,
                       bool varstore)
{
    const char *template = desc_choice_template(choice);

    desc_xml_begin(xml, "loader");
    desc_xml_attribute(xml, "readonly", "yes");
    desc_xml_attribute(xml, "type", "rom");
    if (has_vars_device(choice) && !varstore)
        desc_xml_attribute(xml, "stateless", "yes");
    desc_xml_text(xml, choice->desc->executable.filename);
    desc_xml_end(xml);
    if (!varstore)
        return;
    desc_xml_begin(xml, "varstore");
    if (template)
        desc_xml_attribute(xml, "template", template);
    desc_xml_attribute(xml, "path", desc_place_store(place));
    desc_xml_end(xml);
}

static void add_os(DescXml *xml, const DescChoice *choice, const DescPlace *place, bool varstore)
{
    desc_xml_begin(xml, "os");
    desc_xml_begin(xml, "type");
    desc_xml_attribute(xml, "arch", choice->architecture ? choice->architecture : "x86_64");
    if (choice->machine)
        desc_xml_attribute(xml, "machine", choice->machine);
    desc_xml_text(xml, "hvm");
    desc_xml_end(xml);
    switch (choice->desc->device) {
    case DESC_DEVICE_FLASH:
        add_flash(xml, choice, place);
        break;
    case DESC_DEVICE_MEMORY:
        add_memory(xml, choice, place, varstore);
        break;
    case DESC_DEVICE_KERNEL:
        add_element(xml, "kernel", choice->desc->executable.filename);
        break;
    case DESC_DEVICE_IGVM:
        break;
    }
    desc_xml_end(xml);
}

static void add_empty(DescXml *xml, const char *element, const char *attribute, const char *value)
{
    desc_xml_begin(xml, element);
    if (attribute)
        desc_xml_attribute(xml, attribute, value);
    desc_xml_end(xml);
}

static void add_features(DescXml *xml, const DescChoice *choice)
{
    desc_xml_begin(xml, "features");
    add_empty(xml, "acpi", NULL, NULL);
    if (choice->desc->features & DESC_FEATURE_REQUIRES_SMM)
        add_empty(xml, "smm", "state", "on");
    desc_xml_end(xml);
    if (choice->architecture && g_str_equal(choice->architecture, "aarch64"))
        add_empty(xml, "cpu", "mode", "maximum");
}

/* What libvirt has no element for; the lines of arguments. */
static char *command_line(const DescChoice *choice, const DescPlace *place, char **ret_refusal)
{
    DescArgs *args = desc_args_new();

    desc_args_igvm(args, choice);
    if (choice->desc->device == DESC_DEVICE_IGVM) {
        desc_args_option(args, "-machine");
        desc_args_pair(args, "igvm-cfg", "igvm0");
    }
    desc_args_vars_device(args, choice, place);
    return desc_args_finish(args, ret_refusal);
}

static void add_command_line(DescXml *xml, const DescChoice *choice, const char *arguments)
{
    g_auto(GStrv) lines = g_strsplit(arguments, "\n", -1);

    desc_xml_begin(xml, "qemu:commandline");
    for (char **line = lines; *line && **line; line++)
        add_empty(xml, "qemu:arg", "value", *line);
    if (has_vars_device(choice)) {
        desc_xml_begin(xml, "qemu:env");
        desc_xml_attribute(xml, "name", "QEMU_MODULE_DIR");
        desc_xml_attribute(xml, "value", DESC_QEMU_MODULE_DIR);
        desc_xml_end(xml);
    }
    desc_xml_end(xml);
}

static char *domain(const DescChoice *choice, const DescPlace *place, bool varstore,
                    char **ret_refusal)
{
    g_autofree char *arguments = NULL;
    DescXml *xml;

    if (!varstore && !(arguments = command_line(choice, place, ret_refusal)))
        return NULL;
    xml = desc_xml_new();
    desc_xml_begin(xml, "domain");
    desc_xml_attribute(xml, "type", desc_is_x86(choice) ? "kvm" : "qemu");
    if (arguments && *arguments)
        desc_xml_attribute(xml, "xmlns:qemu", "http://libvirt.org/schemas/domain/qemu/1.0");
    add_element(xml, "name", desc_place_name(place));
    desc_xml_begin(xml, "memory");
    desc_xml_attribute(xml, "unit", "MiB");
    desc_xml_text(xml, "2048");
    desc_xml_end(xml);
    add_element(xml, "vcpu", "2");
    add_os(xml, choice, place, varstore);
    add_features(xml, choice);
    desc_xml_begin(xml, "devices");
    add_empty(xml, "console", "type", "pty");
    desc_xml_end(xml);
    if (arguments && *arguments)
        add_command_line(xml, choice, arguments);
    desc_xml_end(xml);
    return desc_xml_finish(xml, ret_refusal);
}

char *desc_libvirt_xml(const DescChoice *choice, const DescPlace *place, char **ret_refusal)
{
    return domain(choice, place, has_varstore(choice), ret_refusal);
}

char *desc_libvirt_legacy_xml(const DescChoice *choice, const DescPlace *place, char **ret_refusal)
{
    return has_varstore(choice) ? domain(choice, place, false, ret_refusal) : NULL;
}
