/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A wish resolved: the first descriptor that satisfies it, or the one that was pinned when the
 * guest's store was made. A pin holds the whole descriptor, so what a guest with state boots does
 * not depend on files that a package upgrade may change or remove.
 */

#include "desc.h"
#include "json-put.h"
#include "syntax.h"

#include <gio/gio.h>
#include <string.h>

void desc_choice_free(DescChoice *choice)
{
    if (!choice)
        return;
    desc_free(choice->pinned);
    g_free(choice->architecture);
    g_free(choice->machine);
    g_free(choice->template_path);
    g_free(choice->why);
    g_free(choice);
}

/* A machine to name on a command line, from a target's glob: the alias where one is meant. */
static char *machine_from_glob(const char *glob)
{
    if (g_str_has_prefix(glob, "pc-q35-"))
        return g_strdup("q35");
    if (g_str_has_prefix(glob, "pc-i440fx-"))
        return g_strdup("pc");
    if (g_str_has_prefix(glob, "virt-"))
        return g_strdup("virt");
    return desc_machine_fault(glob) ? NULL : g_strdup(glob);
}

/* Of a guest's own copy, where config.json asks for no other: the same. */
static DescFormat own_format(const Desc *desc)
{
    return desc->mode == DESC_MODE_SPLIT ? desc->template.format : desc->executable.format;
}

static void take(DescChoice *choice, const Desc *desc, const DescWish *wish)
{
    const DescTarget *target = desc_find_target(desc, wish);

    choice->desc = desc;
    choice->format = wish->has_format ? wish->format : own_format(desc);
    choice->stateless = wish->has_mode && wish->mode == DESC_MODE_STATELESS;
    choice->template_path = g_strdup(wish->template);
    choice->architecture = g_strdup(wish->architecture ? wish->architecture
                                    : target           ? target->architecture
                                                       : NULL);
    if (wish->machine)
        choice->machine = g_strdup(wish->machine);
    else if (target && target->machines->len > 0)
        choice->machine = machine_from_glob(target->machines->pdata[0]);
}

static void append_notes(GString *why, const Desc *desc)
{
    for (guint i = 0; i < desc->notes->len; i++)
        g_string_append_printf(why, "; note: %s", (char *)desc->notes->pdata[i]);
}

/* One line a descriptor, in order of priority. Returns the first that satisfies the wish. */
static const Desc *explain(const DescSet *set, const DescWish *wish, GString *why)
{
    const Desc *first = NULL;
    bool known = !wish->descriptor;

    for (size_t i = 0; i < desc_set_count(set); i++) {
        const Desc *desc = desc_set_get(set, i);
        g_autofree char *reason = desc_mismatch(desc, wish);

        known = known || g_str_equal(wish->descriptor, desc->name);
        if (reason)
            g_string_append_printf(why, "%s: passed over: %s", desc->name, reason);
        else if (first)
            g_string_append_printf(why, "%s: would do, but comes after %s", desc->name,
                                   first->name);
        else
            g_string_append_printf(why, "%s: taken", desc->name);
        if (!reason && !first)
            first = desc;
        append_notes(why, desc);
        g_string_append_c(why, '\n');
    }
    if (!known)
        g_string_append_printf(why, "%s: picked, but there is no such descriptor\n",
                               wish->descriptor);
    if (desc_set_count(set) == 0)
        g_string_append(why, "no descriptors in the search path\n");
    return first;
}

/*
 * A wish that names no architecture is for the host's, as libvirt takes it, and for any other where
 * the host's has nothing for it. `wish` is that wish then.
 */
static const Desc *choose(const DescSet *set, DescWish *wish, GString *why)
{
    const gsize begin = why->len;
    const Desc *desc;

    if (wish->architecture || !desc_set_host_architecture(set))
        return explain(set, wish, why);
    wish->architecture = (char *)desc_set_host_architecture(set);
    desc = explain(set, wish, why);
    if (!desc) {
        wish->architecture = NULL;
        g_string_truncate(why, begin);
        desc = explain(set, wish, why);
    }
    return desc;
}

char *desc_choice_pin(const DescChoice *choice)
{
    GString *text = g_string_new(NULL);

    uv_json_begin(text, NULL, '{');
    uv_json_put_text(text, "path", choice->desc->path);
    uv_json_put_text(text, "architecture", choice->architecture ? choice->architecture : "");
    uv_json_put_text(text, "machine", choice->machine ? choice->machine : "");
    uv_json_put_text(text, "format", desc_formats[choice->format]);
    uv_json_put_text(text, "descriptor", choice->desc->text);
    uv_json_end(text, '}');
    return g_string_free(text, FALSE);
}

