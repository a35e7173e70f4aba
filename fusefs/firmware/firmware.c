/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "firmware.h"

#include "config-file.h"
#include "firmware-private.h"
#include "store-maker.h"

#include <errno.h>
#include <gio/gio.h>

/* Between two looks whether the descriptors' files are what was loaded. */
#define LOOK_US (1000 * 1000)

FsFirmware *fs_firmware_new(const FsOptions *options)
{
    FsFirmware *firmware = g_new0(FsFirmware, 1);

    firmware->options = options;
    firmware->guest_tree = fs_firmware_make_guest_tree(firmware);
    firmware->top_tree = fs_firmware_make_top_tree(firmware);
    return firmware;
}

void fs_firmware_free(FsFirmware *firmware)
{
    if (!firmware)
        return;
    fs_kept_clear(firmware);
    g_clear_pointer(&firmware->set, desc_set_free);
    g_free(firmware);
}

const FsVirtual *fs_firmware_guest_tree(const FsFirmware *firmware)
{
    return &firmware->guest_tree;
}

const FsVirtual *fs_firmware_top_tree(const FsFirmware *firmware)
{
    return &firmware->top_tree;
}

const DescSet *fs_firmware_descriptors(FsFirmware *firmware)
{
    const int64_t now = g_get_monotonic_time();

    if (firmware->set && now - firmware->looked_at < LOOK_US)
        return firmware->set;
    if (firmware->set && desc_set_has_changed(firmware->set)) {
        fs_kept_clear(firmware);
        g_clear_pointer(&firmware->set, desc_set_free);
    }
    if (!firmware->set)
        firmware->set = desc_set_load((const char *const *)firmware->options->firmware, NULL, NULL);
    firmware->looked_at = now;
    return firmware->set;
}

DescWish *fs_firmware_read_wish(const FsGuest *guest, GError **error)
{
    const FsFleet *fleet = fs_guest_fleet(guest);
    g_autoptr(GError) unreadable = NULL;
    g_autoptr(GBytes) text = NULL;
    gsize size = 0;
    const char *bytes = NULL;

    /* A store that is SOURCE itself has no config.json. */
    if (!fs_fleet_is_file(fleet))
        text = fs_config_read(fleet, guest, FS_CONFIG_MAX, &unreadable);
    if (unreadable) {
        g_propagate_error(error, g_steal_pointer(&unreadable));
        return NULL;
    }
    if (text)
        bytes = g_bytes_get_data(text, &size);
    return desc_wish_parse(bytes, size, error);
}

/* Folders that config.json's `template` may name: the option's, else the descriptors' own. */
static const char *const *template_folders(FsFirmware *firmware)
{
    if (firmware->options->templates)
        return (const char *const *)firmware->options->templates;
    return desc_set_folders(fs_firmware_descriptors(firmware));
}

void fs_firmware_instantiate(FsFirmware *firmware, FsGuest *guest, FsContinue go_on, void *data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DescWish) wish = fs_firmware_read_wish(guest, &error);
    g_autoptr(DescChoice) choice = NULL;
    DescInstantiation *what = NULL;

    if (fs_guest_store_kind(guest) != FS_STORE_NONE) {
        go_on(guest, EEXIST, data);
        return;
    }
    fs_firmware_refresh(firmware, guest);
    if (wish) {
        choice = desc_resolve(fs_firmware_descriptors(firmware), wish, NULL, NULL);
        what = desc_instantiation_new(choice, template_folders(firmware), &error);
    }
    if (!what || !fs_making_start(firmware, guest, what, go_on, data, &error)) {
        fs_guest_set_warning(guest, "firmware", error->message);
        go_on(guest, fs_error_number(error), data);
    }
}

static void add_settings(const DescWish *wish, GPtrArray *arguments)
{
    if (desc_wish_size_bytes(wish)) {
        g_ptr_array_add(arguments, g_strdup("--size"));
        g_ptr_array_add(arguments, g_strdup_printf("%zu", desc_wish_size_bytes(wish)));
    }
    if (desc_wish_force_secure_boot(wish))
        g_ptr_array_add(arguments, g_strdup("--force-secure-boot"));
    if (desc_wish_disable_custom_mode(wish))
        g_ptr_array_add(arguments, g_strdup("--disable-custom-mode"));
}

/* Starts making the store that the wish means; true where there is nothing to make. */
static bool make_store(FsFirmware *firmware, FsGuest *guest, const DescWish *wish,
                       const DescChoice *choice, GError **error)
{
    const char *template = desc_wish_template(wish);
    DescInstantiation *what;

    if (choice)
        what = desc_instantiation_new(choice, template_folders(firmware), error);
    else if (template)
        what = desc_instantiation_of_template(template, template_folders(firmware), error);
    else
        return true;
    if (what && fs_making_start(firmware, guest, what, NULL, NULL, error))
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_PENDING, "the store is being made");
    return false;
}

bool fs_firmware_engine_starting(FsGuest *guest, FsStart why, GPtrArray *arguments, void *data,
                                 GError **error)
{
    FsFirmware *firmware = data;
    g_autoptr(DescWish) wish = fs_firmware_read_wish(guest, error);
    g_autoptr(DescChoice) choice = NULL;

    if (!wish)
        return false;
    add_settings(wish, arguments);
    if (fs_guest_store_kind(guest) != FS_STORE_NONE)
        return true;
    fs_firmware_refresh(firmware, guest);
    if (desc_wish_asks_for_firmware(wish))
        choice = desc_resolve(fs_firmware_descriptors(firmware), wish, NULL, NULL);
    if (choice && desc_choice_desc(choice) && desc_choice_store_kind(choice) == DESC_STORE_NONE) {
        g_ptr_array_add(arguments, g_strdup("--stateless"));
        return true;
    }
    return why == FS_START_READ || make_store(firmware, guest, wish, choice, error);
}
