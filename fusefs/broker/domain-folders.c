/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "domain-folders.h"

#include "beneath.h"
#include "fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_FOLDER ".new"
#define NEW_LINK ".new"
/* What is in no domain's folder. */
#define NO_STORE "none"

/* The one that is there says of which format the store is. */
static const char *const links[] = {
    [FS_FORMAT_JSON] = "vars.json",
    [FS_FORMAT_FLASH] = "vars.fd",
    [FS_FORMAT_QCOW2] = "vars.qcow2",
};

/* Where the folder's link leads, which we made ourselves; allocated. NULL: there is none. */
static char *read_link(int folder_fd, FsFormat *ret_format)
{
    for (FsFormat format = 0; format < G_N_ELEMENTS(links); format++) {
        char target[FS_QUESTION_TEXT] = "";

        if (readlinkat(folder_fd, links[format], target, sizeof(target) - 1) < 0 ||
            !fs_domain_path_valid(target))
            continue;
        *ret_format = format;
        return g_strdup(target);
    }
    *ret_format = FS_FORMAT_FLASH;
    return NULL;
}

/* What is right comes before what is wrong goes: it leads there all the time. */
static int fill(int folder_fd, const FsDomain *domain)
{
    const char *name = domain->text[0] ? links[domain->format] : NULL;

    unlinkat(folder_fd, NEW_LINK, 0);
    if (name && (symlinkat(domain->text, folder_fd, NEW_LINK) < 0 ||
                 renameat(folder_fd, NEW_LINK, folder_fd, name) < 0))
        return -errno;
    for (size_t i = 0; i < G_N_ELEMENTS(links); i++)
        if (links[i] != name)
            unlinkat(folder_fd, links[i], 0);
    return 0;
}

static int open_folder(const FsLocal *source, const char *name)
{
    const int fd = openat(source->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static void remove_folder(const FsLocal *source, const char *name)
{
    uv_autofd int fd = open_folder(source, name);

    for (size_t i = 0; fd >= 0 && i < G_N_ELEMENTS(links); i++)
        unlinkat(fd, links[i], 0);
    if (fd >= 0)
        unlinkat(fd, NEW_LINK, 0);
    unlinkat(source->fd, name, AT_REMOVEDIR);
}

/* Made aside, so that it is a guest when it has its name. */
static int make_folder(const FsLocal *source, const FsDomain *domain)
{
    remove_folder(source, NEW_FOLDER);
    /* The engine of a domain without a store works there, and owns nothing. */
    if (mkdirat(source->fd, NEW_FOLDER, 0700) < 0 || fchmodat(source->fd, NEW_FOLDER, 0711, 0) < 0)
        return -errno;
    uv_autofd int fd = open_folder(source, NEW_FOLDER);
    const int result = fd < 0 ? fd : fill(fd, domain);
    if (result < 0)
        return result;
    return renameat(source->fd, NEW_FOLDER, source->fd, domain->guest) < 0 ? -errno : 0;
}

int fs_domain_put(const FsLocal *source, const FsDomain *domain, bool *ret_moved)
{
    FsFormat format;

    *ret_moved = false;
    if (!uv_guest_name_valid(source->libvirts, domain->guest))
        return -EINVAL;
    uv_autofd int fd = open_folder(source, domain->guest);
    if (fd < 0)
        return make_folder(source, domain);
    g_autofree char *path = read_link(fd, &format);
    if (path && format == domain->format && strcmp(path, domain->text) == 0)
        return 0;
    *ret_moved = path != NULL;
    return fill(fd, domain);
}

void fs_domain_drop(const FsLocal *source, const char *guest)
{
    if (uv_guest_name_valid(source->libvirts, guest))
        remove_folder(source, guest);
}

void fs_domain_sweep(const FsLocal *source, GHashTable *kept, FsDomainGone gone, void *data)
{
    uv_autofd int fd = openat(source->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        return;
    (void)uv_fd_steal(&fd); /* closed with it */
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (kept && g_hash_table_contains(kept, entry->d_name))
            continue;
        if (gone)
            gone(data, entry->d_name);
        fs_domain_drop(source, entry->d_name);
    }
    closedir(dir);
}

char *fs_domain_store(const FsLocal *source, const char *guest)
{
    uv_autofd int fd =
        uv_guest_name_valid(source->libvirts, guest) ? open_folder(source, guest) : -1;
    FsFormat format;

    return fd < 0 ? NULL : read_link(fd, &format);
}

/* The folder of the store; its name may be a link of root's, as those in /dev are. */
static int reach(const char *path, UvPinned *folder, char **name)
{
    g_autofree char *way = g_path_get_dirname(path + 1);
    uv_autofd int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    uv_autofd int fd = root < 0 ? -errno : fs_beneath_open(root, way, O_PATH | O_DIRECTORY, 0);

    if (fd < 0)
        return fd;
    *name = g_path_get_basename(path);
    const int result = fs_beneath_resolve(&fd, name);
    /* A link that root does not own is no store: that is said when it is opened. */
    return result < 0 && result != -ELOOP ? result : uv_pinned_take(folder, uv_fd_steal(&fd));
}

int fs_domain_reach(const char *store, FsPlace *ret_place)
{
    const int result = reach(store, &ret_place->base, &ret_place->store);

    ret_place->folder = ret_place->base;
    ret_place->linked = ret_place->domain = true;
    return result < 0 ? result : fs_place_pin(ret_place);
}

int fs_domain_follow(FsPlace *place)
{
    g_autofree char *name = NULL;

    place->domain = true;
    place->path = read_link(place->base.fd, &place->format);
    place->link = links[place->format];
    place->folder.fd = -1; /* which is the base's */
    const int result = place->path ? reach(place->path, &place->folder, &name) : -ENOENT;
    if (result == -EXDEV)
        return result;
    if (result < 0)
        place->folder = place->base;
    place->unreached = result;
    place->linked = result == 0;
    g_free(place->store);
    place->store = result < 0 ? g_strdup(NO_STORE) : g_steal_pointer(&name);
    return 0;
}
