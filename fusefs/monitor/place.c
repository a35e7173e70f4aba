/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "place.h"

#include "access.h"
#include "beneath.h"
#include "domain-folders.h"
#include "fd.h"
#include "rights.h"
#include "sidecars.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define NO_STORE 0600 /* as it will be made */

void fs_place_clear(FsPlace *place)
{
    if (place->folder_fd != place->base_fd)
        uv_fd_clear(&place->folder_fd);
    uv_fd_clear(&place->base_fd);
    g_clear_pointer(&place->config, g_free);
    g_clear_pointer(&place->path, g_free);
    g_clear_pointer(&place->store, g_free);
}

static FsFormat format_of(const char *store)
{
    static const char *const flash[] = {".fd", ".nvram", ".raw"};

    if (g_str_has_suffix(store, ".qcow2"))
        return FS_FORMAT_QCOW2;
    if (strcmp(store, "ubootefi.var") == 0)
        return FS_FORMAT_UBOOT;
    for (size_t i = 0; i < G_N_ELEMENTS(flash); i++)
        if (g_str_has_suffix(store, flash[i]))
            return FS_FORMAT_FLASH;
    return FS_FORMAT_JSON;
}

static bool says_format(const char *store)
{
    return g_str_has_suffix(store, ".json") || format_of(store) != FS_FORMAT_JSON;
}

static int set_names(const FsLocal *source, const char *guest, FsPlace *place)
{
    place->base_fd = place->folder_fd = fs_beneath_open(
        source->fd, place->rule == UV_GUEST_FOLDER ? guest : ".", O_PATH | O_DIRECTORY, 0);
    if (place->base_fd < 0)
        return place->base_fd;
    uv_rights_scope rights = uv_rights_take_of(place->base_fd);
    if (place->rule == UV_GUEST_FOLDER) {
        /* What a domain wants is in its XML. */
        place->config = source->is_domains ? NULL : g_strdup("config.json");
        place->store = fs_local_folder_store(source, guest, place->base_fd);
    } else {
        place->config = place->rule == UV_GUEST_SOURCE
                            ? NULL
                            : uv_guest_config(source->libvirts, place->rule, guest);
        place->store = fs_local_file(source, place->rule, guest);
    }
    place->format = format_of(place->store);
    return 0;
}

