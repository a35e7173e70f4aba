/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "firmware.h"

#include "firmware-private.h"
#include "store-maker.h"

#include "file-error.h"
#include "hash.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>

char **fs_firmware_folders(const FsFirmwareOptions *options)
{
    return options->descriptors ? g_strdupv(options->descriptors) : desc_standard_search_path();
}

FsFirmware *fs_firmware_new(const FsFirmwareOptions *options)
{
    FsFirmware *firmware = g_new0(FsFirmware, 1);

    firmware->options = options;
    firmware->choices = g_hash_table_new(NULL, NULL);
    firmware->images = g_hash_table_new_full(uv_hash_text, g_str_equal, NULL, g_free);
    firmware->unknown = g_ptr_array_new();
    firmware->guest_tree = fs_firmware_make_guest_tree(firmware);
    firmware->top_tree = fs_firmware_make_top_tree(firmware);
    return firmware;
}

void fs_firmware_forget_choices(FsFirmware *firmware)
{
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, firmware->choices);
    while (g_hash_table_iter_next(&iter, &value, NULL))
        g_clear_pointer(&((FsResolved *)value)->choice, desc_choice_free);
}

void fs_firmware_free(FsFirmware *firmware)
{
    GHashTableIter iter;
    void *value;

    if (!firmware)
        return;
    fs_firmware_forget_choices(firmware);
    g_hash_table_iter_init(&iter, firmware->choices);
    while (g_hash_table_iter_next(&iter, &value, NULL))
        ((FsResolved *)value)->firmware = NULL;
    g_hash_table_unref(firmware->choices);
    g_clear_pointer(&firmware->set, desc_set_free);
    g_queue_clear_full(&firmware->waiters, g_free);
    g_hash_table_unref(firmware->images);
    g_ptr_array_unref(firmware->unknown);
    g_free(firmware);
}

void fs_firmware_attach(FsFirmware *firmware, FsFleet *fleet)
{
    firmware->fleet = fleet;
}

const FsVirtual *fs_firmware_guest_tree(const FsFirmware *firmware)
{
    return &firmware->guest_tree;
}

const FsVirtual *fs_firmware_top_tree(const FsFirmware *firmware)
{
    return &firmware->top_tree;
}

/* A guest's own */

static void resolved_clear(FsResolved *resolved)
{
    g_clear_pointer(&resolved->choice, desc_choice_free);
    g_clear_pointer(&resolved->wish, desc_wish_free);
    g_clear_pointer(&resolved->mistake, g_free);
}

static void resolved_free(void *data)
{
    FsResolved *resolved = data;

    if (resolved->firmware)
        g_hash_table_remove(resolved->firmware->choices, resolved);
    resolved_clear(resolved);
    g_free(resolved);
}

static FsResolved *resolved_of(FsFirmware *firmware, FsGuest *guest)
{
    FsResolved *resolved = fs_guest_data(guest, FS_ROOM_FIRMWARE);

    if (!resolved) {
        resolved = g_new0(FsResolved, 1);
        resolved->firmware = firmware;
        resolved->texts_generation = UINT64_MAX;
        g_hash_table_add(firmware->choices, resolved);
        fs_guest_set_data(guest, FS_ROOM_FIRMWARE, resolved, resolved_free);
    }
    return resolved;
}

static DescWish *read_wish(const FsGuest *guest, GError **error)
{
    int failure;
    GBytes *text = fs_guest_text(guest, FS_TEXT_CONFIG, &failure, NULL);
    gsize size = 0;
    const char *bytes = text ? g_bytes_get_data(text, &size) : NULL;

    if (failure) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(failure), "config.json: %s",
                    g_strerror(failure));
        return NULL;
    }
    return desc_wish_parse(bytes, size, error);
}

