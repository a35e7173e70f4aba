/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "place.h"

#include "access.h"
#include "beneath.h"
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
    g_clear_pointer(&place->store, g_free);
}

static int set_names(const FsLocal *source, const char *guest, FsPlace *place)
{
    place->base_fd = place->folder_fd = fs_beneath_open(
        source->fd, place->rule == FS_RULE_FOLDER ? guest : ".", O_PATH | O_DIRECTORY, 0);
    if (place->base_fd < 0)
        return place->base_fd;
    fs_rights_scope rights = fs_rights_take_of(place->base_fd);
    if (place->rule == FS_RULE_FOLDER) {
        place->config = g_strdup("config.json");
        place->store = g_strdup(fs_local_folder_store(place->base_fd));
    } else {
        place->config =
            place->rule == FS_RULE_SOURCE ? NULL : fs_local_config(source, place->rule, guest);
        place->store = fs_local_file(source, place->rule, guest);
    }
    return 0;
}

/* To where root's link leads, if it is one. */
static int follow(FsPlace *place)
{
    struct stat st;
    int fd, result;

    if (fstatat(place->base_fd, place->store, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISLNK(st.st_mode))
        return 0;
    fd = fcntl(place->base_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    result = fs_beneath_resolve(&fd, &place->store);
    place->folder_fd = fd;
    place->linked = result == 0;
    return result;
}

static int open_by_rule(const FsLocal *source, FsRule rule, const char *guest, FsPlace *ret_place)
{
    FsPlace place = {.rule = rule};
    int result = set_names(source, guest, &place);

    if (result == 0)
        result = follow(&place);
    if (result < 0)
        fs_place_clear(&place);
    else
        *ret_place = place;
    return result;
}

int fs_place_open(const FsLocal *source, const char *guest, FsPlace *ret_place)
{
    FsRule rule;

    return fs_local_find(source, guest, &rule, NULL) ? open_by_rule(source, rule, guest, ret_place)
                                                     : -ENOENT;
}

int fs_place_open_lost(const FsLocal *source, const char *guest, const char *file,
                       FsPlace *ret_place)
{
    size_t size;
    FsRule rule;

    if (source->store)
        return open_by_rule(source, FS_RULE_SOURCE, "", ret_place);
    if (!fs_local_classify(source, file, strcmp(file, guest) == 0, &rule, &size) ||
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

static FsFormat format_of(const char *store)
{
    if (g_str_has_suffix(store, ".qcow2"))
        return FS_FORMAT_QCOW2;
    return g_str_has_suffix(store, ".fd") ? FS_FORMAT_FLASH : FS_FORMAT_JSON;
}

static void describe(FsLook *look, const struct stat *st)
{
    look->uid = st->st_uid;
    look->gid = st->st_gid;
    look->mode = st->st_mode;
    look->size_bytes = (uint64_t)st->st_size;
    look->mtime_ns = nanoseconds(&st->st_mtim);
}

/* Whether there is such a file (no link); `ret_identity` (nullable) is its. */
static bool identify(int folder_fd, const char *name, FsIdentity *ret_identity)
{
    struct stat st;

    if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return false;
    if (ret_identity)
        fs_identity_of(&st, ret_identity);
    return true;
}

static void look_beside(const FsPlace *place, FsLook *look)
{
    uv_autofd int fd = fs_place_sidecars(place);
    const struct {
        const char *what;
        FsLookFlags flag;
        FsIdentity *identity;
    } files[] = {
        {"journal", FS_LOOK_JOURNAL, NULL},
        {"pin", FS_LOOK_PIN, &look->pin},
        {"export", FS_LOOK_HINT, &look->hint},
    };

    if (fd < 0)
        return;
    fs_rights_scope rights = fs_rights_take_of(fd);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *name = uv_sidecar_name(place->store, files[i].what);
        if (identify(fd, name, files[i].identity))
            look->flags |= files[i].flag;
    }
}

void fs_place_look(const FsLocal *source, const FsPlace *place, const char *guest, bool watched,
                   FsLook *ret_look)
{
    g_autofree char *file = fs_local_file(source, place->rule, guest);
    FsLook look = {.format = format_of(place->store)};
    struct stat st;

    g_strlcpy(look.file, file, sizeof(look.file));
    g_strlcpy(look.store_name, place->store, sizeof(look.store_name));
    look.flags = place->rule == FS_RULE_FOLDER   ? FS_LOOK_FOLDER
                 : place->rule == FS_RULE_SOURCE ? FS_LOOK_SOURCE
                                                 : 0;
    if (fstat(place->folder_fd, &st) == 0) {
        describe(&look, &st);
        look.size_bytes = 0;
    }
    {
        fs_rights_scope rights = fs_rights_take_of(place->folder_fd);
        if (fstatat(place->folder_fd, place->store, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            look.flags |= FS_LOOK_STORE;
            describe(&look, &st);
            fs_identity_of(&st, &look.store);
        }
    }
    look.access = look.flags & FS_LOOK_STORE
                      ? fs_access_of_store(place->folder_fd, place->store, &st)
                      : NO_STORE;
    look.reach = fs_access_of_folder(source->fd);
    if (place->config) {
        fs_rights_scope rights = fs_rights_take_of(place->base_fd);
        if (identify(place->base_fd, place->config, &look.config))
            look.flags |= FS_LOOK_CONFIG;
    }
    if (watched && !place->linked && place->rule < FS_RULES)
        look.flags |= FS_LOOK_WATCHED;
    look_beside(place, &look);
    *ret_look = look;
}

int fs_place_look_briefly(const FsLocal *source, FsRule rule, const char *guest,
                          FsAccessAbove *above, FsLook *ret_look)
{
    g_autofree char *file = fs_local_file(source, rule, guest);
    FsLook look = {.flags = FS_LOOK_BRIEF, .format = format_of(file)};
    struct stat st;

    if (fstatat(source->fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    g_strlcpy(look.file, file, sizeof(look.file));
    describe(&look, &st);
    look.access = S_ISREG(st.st_mode) ? fs_access_briefly(source->fd, above, &st) : NO_STORE;
    look.reach = above->reach;
    if (rule == FS_RULE_FOLDER)
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
    fs_rights_scope rights = fs_rights_take_of(place->folder_fd);

    return uv_sidecars_open(place->folder_fd, place->store);
}

int fs_place_make_sidecars(const FsPlace *place)
{
    fs_rights_scope rights = fs_rights_take_of(place->folder_fd);
    struct stat st;

    if (fstatat(place->folder_fd, place->store, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
        fstat(place->folder_fd, &st) < 0)
        return -errno;
    return uv_sidecars_make(place->folder_fd, place->store, st.st_uid, st.st_gid);
}

char *fs_place_real_path(const FsPlace *place)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", place->folder_fd);
    g_autofree char *folder = g_file_read_link(link, NULL);

    return g_build_filename(folder ? folder : "/", place->store, NULL);
}
