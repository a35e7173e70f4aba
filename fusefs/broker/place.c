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
    uv_fd_clear(&place->file.fd);
    uv_fd_clear(&place->sidecars.fd);
    if (place->folder.fd != place->base.fd)
        uv_fd_clear(&place->folder.fd);
    if (place->rule == UV_GUEST_FOLDER) /* else it is SOURCE's */
        uv_fd_clear(&place->base.fd);
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

static void set_names(const FsLocal *source, const char *guest, FsPlace *place)
{
    /* What a domain wants is in its XML. */
    if (place->rule != UV_GUEST_SOURCE && !source->is_domains)
        place->config = place->rule == UV_GUEST_FOLDER
                            ? g_strdup("config.json")
                            : uv_guest_config(source->libvirts, place->rule, guest);
    if (place->rule != UV_GUEST_FOLDER)
        place->store = fs_local_file(source, place->rule, guest);
    place->format = format_of(place->store);
}

/* 0, also where there is none, or -EXDEV. */
static int pin_store(FsPlace *place)
{
    uv_rights_scope rights = uv_rights_take_at(&place->folder);

    if (place->file.fd < 0)
        fs_beneath_pin(place->folder.fd, place->store, &place->file);
    return place->file.fd == -EXDEV ? -EXDEV : 0;
}

/* To where root's link leads, if it is one. */
static int follow(FsPlace *place)
{
    int fd, result = pin_store(place);

    if (place->file.fd < 0 || !S_ISLNK(place->file.st.st_mode))
        return result;
    fd = uv_fd_copy(place->base.fd);
    if (fd < 0)
        return fd;
    uv_fd_clear(&place->file.fd);
    result = fs_beneath_resolve(&fd, &place->store);
    place->folder.fd = -1; /* which was the base's */
    if (uv_pinned_take(&place->folder, fd) < 0 || result < 0)
        return MIN(place->folder.fd, result);
    place->linked = true;
    if (says_format(place->store)) /* a device is called by its link */
        place->format = format_of(place->store);
    return 0;
}

int fs_place_pin(FsPlace *place)
{
    uv_rights_scope rights = uv_rights_take_at(&place->folder);
    const int result = pin_store(place);

    if (result < 0)
        return result;
    uv_pinned_take(&place->sidecars, uv_sidecars_open(place->folder.fd, place->store));
    return place->sidecars.fd == -EXDEV ? -EXDEV : 0;
}

/* The rest of what was found. */
static int complete(const FsLocal *source, const char *guest, FsPlace *place)
{
    if (place->rule != UV_GUEST_FOLDER)
        place->base = (UvPinned){source->fd, place->source};
    place->folder = place->base;
    set_names(source, guest, place);
    const int result = source->is_domains ? fs_domain_follow(place) : follow(place);
    return result < 0 ? result : fs_place_pin(place);
}

int fs_place_open(const FsLocal *source, const char *guest, FsPlace *ret_place,
                  GString *ret_shadowed)
{
    const int result = fs_local_find(source, guest, ret_place, ret_shadowed);

    return result < 0 ? result : complete(source, guest, ret_place);
}