/* Unknown where there is none, or it can't be read. */
static DescImage store_image(const FsGuest *guest)
{
    const FsGuestLook *look = fs_guest_look(guest);
    DescImage none = {0};
    gsize size;
    int failure;
    GBytes *head = fs_guest_text(guest, FS_TEXT_STORE, &failure, NULL);

    if (!head || !fs_guest_has_store(guest))
        return none;
    const uint8_t *bytes = g_bytes_get_data(head, &size);
    return desc_image_parse(bytes, size, look->size_bytes);
}

/* The guest's wish, at least; texts that are the same are not parsed again. */
static FsResolved *resolve_wish(FsFirmware *firmware, FsGuest *guest)
{
    FsResolved *resolved = resolved_of(firmware, guest);
    const FsGuestLook *look = fs_guest_look(guest);
    g_autoptr(GError) error = NULL;

    if (resolved->texts_generation == fs_guest_texts_generation(guest) &&
        fs_identity_equal(&resolved->store, &look->store))
        return resolved;
    resolved_clear(resolved);
    resolved->texts_generation = fs_guest_texts_generation(guest);
    resolved->store = look->store;
    resolved->image = store_image(guest);
    resolved->wish = read_wish(guest, &error);
    if (!resolved->wish)
        resolved->mistake = g_strdup(error->message);
    return resolved;
}

const FsResolved *fs_firmware_resolve(FsFirmware *firmware, FsGuest *guest)
{
    const DescSet *set = fs_firmware_descriptors(firmware);
    FsResolved *resolved = resolve_wish(firmware, guest);
    g_autofree char *pin = NULL;
    GBytes *text;
    int failure;

    if (resolved->choice)
        return resolved;
    /* A pin without a store means nothing. */
    text = fs_guest_has_store(guest) ? fs_guest_text(guest, FS_TEXT_PIN, &failure, NULL) : NULL;
    if (text)
        pin = g_strndup(g_bytes_get_data(text, NULL), g_bytes_get_size(text));
    resolved->choice = resolved->wish ? desc_resolve(set, resolved->wish, pin, &resolved->image)
                                      : desc_choice_of_mistake(resolved->mistake);
    return resolved;
}

bool fs_firmware_check_config(GBytes *text, GError **error)
{
    gsize size;
    const char *bytes = g_bytes_get_data(text, &size);
    g_autoptr(DescWish) wish = desc_wish_parse(bytes, size, error);

    return wish != NULL;
}

/* Folders that config.json's `template` may name: the option's, else the descriptors' own. */
static const char *const *template_folders(FsFirmware *firmware)
{
    if (firmware->options->templates)
        return (const char *const *)firmware->options->templates;
    return desc_set_folders(fs_firmware_descriptors(firmware));
}

/* The wish, or an error that says how config.json is wrong. */
static const DescWish *wish_of(FsFirmware *firmware, FsGuest *guest, GError **error)
{
    const FsResolved *resolved = resolve_wish(firmware, guest);

    if (!resolved->wish)
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, resolved->mistake);
    return resolved->wish;
}

/* An act that waits for the guest's engine to end. */
typedef struct {
    FsFirmware *firmware;
    FsContinue go_on;
    void *data;
} Remaking;

/* Of a choice, or (NULL) a copy of config.json's template, whatever it is. */
static DescInstantiation *instantiation_of(FsFirmware *firmware, const DescWish *wish,
                                           const DescChoice *choice, GError **error)
{
    const char *const *folders = template_folders(firmware);

    return choice ? desc_instantiation_new(choice, folders, error)
                  : desc_instantiation_of_template(desc_wish_template(wish), folders, error);
}

static void instantiate(FsFirmware *firmware, FsGuest *guest, bool anew, FsContinue go_on,
                        void *data)
{
    g_autoptr(GError) error = NULL;
    const DescWish *wish = wish_of(firmware, guest, &error);
    g_autoptr(DescChoice) choice = NULL;
    DescInstantiation *what = NULL;

    if (wish && (desc_wish_asks_for_firmware(wish) || !desc_wish_template(wish)))
        choice = desc_resolve(fs_firmware_descriptors(firmware), wish, NULL, NULL);
    if (wish)
        what = instantiation_of(firmware, wish, choice, &error);
    if (what) {
        fs_making_start(guest, what, anew, go_on, data);
    } else {
        fs_guest_refused(guest, error->message);
        fs_guest_set_warning(guest, "firmware", error->message);
        go_on(guest, uv_file_error_number(error), data);
    }
}

