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

#define JSON_LINK "vars.json"
#define FLASH_LINK "vars.fd"
/* Beside FLASH_LINK: it leads to a qcow2 image. */
#define QCOW2_MARK "qcow2"
#define NO_PATH "config.json"
#define NEW_FOLDER ".new"
#define NEW_LINK ".new"
/* What is in no domain's folder. */
#define NO_STORE "none"

static const char *const links[] = {JSON_LINK, FLASH_LINK};
static const char *const names[] = {JSON_LINK, FLASH_LINK, QCOW2_MARK, NO_PATH, NEW_LINK};

static bool leads_to(int folder_fd, const char *name, const char *path)
{
    char target[FS_QUESTION_TEXT];
    const ssize_t size = readlinkat(folder_fd, name, target, sizeof(target));

    return size == (ssize_t)strlen(path) && memcmp(target, path, (size_t)size) == 0;
}

static int put_link(int folder_fd, const char *name, const char *path)
{
    if (leads_to(folder_fd, name, path))
        return 0;
    unlinkat(folder_fd, NEW_LINK, 0);
    if (symlinkat(path, folder_fd, NEW_LINK) < 0 ||
        renameat(folder_fd, NEW_LINK, folder_fd, name) < 0)
        return -errno;
    return 0;
}

static int put_file(int folder_fd, const char *name)
{
    uv_autofd int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    return fd < 0 ? -errno : 0;
}

/* What is right comes before what is wrong goes: it is a guest all the time. */
static int fill(int folder_fd, const FsDomain *domain)
{
    const char *name = domain->text[0] == '\0'            ? NO_PATH
                       : domain->format == FS_FORMAT_JSON ? JSON_LINK
                                                          : FLASH_LINK;
    const bool qcow2 = domain->text[0] && domain->format == FS_FORMAT_QCOW2;
    int result = qcow2 ? put_file(folder_fd, QCOW2_MARK) : 0;

    if (result == 0)
        result = domain->text[0] == '\0' ? put_file(folder_fd, name)
                                         : put_link(folder_fd, name, domain->text);
    for (size_t i = 0; result == 0 && i < G_N_ELEMENTS(names); i++)
        if (strcmp(names[i], name) != 0 && !(qcow2 && strcmp(names[i], QCOW2_MARK) == 0))
            unlinkat(folder_fd, names[i], 0);
    return result;
}

static int open_folder(const FsLocal *source, const char *name)
{
    const int fd = openat(source->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static void remove_folder(const FsLocal *source, const char *name)
{
    uv_autofd int fd = open_folder(source, name);

    for (size_t i = 0; fd >= 0 && i < G_N_ELEMENTS(names); i++)
        unlinkat(fd, names[i], 0);
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

static bool is_there(int folder_fd, const char *name)
{
    struct stat st;

    return fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static FsFormat format_in(int folder_fd)
{
    if (is_there(folder_fd, JSON_LINK))
        return FS_FORMAT_JSON;
    return is_there(folder_fd, QCOW2_MARK) ? FS_FORMAT_QCOW2 : FS_FORMAT_FLASH;
}

/* To a store, and not to this one. */
static bool leads_elsewhere(int folder_fd, const FsDomain *domain)
{
    for (size_t i = 0; i < G_N_ELEMENTS(links); i++)
        if (is_there(folder_fd, links[i]))
            return !leads_to(folder_fd, links[i], domain->text) ||
                   format_in(folder_fd) != domain->format;
    return false;
}

int fs_domain_put(const FsLocal *source, const FsDomain *domain, bool *ret_moved)
{
    *ret_moved = false;
    if (!uv_guest_name_valid(source->libvirts, domain->guest))
        return -EINVAL;
    uv_autofd int fd = open_folder(source, domain->guest);
    if (fd < 0)
        return make_folder(source, domain);
    *ret_moved = leads_elsewhere(fd, domain);
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

/* Where this link leads, which we made ourselves; allocated. NULL: there is none. */
static char *read_target(int folder_fd, const char *name)
{
    char target[FS_QUESTION_TEXT];
    const ssize_t size = readlinkat(folder_fd, name, target, sizeof(target) - 1);

    if (size < 0)
        return NULL;
    target[size] = '\0';
    return fs_domain_path_valid(target) ? g_strdup(target) : NULL;
}

char *fs_domain_store(const FsLocal *source, const char *guest)
{
    uv_autofd int fd =
        uv_guest_name_valid(source->libvirts, guest) ? open_folder(source, guest) : -1;
    char *target = NULL;

    for (size_t i = 0; fd >= 0 && !target && i < G_N_ELEMENTS(links); i++)
        target = read_target(fd, links[i]);
    return target;
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
    place->format = format_in(place->base.fd);
    place->link = place->format == FS_FORMAT_JSON ? JSON_LINK : FLASH_LINK;
    place->path = read_target(place->base.fd, place->store);
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
