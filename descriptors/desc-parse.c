/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One firmware.json descriptor: text to Desc, with every rule of the schema and its contradictions.
 */

#include "desc.h"
#include "syntax.h"

static void free_target(gpointer data)
{
    DescTarget *target = data;

    g_ptr_array_unref(target->machines);
    g_free(target);
}

void desc_free(Desc *desc)
{
    if (!desc)
        return;
    g_free(desc->name);
    g_free(desc->path);
    g_free(desc->text);
    g_free(desc->problem);
    g_free(desc->description);
    g_free(desc->executable.filename);
    g_free(desc->template.filename);
    g_ptr_array_unref(desc->notes);
    g_ptr_array_unref(desc->interfaces);
    g_ptr_array_unref(desc->targets);
    g_free(desc);
}

bool desc_has_interface(const Desc *desc, const char *interface)
{
    return g_ptr_array_find_with_equal_func(desc->interfaces, interface, g_str_equal, NULL);
}

static bool parse_interfaces(Desc *desc, const DescJson *json, JsonObject *root, GError **error)
{
    g_autoptr(GPtrArray) words = desc_json_strings(json, root, "interface-types", true, error);

    if (!words)
        return false;
    if (words->len == 0)
        return desc_json_fail(json, root, "interface-types", error, "expected at least one");
    for (guint i = 0; i < words->len; i++) {
        int index = desc_word_index(desc_interfaces, words->pdata[i]);

        if (index < 0)
            return desc_json_fail(json, root, "interface-types", error, "unknown interface '%s'",
                                  (char *)words->pdata[i]);
        g_ptr_array_add(desc->interfaces, (gpointer)desc_interfaces[index]);
    }
    return true;
}

static bool parse_target(Desc *desc, const DescJson *json, JsonObject *object, GError **error)
{
    g_autoptr(GPtrArray) machines = NULL;
    DescTarget *target;
    int index;

    if (!desc_json_word(json, object, "architecture", true, desc_architectures, &index, error))
        return false;
    machines = desc_json_strings(json, object, "machines", true, error);
    if (!machines)
        return false;
    for (guint i = 0; i < machines->len; i++) {
        if (desc_line_fault(machines->pdata[i]))
            return desc_json_fail(json, object, "machines", error, "element %u: %s", i + 1,
                                  desc_line_fault(machines->pdata[i]));
    }
    target = g_new0(DescTarget, 1);
    target->architecture = desc_architectures[index];
    target->machines = g_steal_pointer(&machines);
    g_ptr_array_add(desc->targets, target);
    return true;
}

static bool parse_targets(Desc *desc, const DescJson *json, JsonObject *root, GError **error)
{
    JsonArray *array = NULL;

    if (!desc_json_array(json, root, "targets", true, &array, error))
        return false;
    for (guint i = 0; i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);

        if (!JSON_NODE_HOLDS_OBJECT(node))
            return desc_json_fail(json, root, "targets", error, "element %u: expected an object",
                                  i + 1);
        if (!parse_target(desc, json, json_node_get_object(node), error))
            return false;
    }
    return true;
}

static bool parse_features(Desc *desc, const DescJson *json, JsonObject *root, GError **error)
{
    g_autoptr(GPtrArray) words = desc_json_strings(json, root, "features", true, error);

    if (!words)
        return false;
    desc->features_line = desc_json_line(json, root, "features");
    for (guint i = 0; i < words->len; i++) {
        int index = desc_word_index(desc_features, words->pdata[i]);

        if (index >= 0)
            desc->features |= 1u << index;
        else
            g_ptr_array_add(desc->notes, g_strdup_printf("unknown feature '%s' ignored",
                                                         (char *)words->pdata[i]));
    }
    return true;
}

/* A FirmwareFlashFile: filename and format. */
static bool parse_flash_file(const DescJson *json, JsonObject *mapping, const char *member,
                             bool required, DescFile *file, GError **error)
{
    JsonObject *object = NULL;
    int format;

    if (!desc_json_object(json, mapping, member, required, &object, error))
        return false;
    if (!object)
        return true;
    if (!desc_json_text(json, object, "filename", true, desc_line_fault, &file->filename, error) ||
        !desc_json_word(json, object, "format", true, desc_formats, &format, error))
        return false;
    file->format = (DescFormat)format;
    return true;
}