static void engine_ended(FsGuest *guest, int error, void *data)
{
    g_autofree Remaking *remaking = data;

    if (error)
        remaking->go_on(guest, error, remaking->data);
    else
        instantiate(remaking->firmware, guest, true, remaking->go_on, remaking->data);
}

void fs_firmware_instantiate(FsFirmware *firmware, FsGuest *guest, bool anew, FsContinue go_on,
                             void *data)
{
    Remaking *remaking;

    if (!fs_guest_has_store(guest)) {
        instantiate(firmware, guest, false, go_on, data);
    } else if (fs_guest_look(guest)->format == FS_FORMAT_UBOOT) {
        fs_guest_refused(guest, FS_STORE_IS_UBOOTS);
        go_on(guest, EROFS, data);
    } else if (!anew) {
        fs_guest_refused(guest, "the guest has a store: \"factory\" makes it anew");
        go_on(guest, EEXIST, data);
    } else {
        remaking = g_new(Remaking, 1);
        *remaking = (Remaking){firmware, go_on, data};
        fs_guest_need(guest, FS_FIRMWARE_NEEDS | FS_NEED_NO_ENGINE, NULL, engine_ended, remaking);
    }
}

/* Starts making the store that the wish means; true where there is nothing to make. */
static bool make_store(FsFirmware *firmware, FsGuest *guest, const DescWish *wish,
                       const DescChoice *choice, GError **error)
{
    DescInstantiation *what;

    if (!choice && !desc_wish_template(wish))
        return true;
    what = instantiation_of(firmware, wish, choice, error);
    if (what) {
        fs_making_start(guest, what, false, NULL, NULL);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_PENDING, "the store is being made");
    }
    return false;
}

/* An engine of the guest waits for the descriptors. */
static void prepared(void *guest)
{
    fs_guest_prepared(guest, NULL);
    fs_guest_release(guest);
}

static void already(void *data)
{
}

/* true: they are there. */
static bool wait_for_descriptors(FsFirmware *firmware, FsGuest *guest, GError **error)
{
    fs_firmware_prepare(firmware, already, NULL);
    if (fs_firmware_is_prepared(firmware))
        return true;
    fs_firmware_prepare(firmware, prepared, fs_guest_hold(guest));
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_PENDING, "the descriptors are being read");
    return false;
}

bool fs_firmware_engine_starting(FsGuest *guest, FsStart why, FsEngineWish *ret_wish, void *data,
                                 GError **error)
{
    FsFirmware *firmware = data;
    const DescWish *wish = wish_of(firmware, guest, error);
    g_autoptr(DescChoice) choice = NULL;

    if (!wish)
        return false;
    ret_wish->size_bytes = desc_wish_engine(wish)->size_bytes;
    ret_wish->force_secure_boot = desc_wish_engine(wish)->force_secure_boot;
    ret_wish->disable_custom_mode = desc_wish_engine(wish)->disable_custom_mode;
    if (fs_guest_has_store(guest))
        return true;
    if ((desc_wish_asks_for_firmware(wish) || desc_wish_template(wish)) &&
        !wait_for_descriptors(firmware, guest, error))
        return false;
    if (desc_wish_asks_for_firmware(wish))
        choice = desc_resolve(fs_firmware_descriptors(firmware), wish, NULL, NULL);
    if (choice && desc_choice_desc(choice) && desc_choice_store_kind(choice) == DESC_STORE_NONE) {
        ret_wish->stateless = true;
        return true;
    }
    return why < FS_START_WRITE || make_store(firmware, guest, wish, choice, error);
}