static bool take_pin(DescChoice *choice, const DescSet *set, const char *pin, GError **error)
{
    g_autoptr(DescJson) json = desc_json_parse(&uv_json_pin, "pin", pin, strlen(pin), error);
    const char *architecture = NULL, *machine = NULL, *text = NULL;
    g_autofree char *path = NULL;
    JsonObject *root;
    int format;

    if (!json)
        return false;
    root = desc_json_root(json);
    if (!desc_json_text(json, root, "path", true, desc_path_fault, &path, error) ||
        !desc_json_string(json, root, "architecture", true, &architecture, error) ||
        !desc_json_string(json, root, "machine", true, &machine, error) ||
        !desc_json_word(json, root, "format", true, desc_formats, &format, error) ||
        !desc_json_string(json, root, "descriptor", true, &text, error))
        return false;
    if (*machine && desc_machine_fault(machine))
        return desc_json_fail(json, root, "machine", error, "%s", desc_machine_fault(machine));
    if (*architecture && desc_word_index(desc_architectures, architecture) < 0)
        return desc_json_fail(json, root, "architecture", error, "unknown architecture '%s'",
                              architecture);
    choice->pinned = desc_parse(path, text, strlen(text));
    if (choice->pinned->problem)
        return desc_json_fail(json, root, "descriptor", error, "%s", choice->pinned->problem);
    choice->pinned->executable.image =
        desc_set_find_image(set, choice->pinned->executable.filename);
    choice->pinned->template.image = desc_set_find_image(set, choice->pinned->template.filename);
    choice->desc = choice->pinned;
    choice->format = (DescFormat)format;
    choice->architecture = *architecture ? g_strdup(architecture) : NULL;
    choice->machine = *machine ? g_strdup(machine) : NULL;
    return true;
}

/* libvirt takes any format for a new domain; one that exists and names none has the store's. */
static void narrow_format(DescWish *wish, const DescImage *store)
{
    if (!store || wish->has_format || wish->descriptor ||
        (store->kind != DESC_IMAGE_RAW && store->kind != DESC_IMAGE_QCOW2))
        return;
    wish->has_format = wish->format_is_stores = true;
    wish->format = store->kind == DESC_IMAGE_QCOW2 ? DESC_FORMAT_QCOW2 : DESC_FORMAT_RAW;
}

DescChoice *desc_resolve(const DescSet *set, const DescWish *wish, const char *pin,
                         const DescImage *store)
{
    DescChoice *choice = g_new0(DescChoice, 1);
    g_autoptr(GString) why = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    DescWish narrowed = *wish; /* borrows from it */
    const Desc *desc;

    narrow_format(&narrowed, store);
    choice->of_guest = true;
    if (pin && take_pin(choice, set, pin, &error))
        g_string_append_printf(why,
                               "%s: pinned when the store was made (remove the store's pin to "
                               "resolve anew); what follows is how the wish resolves now\n",
                               choice->desc->name);
    else if (pin)
        g_string_append_printf(why, "the pin can't be read and is ignored: %s\n", error->message);
    desc = choose(set, &narrowed, why);
    if (!choice->desc && desc)
        take(choice, desc, &narrowed);
    choice->why = g_string_free(g_steal_pointer(&why), FALSE);
    return choice;
}

DescChoice *desc_choice_of(const Desc *desc)
{
    static const DescWish any = {0};
    DescChoice *choice = g_new0(DescChoice, 1);

    if (desc->problem) {
        choice->why = g_strdup_printf("%s: unusable: %s\n", desc->name, desc->problem);
        return choice;
    }
    take(choice, desc, &any);
    return choice;
}

DescChoice *desc_choice_of_mistake(const char *text)
{
    DescChoice *choice = g_new0(DescChoice, 1);

    choice->of_guest = true;
    choice->why = g_strdup_printf("%s\n", text);
    return choice;
}

const Desc *desc_choice_desc(const DescChoice *choice)
{
    return choice->desc;
}

DescStoreKind desc_choice_store_kind(const DescChoice *choice)
{
    const Desc *desc = choice->desc;

    if (!desc || choice->stateless)
        return DESC_STORE_NONE;
    if (desc->device == DESC_DEVICE_FLASH && desc->mode != DESC_MODE_STATELESS)
        return DESC_STORE_FLASH;
    return (desc->features & DESC_FEATURE_HOST_UEFI_VARS) ? DESC_STORE_JSON : DESC_STORE_NONE;
}

const char *desc_choice_template(const DescChoice *choice)
{
    const Desc *desc = choice->desc;

    if (desc_choice_store_kind(choice) == DESC_STORE_NONE)
        return NULL;
    if (choice->template_path)
        return choice->template_path;
    if (desc->device == DESC_DEVICE_FLASH && desc->mode == DESC_MODE_COMBINED)
        return desc->executable.filename;
    return desc->template.filename;
}

bool desc_is_x86(const DescChoice *choice)
{
    return choice->architecture && (g_str_equal(choice->architecture, "x86_64") ||
                                    g_str_equal(choice->architecture, "i386"));
}

const char *desc_place_name(const DescPlace *place)
{
    return place && place->guest_name ? place->guest_name : "GUEST";
}

const char *desc_place_store(const DescPlace *place)
{
    return place && place->store_path ? place->store_path : "/path/to/GUEST_VARS.fd";
}

const char *desc_place_socket(const DescPlace *place)
{
    return place && place->socket_path ? place->socket_path : "/path/to/GUEST.sock";
}