int fs_place_open_lost(const FsLocal *source, const char *guest, const char *file,
                       FsPlace *ret_place)
{
    size_t size;

    if (fstat(source->fd, &ret_place->source) < 0)
        return -errno;
    ret_place->rule = UV_GUEST_SOURCE;
    if (source->store)
        return complete(source, "", ret_place);
    if (!uv_guest_classify(source->libvirts, file, strcmp(file, guest) == 0, &ret_place->rule,
                           &size) ||
        size != strlen(guest) || memcmp(file, guest, size) != 0)
        return -EINVAL;
    const int result =
        ret_place->rule == UV_GUEST_FOLDER ? fs_local_folder(source, guest, ret_place) : 0;
    return result < 0 ? result : complete(source, guest, ret_place);
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

/* A file (no link) that there may be: its flag, and its identity where that is wanted. 0 or -EXDEV.
 */
static int see(FsLook *look, const UvPinned *folder, const char *name, FsLookFlags flag,
               FsIdentity *identity)
{
    struct stat st;

    if (folder->fd < 0 || !name)
        return 0;
    uv_rights_scope rights = uv_rights_take_at(folder);
    const int result = fs_beneath_stat(folder->fd, name, &st);
    if (result < 0 || !S_ISREG(st.st_mode))
        return result == -EXDEV ? result : 0;
    look->flags |= flag;
    if (identity)
        fs_identity_of(&st, identity);
    return 0;
}

static int see_all(const FsPlace *place, FsLook *look)
{
    const struct {
        const char *what;
        FsLookFlags flag;
        FsIdentity *identity;
    } sidecars[] = {{"journal", FS_LOOK_JOURNAL, NULL},
                    {"pin", FS_LOOK_PIN, &look->pin},
                    {"export", FS_LOOK_HINT, &look->hint}};
    int result = see(look, &place->base, place->config, FS_LOOK_CONFIG, &look->config);

    for (size_t i = 0; i < G_N_ELEMENTS(sidecars) && result == 0; i++) {
        g_autofree char *name = uv_sidecar_name(place->store, sidecars[i].what);
        result = see(look, &place->sidecars, name, sidecars[i].flag, sidecars[i].identity);
    }
    return result;
}

static void see_store(FsLook *look, const UvAccessAbove *above, int found_fd, const struct stat *st)
{
    look->access = uv_access_of_file(above, found_fd, st);
    look->flags |= FS_LOOK_STORE;
    fs_identity_of(st, &look->store);
}

static void begin_look(FsLook *look, const FsLocal *source, UvGuestRule rule, const char *guest,
                       const UvAccessAbove *above)
{
    g_autofree char *file = fs_local_file(source, rule, guest);

    *look = (FsLook){.flags = rule == UV_GUEST_FOLDER   ? FS_LOOK_FOLDER
                              : rule == UV_GUEST_SOURCE ? FS_LOOK_SOURCE
                                                        : 0,
                     .format = format_of(file),
                     .access = NO_STORE,
                     .reach = uv_access_of_folder(above)};
    g_strlcpy(look->file, file, sizeof(look->file));
}

int fs_place_look(const FsLocal *source, const FsPlace *place, const char *guest, bool watched,
                  UvAccessAbove *above, FsLook *look)
{
    const bool there = place->file.fd >= 0;
    UvAccessAbove other = {0};

    uv_access_walk(source->fd, &place->source, above);
    begin_look(look, source, place->rule, guest, above);
    look->format = place->format;
    g_strlcpy(look->store_name, place->link ? place->link : place->store, sizeof(look->store_name));
    if (watched && !place->linked && place->rule < UV_GUEST_RULES)
        look->flags |= FS_LOOK_WATCHED;
    describe(look, there ? &place->file.st : &place->folder.st);
    if (!there)
        look->size_bytes = 0;
    else if (place->folder.fd != source->fd)
        uv_access_walk(place->folder.fd, &place->folder.st, &other);
    if (there)
        see_store(look, other.walked_at ? &other : above, place->file.fd, &place->file.st);
    return see_all(place, look);
}

void fs_place_name(const FsLocal *source, UvGuestRule rule, const char *guest,
                   const UvAccessAbove *above, FsLook *look)
{
    begin_look(look, source, rule, guest, above);
    look->flags |= FS_LOOK_BRIEF | FS_LOOK_NAME;
}

int fs_place_look_briefly(const FsLocal *source, UvGuestRule rule, const char *guest,
                          const UvAccessAbove *above, FsLook *look)
{
    struct stat st = {0};

    begin_look(look, source, rule, guest, above);
    const int result = fs_beneath_stat(source->fd, look->file, &st);
    if (result < 0 && result != -EXDEV)
        return result;
    look->flags |= FS_LOOK_BRIEF;
    describe(look, &st);
    if (S_ISREG(st.st_mode) && rule != UV_GUEST_FOLDER)
        see_store(look, above, -1, &st);
    return 0;
}

int fs_place_make_sidecars(FsPlace *place)
{
    uv_rights_scope rights = uv_rights_take_at(&place->folder);
    const struct stat *owner = place->file.fd >= 0 ? &place->file.st : &place->folder.st;

    /* Nothing is kept of a domain that libvirt has made no store for. */
    if (place->file.fd < 0 && place->domain)
        return place->file.fd;
    if (place->sidecars.fd >= 0 && (geteuid() != 0 || place->sidecars.st.st_uid == owner->st_uid))
        return 0;
    return uv_pinned_take(&place->sidecars, uv_sidecars_make(place->folder.fd, place->store,
                                                             owner->st_uid, owner->st_gid));
}

char *fs_place_real_path(const FsPlace *place)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", place->folder.fd);
    g_autofree char *folder = g_file_read_link(link, NULL);

    return g_build_filename(folder ? folder : "/", place->store, NULL);
}
