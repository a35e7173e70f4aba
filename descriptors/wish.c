/* SPDX-License-Identifier: GPL-2.0-or-later */

/* config.json: what a guest asks for. Strict: behind the gate (json-gate.h), an unknown key, word
 * or type is an error that names it. */

#include "desc.h"

#include "syntax.h"

#include <gio/gio.h>

/* As the mount's and the engine's options: less than a page holds no boot's variables. */
#define WISH_SIZE_MIN 4096u
#define WISH_SIZE_MAX (8u * 1024 * 1024)

static const char *const wish_keys[] = {"architecture",
                                        "descriptor",
                                        "device",
                                        "disable-custom-mode",
                                        "features",
                                        "force-secure-boot",
                                        "format",
                                        "interface",
                                        "machine",
                                        "mode",
                                        "size",
                                        "template",
                                        NULL};

void desc_wish_free(DescWish *wish)
{
    if (!wish)
        return;
    g_free(wish->architecture);
    g_free(wish->machine);
    g_free(wish->interface);
    g_free(wish->descriptor);
    g_free(wish->template);
    g_free(wish);
}

static bool check_keys(const DescJson *json, JsonObject *root, GError **error)
{
    g_autoptr(GList) members = json_object_get_members(root);

    for (GList *member = members; member; member = member->next) {
        if (desc_word_index(wish_keys, member->data) < 0)
            return desc_json_fail(json, root, member->data, error, "unknown key");
    }
    return true;
}

static bool read_features(DescWish *wish, const DescJson *json, JsonObject *root, GError **error)
{
    JsonObject *features = NULL;
    g_autoptr(GList) members = NULL;

    if (!desc_json_object(json, root, "features", false, &features, error))
        return false;
    if (!features)
        return true;
    members = json_object_get_members(features);
    for (GList *member = members; member; member = member->next) {
        int index = desc_word_index(desc_features, member->data);
        bool wanted = false;

        if (index < 0)
            return desc_json_fail(json, features, member->data, error, "unknown feature");
        if (!desc_json_bool(json, features, member->data, &wanted, error))
            return false;
        if (wanted)
            wish->required |= 1u << index;
        else
            wish->refused |= 1u << index;
    }
    /* As libvirt: enrolled keys mean Secure Boot, and no Secure Boot means no enrolled keys. */
    if (wish->required & DESC_FEATURE_ENROLLED_KEYS) {
        if (wish->refused & DESC_FEATURE_SECURE_BOOT)
            return desc_json_fail(json, features, "enrolled-keys", error,
                                  "required, but secure-boot is refused");
        wish->required |= DESC_FEATURE_SECURE_BOOT;
    }
    return true;
}

static bool read_words(DescWish *wish, const DescJson *json, JsonObject *root, GError **error)
{
    int architecture = -1, interface = -1, device = -1, mode = -1, format = -1;

    if (!desc_json_word(json, root, "architecture", false, desc_architectures, &architecture,
                        error) ||
        !desc_json_word(json, root, "interface", false, desc_interfaces, &interface, error) ||
        !desc_json_word(json, root, "device", false, desc_devices, &device, error) ||
        !desc_json_word(json, root, "mode", false, desc_modes, &mode, error) ||
        !desc_json_word(json, root, "format", false, desc_formats, &format, error))
        return false;
    if (architecture >= 0)
        wish->architecture = g_strdup(desc_architectures[architecture]);
    if (interface >= 0)
        wish->interface = g_strdup(desc_interfaces[interface]);
    wish->has_device = device >= 0;
    wish->has_mode = mode >= 0;
    wish->has_format = format >= 0;
    wish->device = wish->has_device ? (DescDevice)device : DESC_DEVICE_FLASH;
    wish->mode = wish->has_mode ? (DescMode)mode : DESC_MODE_SPLIT;
    wish->format = wish->has_format ? (DescFormat)format : DESC_FORMAT_RAW;
    return true;
}

static bool read_rest(DescWish *wish, const DescJson *json, JsonObject *root, GError **error)
{
    if (!desc_json_text(json, root, "machine", false, desc_machine_fault, &wish->machine, error) ||
        !desc_json_text(json, root, "descriptor", false, desc_file_name_fault, &wish->descriptor,
                        error) ||
        !desc_json_text(json, root, "template", false, desc_path_fault, &wish->template, error) ||
        !desc_json_bool(json, root, "force-secure-boot", &wish->engine.force_secure_boot, error) ||
        !desc_json_bool(json, root, "disable-custom-mode", &wish->engine.disable_custom_mode,
                        error) ||
        !desc_json_uint(json, root, "size", &wish->engine.size_bytes, error))
        return false;
    if (json_object_has_member(root, "size") &&
        (wish->engine.size_bytes < WISH_SIZE_MIN || wish->engine.size_bytes > WISH_SIZE_MAX))
        return desc_json_fail(json, root, "size", error, "expected %u to %u bytes", WISH_SIZE_MIN,
                              WISH_SIZE_MAX);
    return true;
}

DescWish *desc_wish_parse(const char *text, size_t size, GError **error)
{
    g_autoptr(DescWish) wish = g_new0(DescWish, 1);
    g_autoptr(DescJson) json = NULL;
    JsonObject *root;

    if (size == 0)
        return g_steal_pointer(&wish);
    json = desc_json_parse(&uv_json_config, "config.json", text, size, error);
    if (!json)
        return NULL;
    root = desc_json_root(json);
    if (!check_keys(json, root, error) || !read_words(wish, json, root, error) ||
        !read_features(wish, json, root, error) || !read_rest(wish, json, root, error))
        return NULL;
    return g_steal_pointer(&wish);
}

const DescEngine *desc_wish_engine(const DescWish *wish)
{
    return &wish->engine;
}

const char *desc_wish_template(const DescWish *wish)
{
    return wish->template;
}

bool desc_wish_asks_for_firmware(const DescWish *wish)
{
    return wish->architecture || wish->machine || wish->interface || wish->required ||
           wish->refused || wish->has_device || wish->has_mode || wish->has_format ||
           wish->descriptor;
}
