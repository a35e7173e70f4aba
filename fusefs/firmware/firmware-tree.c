/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * How choices show:
 * guests/G/firmware/FILE: what descriptors/ makes of the guest's choice, and `instantiate`;
 *
 * firmware/descriptors/NN-name.json/FILE: each descriptor by itself;
 *
 * firmware/default/ARCH/INTERFACE: a link to the first match.
 */

#include "firmware-private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define INSTANTIATE "instantiate"

static mode_t file_mode(const DescChoice *choice, const DescPlace *place, const char *name)
{
    bool is_link = false;
    g_autofree char *text = desc_choice_file(choice, place, name, &is_link);

    if (!text)
        return 0;
    return is_link ? S_IFLNK | 0777 : S_IFREG | 0444;
}

static void add_files(const DescChoice *choice, const DescPlace *place, GStrvBuilder *names)
{
    const char *name;

    for (size_t i = 0; (name = desc_choice_file_name(choice, i)); i++) {
        if (file_mode(choice, place, name))
            g_strv_builder_add(names, name);
    }
}

/* A guest's choice and where its things are; cleared by its owner. */
typedef struct {
    const DescChoice *choice;
    DescPlace place;
    char *store_path, *socket_path;
} GuestView;

static void guest_view_clear(GuestView *view)
{
    g_free(view->store_path);
    g_free(view->socket_path);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GuestView, guest_view_clear)

/* Where the store is; for a guest without one, where the choice's will be. */
static char *view_store_path(const FsGuest *guest, const GuestView *view)
{
    g_autofree char *path = fs_guest_store_path(guest);

    if (!view->place.has_store && g_str_has_suffix(path, "/vars.json") &&
        desc_choice_store_kind(view->choice) == DESC_STORE_FLASH)
        return g_strdup_printf("%.*s/vars.fd", (int)(strlen(path) - strlen("/vars.json")), path);
    return g_steal_pointer(&path);
}

static void guest_view_init(GuestView *view, FsFirmware *firmware, FsGuest *guest)
{
    const FsResolved *resolved = fs_firmware_resolve(firmware, guest);

    view->choice = resolved->choice;
    view->place.store = resolved->image;
    view->place.has_store = fs_guest_has_store(guest);
    view->store_path = view_store_path(guest, view);
    view->socket_path = fs_guest_socket_path(guest);
    view->place.guest_name = fs_guest_name(guest);
    view->place.store_path = view->store_path;
    view->place.socket_path = view->socket_path;
}

static mode_t guest_look(FsFirmware *firmware, FsGuest *guest, const char *path)
{
    g_auto(GuestView) view = {0};

    if (!*path)
        return S_IFDIR | 0755;
    guest_view_init(&view, firmware, guest);
    if (g_str_equal(path, INSTANTIATE))
        return desc_choice_desc(view.choice) ? S_IFREG | 0600 : 0;
    return file_mode(view.choice, &view.place, path);
}

static char **guest_list(FsFirmware *firmware, FsGuest *guest, const char *path)
{
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    g_auto(GuestView) view = {0};

    guest_view_init(&view, firmware, guest);
    add_files(view.choice, &view.place, names);
    if (desc_choice_desc(view.choice))
        g_strv_builder_add(names, INSTANTIATE);
    return g_strv_builder_end(names);
}

static bool guest_is_generated(const char *path)
{
    const char *name;

    for (size_t i = 0; (name = desc_choice_file_name(NULL, i)); i++) {
        if (g_str_equal(name, path))
            return true;
    }
    return g_str_equal(path, INSTANTIATE);
}

static char *guest_read(FsFirmware *firmware, FsGuest *guest, const char *path)
{
    g_auto(GuestView) view = {0};
    bool is_link;

    guest_view_init(&view, firmware, guest);
    return desc_choice_file(view.choice, &view.place, path, &is_link);
}

/* Of what the choice was made from: the configuration and the descriptor. */
static int64_t guest_mtime_ns(FsFirmware *firmware, FsGuest *guest, const char *path)
{
    const FsResolved *resolved = fs_firmware_resolve(firmware, guest);
    const Desc *desc = desc_choice_desc(resolved->choice);
    int64_t mtime_ns;
    int failure;

    fs_guest_text(guest, FS_TEXT_CONFIG, &failure, &mtime_ns);
    return desc ? MAX(mtime_ns, desc_mtime_ns(desc)) : mtime_ns;
}

static void guest_write(FsFirmware *firmware, FsGuest *guest, const char *path, const char *text,
                        size_t size, FsContinue go_on, void *data)
{
    g_autofree char *word = g_strchomp(g_strndup(text, size));

    if (!g_str_equal(path, INSTANTIATE))
        go_on(guest, 0, data); /* from a backup: it is made anew, not kept */
    else if (g_str_equal(word, "1"))
        fs_firmware_instantiate(firmware, guest, false, go_on, data);
    else if (g_str_equal(word, "factory"))
        fs_firmware_instantiate(firmware, guest, true, go_on, data);
    else {
        fs_guest_refused(guest, "expected 1 or factory");
        go_on(guest, EINVAL, data);
    }
}

