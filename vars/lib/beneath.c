/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The kernel does the usual case in one call (openat2 with RESOLVE_NO_SYMLINKS). Where there is a
 * link on the way, the path is walked: each component is pinned with O_PATH before its owner is
 * looked at, and a link's text is read from that descriptor, so nothing can be swapped in between.
 */

#include "beneath.h"

#include "fd.h"
#include "stat-near.h"

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

/* Of this process. */
static bool stays;
static struct {
    int folder_fd;
    const UvNames *names;
} known;

bool fs_beneath_stay(bool stay)
{
    const bool before = stays;

    stays = stay;
    return before;
}

void fs_beneath_know(int folder_fd, const UvNames *names)
{
    known.folder_fd = folder_fd;
    known.names = names;
}

static bool is_absent(int folder_fd, const char *path)
{
    return known.names && folder_fd == known.folder_fd && !strchr(path, '/') &&
           strcmp(path, ".") != 0 && strcmp(path, "..") != 0 &&
           !uv_names_may_have(known.names, path);
}

static int open_how(int folder_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    const struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = resolve | (stays ? RESOLVE_NO_XDEV : 0),
    };
    if (!(flags & O_CREAT) && is_absent(folder_fd, path))
        return -ENOENT;
    /* An engine's list of calls has only the plain one. */
    const long fd = how.resolve ? syscall(SYS_openat2, folder_fd, path, &how, sizeof(how))
                                : openat(folder_fd, path, flags | O_CLOEXEC, mode);

    return fd < 0 ? -errno : (int)fd;
}

static int open_no_links(int folder_fd, const char *path, int flags, mode_t mode)
{
    return open_how(folder_fd, path, flags, mode,
                    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
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

/* The file itself, also a link, pinned: a descriptor or -errno. */
static int find(int folder_fd, const char *name)
{
    return open_how(folder_fd, name, O_PATH | O_NOFOLLOW, 0, 0);
}

/* One step of a walk: what root's link means is root's business, links and all. */
static int open_component(int folder_fd, const char *name, int flags, mode_t mode)
{
    g_autofree char *target = NULL;
    uv_autofd int fd = open_how(folder_fd, name, flags | O_NOFOLLOW, mode, 0);
    if (fd < 0 && fd != -ELOOP && fd != -ENOTDIR)
        return fd;
    if (fd >= 0 && (!(flags & O_PATH) || flags & O_DIRECTORY)) /* O_PATH alone takes links, too */
        return uv_fd_steal(&fd);
    if (fd < 0)
        fd = find(folder_fd, name);
    if (fd < 0)
        return fd;
    int result = read_root_link(fd, &target);
    if (result == -EINVAL && (flags & O_PATH) && !(flags & O_DIRECTORY))
        return uv_fd_steal(&fd);
    if (result < 0)
        return result == -EINVAL ? -ENOTDIR : result;
    return open_how(folder_fd, target, flags, mode, 0);
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
    if (fd == -ELOOP || (!stays && (fd == -ENOSYS || fd == -EPERM)))
        fd = open_walking(folder_fd, path, flags, mode);
    return fd;
}

int fs_beneath_resolve(int *fd, char **name)
{
    for (int i = 0; i < LINKS_MAX; i++) {
        g_autofree char *target = NULL;
        uv_autofd int link_fd = find(*fd, *name);
        if (link_fd < 0)
            return link_fd == -ENOENT ? 0 : link_fd;
        int result = read_root_link(link_fd, &target);
        if (result < 0)
            return result == -EINVAL ? 0 : result;
        g_autofree char *folder = g_path_get_dirname(target);
        int next = open_how(*fd, folder, O_PATH | O_DIRECTORY, 0, 0);
        if (next < 0)
            return next;
        uv_fd_clear(fd);
        *fd = next;
        g_free(*name);
        *name = g_path_get_basename(target);
    }
    return -ELOOP;
}

int fs_beneath_openat(int folder_fd, const char *path, int flags)
{
    return open_how(folder_fd, path, flags, 0, 0);
}

int uv_pinned_take(UvPinned *pinned, int fd)
{
    uv_fd_clear(&pinned->fd);
    pinned->fd = fd;
    if (fd >= 0 && fstat(fd, &pinned->st) < 0) {
        const int result = -errno;
        uv_fd_clear(&pinned->fd);
        pinned->fd = result;
    }
    return MIN(pinned->fd, 0);
}

UvRights uv_rights_take_at(const UvPinned *folder)
{
    return folder->fd < 0 ? uv_rights_take_of(-1)
                          : uv_rights_take(folder->st.st_uid, folder->st.st_gid);
}

int fs_beneath_pin(int folder_fd, const char *name, UvPinned *pinned)
{
    return uv_pinned_take(pinned, find(folder_fd, name));
}

int fs_beneath_stat(int folder_fd, const char *name, struct stat *ret_stat)
{
    UvPinned pinned = UV_PINNED_NONE;
    int result;

    if (!stays)
        return fstatat(folder_fd, name, ret_stat, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
    if (is_absent(folder_fd, name))
        return -ENOENT;
    if (uv_stat_near(folder_fd, name, ret_stat, &result))
        return result;
    result = fs_beneath_pin(folder_fd, name, &pinned);
    *ret_stat = pinned.st;
    uv_fd_clear(&pinned.fd);
    return result;
}

int fs_beneath_reopen(int found_fd, int flags)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", found_fd);
    const int fd = open(link, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

int fs_beneath_read_pinned(UvPinned *pinned)
{
    int result = MIN(pinned->fd, 0);

    if (result == 0)
        result = S_ISREG(pinned->st.st_mode) ? fs_beneath_reopen(pinned->fd, O_RDONLY) : -EINVAL;
    uv_fd_clear(&pinned->fd);
    return result;
}

int fs_beneath_read(int folder_fd, const char *name, struct stat *ret_stat)
{
    UvPinned found = UV_PINNED_NONE;
    fs_beneath_pin(folder_fd, name, &found);
    const int fd = fs_beneath_read_pinned(&found);

    if (fd >= 0)
        *ret_stat = found.st;
    return fd;
}
