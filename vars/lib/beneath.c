/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The kernel does the usual case in one call (openat2 with RESOLVE_NO_SYMLINKS). Where there is a
 * link on the way, the path is walked: each component is pinned with O_PATH before its owner is
 * looked at, and a link's text is read from that descriptor, so nothing can be swapped in between.
 */

#include "beneath.h"

#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINKS_MAX 8

static int open_no_links(int folder_fd, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, folder_fd, path, &how, sizeof(how));
    return fd < 0 ? -errno : (int)fd;
}

/* The text of the link that `link_fd` pins, if root owns it. 0 or -errno. */
static int read_root_link(int link_fd, char **ret_target)
{
    char target[PATH_MAX];
    struct stat st;

    if (fstat(link_fd, &st) < 0)
        return -errno;
    if (!S_ISLNK(st.st_mode))
        return -EINVAL;
    if (st.st_uid != 0)
        return -ELOOP;
    ssize_t size = readlinkat(link_fd, "", target, sizeof(target) - 1);
    if (size < 0)
        return -errno;
    target[size] = '\0';
    *ret_target = g_strdup(target);
    return 0;
}

/* One step of a walk: what root's link means is root's business, links and all. */
static int open_component(int folder_fd, const char *name, int flags, mode_t mode)
{
    g_autofree char *target = NULL;
    uv_autofd int fd = openat(folder_fd, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0 && errno != ELOOP && errno != ENOTDIR)
        return -errno;
    if (fd >= 0 && (!(flags & O_PATH) || flags & O_DIRECTORY)) /* O_PATH alone takes links, too */
        return uv_fd_steal(&fd);
    if (fd < 0)
        fd = openat(folder_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = read_root_link(fd, &target);
    if (result == -EINVAL && (flags & O_PATH) && !(flags & O_DIRECTORY))
        return uv_fd_steal(&fd);
    if (result < 0)
        return result == -EINVAL ? -ENOTDIR : result;
    const int behind = openat(folder_fd, target, flags | O_CLOEXEC, mode);
    return behind < 0 ? -errno : behind;
}

static int open_walking(int folder_fd, const char *path, int flags, mode_t mode)
{
    g_auto(GStrv) names = g_strsplit(path, "/", -1);
    uv_autofd int fd = -1;

    for (int i = 0; names[i]; i++) {
        bool last = !names[i + 1];
        if (strcmp(names[i], "..") == 0)
            return -EXDEV;
        int next = open_component(fd < 0 ? folder_fd : fd, names[i][0] ? names[i] : ".",
                                  last ? flags : O_PATH | O_DIRECTORY, mode);
        if (next < 0)
            return next;
        uv_fd_clear(&fd);
        fd = next;
    }
    return uv_fd_steal(&fd);
}

int fs_beneath_open(int folder_fd, const char *path, int flags, mode_t mode)
{
    int fd = open_no_links(folder_fd, path, flags, mode);
    if (fd == -ELOOP || fd == -ENOSYS || fd == -EPERM)
        fd = open_walking(folder_fd, path, flags, mode);
    return fd;
}

int fs_beneath_resolve(int *fd, char **name)
{
    for (int i = 0; i < LINKS_MAX; i++) {
        g_autofree char *target = NULL;
        uv_autofd int link_fd = openat(*fd, *name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (link_fd < 0)
            return errno == ENOENT ? 0 : -errno;
        int result = read_root_link(link_fd, &target);
        if (result < 0)
            return result == -EINVAL ? 0 : result;
        g_autofree char *folder = g_path_get_dirname(target);
        int next = openat(*fd, folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (next < 0)
            return -errno;
        uv_fd_clear(fd);
        *fd = next;
        g_free(*name);
        *name = g_path_get_basename(target);
    }
    return -ELOOP;
}
