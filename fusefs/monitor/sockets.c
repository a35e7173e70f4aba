/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sockets.h"

#include "fd.h"
#include "sidecars.h"
#include "unix-socket.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HEX_DIGITS 16

uint64_t fs_sockdir_hash(const char *name)
{
    g_autofree char *hex = g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);

    hex[HEX_DIGITS] = '\0';
    return g_ascii_strtoull(hex, NULL, 16);
}

char *fs_sockdir_name(const char *guest, const char *suffix)
{
    return g_strdup_printf("%016" G_GINT64_MODIFIER "x%s", fs_sockdir_hash(guest), suffix);
}

char *fs_sockdir_path(const FsSockdir *sockdir, const char *guest, const char *suffix)
{
    g_autofree char *name = fs_sockdir_name(guest, suffix);

    return g_build_filename(sockdir->path, name, NULL);
}

static gid_t group_of(const FsSockdir *sockdir, gid_t owners)
{
    return sockdir->group == (gid_t)-1 ? owners : sockdir->group;
}

int fs_sockdir_listen_guest(const FsSockdir *sockdir, const char *guest, uid_t uid, gid_t gid)
{
    g_autofree char *path = fs_sockdir_path(sockdir, guest, FS_SOCKDIR_GUEST);
    g_autofree char *aside = fs_sockdir_path(sockdir, guest, FS_SOCKDIR_NEW);

    return uv_unix_publish(aside, path, sockdir->mode, uid, group_of(sockdir, gid));
}

/* The kernel tells the name that a socket was bound to; what an engine has had since 0.1 was bound
 * to its own. */
bool fs_sockdir_is_guest(const FsSockdir *sockdir, const char *guest, int fd)
{
    g_autofree char *aside = fs_sockdir_path(sockdir, guest, FS_SOCKDIR_NEW);
    g_autofree char *before = fs_sockdir_path(sockdir, guest, FS_SOCKDIR_GUEST);
    struct sockaddr_un bound = {.sun_family = AF_UNSPEC};
    socklen_t size = sizeof(bound);

    return getsockname(fd, (struct sockaddr *)&bound, &size) == 0 && bound.sun_family == AF_UNIX &&
           (strncmp(bound.sun_path, aside, sizeof(bound.sun_path)) == 0 ||
            strncmp(bound.sun_path, before, sizeof(bound.sun_path)) == 0);
}

static int look(const FsSockdir *sockdir, const char *guest, const char *suffix,
                struct stat *ret_stat)
{
    g_autofree char *name = fs_sockdir_name(guest, suffix);

    return fstatat(sockdir->fd, name, ret_stat, AT_SYMLINK_NOFOLLOW);
}

uid_t fs_sockdir_guest_owner(const FsSockdir *sockdir, const char *guest)
{
    struct stat st;

    return look(sockdir, guest, FS_SOCKDIR_GUEST, &st) < 0 ? (uid_t)-1 : st.st_uid;
}

int fs_sockdir_give_guest(const FsSockdir *sockdir, const char *guest, uid_t uid, gid_t gid)
{
    g_autofree char *path = fs_sockdir_path(sockdir, guest, FS_SOCKDIR_GUEST);

    return uv_unix_give(path, uid, group_of(sockdir, gid));
}

int fs_sockdir_connect_host(const FsSockdir *sockdir, const char *guest)
{
    g_autofree char *path = fs_sockdir_path(sockdir, guest, FS_SOCKDIR_HOST);

    return uv_unix_connect(path);
}

int fs_sockdir_open_session(const FsSockdir *sockdir, const char *guest)
{
    g_autofree char *name = fs_sockdir_name(guest, FS_SOCKDIR_SESSION);
    const int fd = openat(sockdir->fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    return fd < 0 ? -errno : fd;
}

bool fs_sockdir_session_is_empty(const FsSockdir *sockdir, const char *guest)
{
    struct stat st;

    return look(sockdir, guest, FS_SOCKDIR_SESSION, &st) < 0 || st.st_size == 0;
}

void fs_sockdir_unlink(const FsSockdir *sockdir, const char *guest, const char *suffix)
{
    g_autofree char *name = fs_sockdir_name(guest, suffix);

    unlinkat(sockdir->fd, name, 0);
}

void fs_sockdir_each(const FsSockdir *sockdir,
                     void (*visit)(uint64_t hash, const char *name, void *data), void *data)
{
    uv_autofd int fd = uv_open_dir(sockdir->fd, ".", 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        return;
    uv_fd_steal(&fd);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *end;
        const uint64_t hash = g_ascii_strtoull(entry->d_name, &end, 16);
        if (end == entry->d_name + HEX_DIGITS && *end == '.')
            visit(hash, entry->d_name, data);
    }
    closedir(dir);
}