static bool parse_flash(Desc *desc, const DescJson *json, JsonObject *mapping, GError **error)
{
    int mode = DESC_MODE_SPLIT;

    if (!desc_json_word(json, mapping, "mode", false, desc_modes, &mode, error))
        return false;
    desc->mode = (DescMode)mode;
    if (!parse_flash_file(json, mapping, "executable", true, &desc->executable, error) ||
        !parse_flash_file(json, mapping, "nvram-template", false, &desc->template, error))
        return false;
    if (desc->mode == DESC_MODE_SPLIT && !desc->template.filename)
        return desc_json_fail(json, mapping, "nvram-template", error,
                              "missing, but mode split needs one");
    if (desc->mode != DESC_MODE_SPLIT && desc->template.filename) {
        g_ptr_array_add(desc->notes, g_strdup_printf("nvram-template ignored: mode %s has none",
                                                     desc_modes[mode]));
        g_clear_pointer(&desc->template.filename, g_free);
    }
    desc->template_line = desc_json_line(json, mapping, "nvram-template");
    if (desc->mode == DESC_MODE_SPLIT && (desc->features & DESC_FEATURE_HOST_UEFI_VARS))
        return desc_json_fail(json, mapping, "mode", error,
                              "split keeps variables in flash, but feature host-uefi-vars says "
                              "that the host keeps them");
    return true;
}

/*
 * Where the store of a host-uefi-vars firmware comes from: "uefi-vars": {"template": FILE}. Before
 * the schema had it, "uefi-vars-service" and "nvram-template" (as in flash) were about.
 */
static bool parse_vars_template(Desc *desc, const DescJson *json, JsonObject *mapping,
                                GError **error)
{
    static const char *const places[][2] = {{"uefi-vars", "template"},
                                            {"uefi-vars-service", "template"},
                                            {"nvram-template", "filename"}};

    for (size_t i = 0; i < G_N_ELEMENTS(places) && !desc->template.filename; i++) {
        JsonObject *object = NULL;

        if (!desc_json_object(json, mapping, places[i][0], false, &object, error))
            return false;
        if (object && !desc_json_text(json, object, places[i][1], false, desc_line_fault,
                                      &desc->template.filename, error))
            return false;
        if (desc->template.filename)
            desc->template_line = desc_json_line(json, object, places[i][1]);
    }
    return true;
}

static bool parse_mapping(Desc *desc, const DescJson *json, JsonObject *root, GError **error)
{
    JsonObject *mapping = NULL;
    int device;

    if (!desc_json_object(json, root, "mapping", true, &mapping, error) ||
        !desc_json_word(json, mapping, "device", true, desc_devices, &device, error))
        return false;
    desc->device = (DescDevice)device;
    if (desc->device == DESC_DEVICE_FLASH)
        return parse_flash(desc, json, mapping, error);
    if (!desc_json_text(json, mapping, "filename", true, desc_line_fault,
                        &desc->executable.filename, error))
        return false;
    if (desc->device == DESC_DEVICE_MEMORY)
        return parse_vars_template(desc, json, mapping, error);
    return true;
}

static void note_doubtful_features(Desc *desc)
{
    bool confidential = desc->features & (DESC_FEATURE_AMD_SEV_SNP | DESC_FEATURE_INTEL_TDX);
    bool secure_boot = desc->features & DESC_FEATURE_SECURE_BOOT;

    if ((desc->features & DESC_FEATURE_ENROLLED_KEYS) && !secure_boot)
        g_ptr_array_add(desc->notes, g_strdup("enrolled-keys without secure-boot"));
    if ((desc->features & DESC_FEATURE_REQUIRES_SMM) && !secure_boot && !confidential)
        g_ptr_array_add(desc->notes, g_strdup("requires-smm without secure-boot"));
    if ((desc->features & DESC_FEATURE_VERBOSE_DYNAMIC) &&
        (desc->features & DESC_FEATURE_VERBOSE_STATIC))
        g_ptr_array_add(desc->notes, g_strdup("verbose-dynamic and verbose-static exclude each "
                                              "other"));
}

static bool parse_root(Desc *desc, const DescJson *json, GError **error)
{
    JsonObject *root = desc_json_root(json);
    const char *description = NULL;

    if (!desc_json_string(json, root, "description", false, &description, error) ||
        !parse_interfaces(desc, json, root, error) || !parse_targets(desc, json, root, error) ||
        !parse_features(desc, json, root, error) || !parse_mapping(desc, json, root, error))
        return false;
    desc->description = g_strdup(description ? description : "");
    note_doubtful_features(desc);
    return true;
}

Desc *desc_parse(const char *path, const char *text, size_t size)
{
    Desc *desc = g_new0(Desc, 1);
    g_autoptr(DescJson) json = NULL;
    g_autoptr(GError) error = NULL;

    desc->path = g_strdup(path);
    desc->text = g_strndup(text, size);
    desc->name = g_path_get_basename(path);
    desc->notes = g_ptr_array_new_with_free_func(g_free);
    desc->interfaces = g_ptr_array_new();
    desc->targets = g_ptr_array_new_with_free_func(free_target);
    json = desc_json_parse(&uv_json_descriptor, path, text, size, &error);
    if (!json || !parse_root(desc, json, &error))
        desc->problem = g_strdup(error->message);
    return desc;
}