FsVirtual fs_firmware_make_guest_tree(FsFirmware *firmware)
{
    return (FsVirtual){
        .needs = FS_FIRMWARE_NEEDS,
        .firmware = firmware,
        .look = guest_look,
        .list = guest_list,
        .is_generated = guest_is_generated,
        .read = guest_read,
        .mtime_ns = guest_mtime_ns,
        .write = guest_write,
    };
}

/* A path of the top tree, taken apart: at most three components. */
typedef struct {
    char **part;
    guint n;
} TopPath;

static void top_path_clear(TopPath *path)
{
    g_strfreev(path->part);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(TopPath, top_path_clear)

static TopPath top_path(const char *path)
{
    char **part = g_strsplit(path, "/", -1);

    return (TopPath){part, *path ? g_strv_length(part) : 0};
}

static mode_t look_descriptor(const DescSet *set, const TopPath *path)
{
    const Desc *desc = path->n > 1 ? desc_set_find(set, path->part[1]) : NULL;
    g_autoptr(DescChoice) choice = NULL;

    if (path->n == 1)
        return S_IFDIR | 0755;
    if (!desc || path->n > 3)
        return 0;
    if (path->n == 2)
        return S_IFDIR | 0755;
    choice = desc_choice_of(desc);
    return file_mode(choice, NULL, path->part[2]);
}

static mode_t look_default(const DescSet *set, const TopPath *path)
{
    if (path->n == 1)
        return S_IFDIR | 0755;
    if (path->n > 3 || !g_strv_contains(desc_set_architectures(set), path->part[1]))
        return 0;
    if (path->n == 2)
        return S_IFDIR | 0755;
    return desc_set_default(set, path->part[1], path->part[2]) ? S_IFLNK | 0777 : 0;
}

static mode_t top_look(FsFirmware *firmware, FsGuest *guest, const char *path)
{
    const DescSet *set = fs_firmware_descriptors(firmware);
    g_auto(TopPath) parts = top_path(path);

    if (parts.n == 0)
        return S_IFDIR | 0755;
    if (g_str_equal(parts.part[0], "descriptors"))
        return look_descriptor(set, &parts);
    return g_str_equal(parts.part[0], "default") ? look_default(set, &parts) : 0;
}

static void list_descriptors(const DescSet *set, const TopPath *path, GStrvBuilder *names)
{
    const Desc *desc = path->n == 2 ? desc_set_find(set, path->part[1]) : NULL;

    for (size_t i = 0; path->n == 1 && i < desc_set_count(set); i++)
        g_strv_builder_add(names, desc_name(desc_set_get(set, i)));
    if (desc) {
        g_autoptr(DescChoice) choice = desc_choice_of(desc);

        add_files(choice, NULL, names);
    }
}

static void list_defaults(const DescSet *set, const TopPath *path, GStrvBuilder *names)
{
    const char *const *words =
        path->n == 1 ? desc_set_architectures(set) : desc_set_interfaces(set, path->part[1]);

    for (; *words; words++) {
        if (path->n == 1 || desc_set_default(set, path->part[1], *words))
            g_strv_builder_add(names, *words);
    }
}

static char **top_list(FsFirmware *firmware, FsGuest *guest, const char *path)
{
    const DescSet *set = fs_firmware_descriptors(firmware);
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    g_auto(TopPath) parts = top_path(path);

    if (parts.n == 0) {
        g_strv_builder_add(names, "descriptors");
        g_strv_builder_add(names, "default");
    } else if (g_str_equal(parts.part[0], "descriptors")) {
        list_descriptors(set, &parts, names);
    } else {
        list_defaults(set, &parts, names);
    }
    return g_strv_builder_end(names);
}

static char *top_read(FsFirmware *firmware, FsGuest *guest, const char *path)
{
    const DescSet *set = fs_firmware_descriptors(firmware);
    g_auto(TopPath) parts = top_path(path);
    const Desc *desc = NULL;
    bool is_link;

    if (parts.n != 3)
        return NULL;
    if (g_str_equal(parts.part[0], "default")) {
        desc = desc_set_default(set, parts.part[1], parts.part[2]);
        return desc ? g_strdup_printf("../../descriptors/%s", desc_name(desc)) : NULL;
    }
    desc = desc_set_find(set, parts.part[1]);
    if (!desc)
        return NULL;
    g_autoptr(DescChoice) choice = desc_choice_of(desc);
    return desc_choice_file(choice, NULL, parts.part[2], &is_link);
}

/* The descriptor's; of a folder that is made of several, the last one's. */
static int64_t top_mtime_ns(FsFirmware *firmware, FsGuest *guest, const char *path)
{
    const DescSet *set = fs_firmware_descriptors(firmware);
    g_auto(TopPath) parts = top_path(path);
    const Desc *desc = NULL;
    int64_t mtime_ns = 0;

    if (parts.n > 1 && g_str_equal(parts.part[0], "descriptors"))
        desc = desc_set_find(set, parts.part[1]);
    if (desc)
        return desc_mtime_ns(desc);
    for (size_t i = 0; i < desc_set_count(set); i++)
        mtime_ns = MAX(mtime_ns, desc_mtime_ns(desc_set_get(set, i)));
    return mtime_ns;
}

FsVirtual fs_firmware_make_top_tree(FsFirmware *firmware)
{
    return (FsVirtual){
        .firmware = firmware,
        .look = top_look,
        .list = top_list,
        .read = top_read,
        .mtime_ns = top_mtime_ns,
    };
}