/* To where root's link leads, if it is one. */
static int follow(FsPlace *place)
{
    struct stat st;
    int fd, result = fs_beneath_stat(place->base_fd, place->store, &st);

    if (result < 0 || !S_ISLNK(st.st_mode))
        return result == -EXDEV ? result : 0;
    fd = fcntl(place->base_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    result = fs_beneath_resolve(&fd, &place->store);
    place->folder_fd = fd;
    place->linked = result == 0;
    return result;
}

static int open_by_rule(const FsLocal *source, UvGuestRule rule, const char *guest,
                        FsPlace *ret_place)
{
    FsPlace place = {.rule = rule};
    int result = set_names(source, guest, &place);

    if (result == 0 && source->is_domains) {
        result = fs_domain_follow(&place);
    } else if (result == 0) {
        result = follow(&place);
        if (!place.linked || says_format(place.store)) /* a device is called by its link */
            place.format = format_of(place.store);
    }
    if (result < 0)
        fs_place_clear(&place);
    else
        *ret_place = place;
    return result;
}

int fs_place_open_told(const FsLocal *source, const char *guest, GString *shadowed,
                       FsPlace *ret_place)
{
    UvGuestRule rule;
    const int result = fs_local_find(source, guest, &rule, shadowed);

    return result < 0 ? result : open_by_rule(source, rule, guest, ret_place);
}

int fs_place_open(const FsLocal *source, const char *guest, FsPlace *ret_place)
{
    return fs_place_open_told(source, guest, NULL, ret_place);
}

int fs_place_open_lost(const FsLocal *source, const char *guest, const char *file,
                       FsPlace *ret_place)
{
    size_t size;
    UvGuestRule rule;

    if (source->store)
        return open_by_rule(source, UV_GUEST_SOURCE, "", ret_place);
    if (!uv_guest_classify(source->libvirts, file, strcmp(file, guest) == 0, &rule, &size) ||
        size != strlen(guest) || memcmp(file, guest, size) != 0)
        return -EINVAL;
    return open_by_rule(source, rule, guest, ret_place);
}

static int64_t nanoseconds(const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

void fs_identity_of(const struct stat *st, FsIdentity *ret_identity)
{
    *ret_identity =
        (FsIdentity){{st->st_dev, st->st_ino, (uint64_t)st->st_size,
                      (uint64_t)nanoseconds(&st->st_mtim), (uint64_t)nanoseconds(&st->st_ctim)}};
}

static void describe(FsLook *look, const struct stat *st)
{
    look->uid = st->st_uid;
    look->gid = st->st_gid;
    look->mode = st->st_mode;
    look->size_bytes = (uint64_t)st->st_size;
    look->mtime_ns = nanoseconds(&st->st_mtim);
}

/* A file (no link) that there may be, its flag, and whether its identity is wanted. */
typedef struct {
    int folder_fd;
    const char *name; /* NULL: there never is */
    FsLookFlags flag;
    FsIdentity *identity;
} Sight;

/* 0, also where there is none, or -EXDEV. */
static int see(FsLook *look, const Sight *sight)
{
    uv_rights_scope rights = uv_rights_take_of(sight->folder_fd);
    struct stat st;
    const int result = sight->name ? fs_beneath_stat(sight->folder_fd, sight->name, &st) : -ENOENT;

    if (result < 0)
        return result == -EXDEV ? result : 0;
    if (sight->flag == FS_LOOK_STORE) {
        describe(look, &st);
        look->access = uv_access_of_file(sight->folder_fd, sight->name, &st);
    } else if (!S_ISREG(st.st_mode))
        return 0;
    look->flags |= sight->flag;
    if (sight->identity)
        fs_identity_of(&st, sight->identity);
    return 0;
}

static int see_all(const FsPlace *place, FsLook *look)
{
    uv_autofd int fd = fs_place_sidecars(place);
    g_autofree char *journal = uv_sidecar_name(place->store, "journal");
    g_autofree char *pin = uv_sidecar_name(place->store, "pin");
    g_autofree char *hint = uv_sidecar_name(place->store, "export");
    const Sight sights[] = {
        {place->folder_fd, place->store, FS_LOOK_STORE, &look->store},
        {place->base_fd, place->config, FS_LOOK_CONFIG, &look->config},
        {fd, journal, FS_LOOK_JOURNAL, NULL},
        {fd, pin, FS_LOOK_PIN, &look->pin},
        {fd, hint, FS_LOOK_HINT, &look->hint},
    };
    int result = fd == -EXDEV ? fd : 0;

    for (size_t i = 0; i < G_N_ELEMENTS(sights) && result == 0; i++)
        if (sights[i].folder_fd >= 0)
            result = see(look, &sights[i]);
    return result;
}

int fs_place_look(const FsLocal *source, const FsPlace *place, const char *guest, bool watched,
                  FsLook *ret_look)
{
    g_autofree char *file = fs_local_file(source, place->rule, guest);
    FsLook look = {
        .format = place->format, .access = NO_STORE, .reach = uv_access_of_folder(source->fd)};
    struct stat st;
    int result;

    g_strlcpy(look.file, file, sizeof(look.file));
    g_strlcpy(look.store_name, place->link ? place->link : place->store, sizeof(look.store_name));
    look.flags = place->rule == UV_GUEST_FOLDER   ? FS_LOOK_FOLDER
                 : place->rule == UV_GUEST_SOURCE ? FS_LOOK_SOURCE
                                                  : 0;
    if (fstat(place->folder_fd, &st) == 0) {
        describe(&look, &st);
        look.size_bytes = 0;
    }
    if (watched && !place->linked && place->rule < UV_GUEST_RULES)
        look.flags |= FS_LOOK_WATCHED;
    result = see_all(place, &look);
    *ret_look = look;
    return result;
}

int fs_place_look_briefly(const FsLocal *source, UvGuestRule rule, const char *guest,
                          UvAccessAbove *above, FsLook *ret_look)
{
    g_autofree char *file = fs_local_file(source, rule, guest);
    FsLook look = {.flags = FS_LOOK_BRIEF, .format = format_of(file)};
    struct stat st = {0};
    const int result = fs_beneath_stat(source->fd, file, &st);

    if (result < 0 && result != -EXDEV)
        return result;
    g_strlcpy(look.file, file, sizeof(look.file));
    describe(&look, &st);
    look.access = S_ISREG(st.st_mode) ? uv_access_briefly(source->fd, above, &st) : NO_STORE;
    look.reach = above->reach;
    if (rule == UV_GUEST_FOLDER)
        look.flags |= FS_LOOK_FOLDER;
    else if (S_ISREG(st.st_mode)) {
        look.flags |= FS_LOOK_STORE;
        fs_identity_of(&st, &look.store);
    }
    *ret_look = look;
    return 0;
}

int fs_place_sidecars(const FsPlace *place)
{
    uv_rights_scope rights = uv_rights_take_of(place->folder_fd);

    return uv_sidecars_open(place->folder_fd, place->store);
}

int fs_place_make_sidecars(const FsPlace *place)
{
    uv_rights_scope rights = uv_rights_take_of(place->folder_fd);
    struct stat st;
    int result = fs_beneath_stat(place->folder_fd, place->store, &st);

    /* Nothing is kept of a domain that libvirt has made no store for. */
    if (result < 0 && !place->domain)
        result = fstat(place->folder_fd, &st) < 0 ? -errno : 0;
    if (result < 0)
        return result;
    return uv_sidecars_make(place->folder_fd, place->store, st.st_uid, st.st_gid);
}

char *fs_place_real_path(const FsPlace *place)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", place->folder_fd);
    g_autofree char *folder = g_file_read_link(link, NULL);

    return g_build_filename(folder ? folder : "/", place->store, NULL);
}
