/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sockets.h"

#include "fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define HEX_DIGITS 16

void fs_sockdir_free(FsSockdir *sockdir)
{
    if (!sockdir)
        return;
    uv_fd_clear(&sockdir->fd);
    uv_fd_clear(&sockdir->lock_fd);
    uv_fd_clear(&sockdir->source_lock_fd);
    g_free(sockdir->source_lock);
    g_free(sockdir->by_store);
    g_free(sockdir->path);
    g_free(sockdir);
}

uint64_t fs_sockdir_hash(const char *guest)
{
    g_autofree char *hex = g_compute_checksum_for_string(G_CHECKSUM_SHA256, guest, -1);
    hex[HEX_DIGITS] = '\0';
    return g_ascii_strtoull(hex, NULL, 16);
}

static char *file_name(uint64_t hash, const char *suffix)
{
    return g_strdup_printf("%016" G_GINT64_MODIFIER "x%s", hash, suffix);
}

char *fs_sockdir_file(const FsSockdir *sockdir, uint64_t hash, const char *suffix)
{
    g_autofree char *file = file_name(hash, suffix);

    return g_build_filename(sockdir->path, file, NULL);
}

static void fill_address(const FsSockdir *sockdir, uint64_t hash, const char *suffix,
                         struct sockaddr_un *ret_address)
{
    g_autofree char *path = fs_sockdir_file(sockdir, hash, suffix);

    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    g_strlcpy(ret_address->sun_path, path, sizeof(ret_address->sun_path));
}

/* Bound with `mode`, not listening yet: until then nobody can connect. */
static int bind_socket(const struct sockaddr_un *address, mode_t mode)
{
    uv_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    mode_t umask_before = umask(0777 & ~mode);
    int result = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    if (result < 0 && errno == EADDRINUSE && unlink(address->sun_path) == 0)
        result = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    umask(umask_before);
    return result < 0 ? -errno : uv_fd_steal(&fd);
}

/* Takes the descriptor over, or what is none. */
static int listen_or_close(int bound_fd)
{
    uv_autofd int fd = bound_fd;

    if (fd < 0)
        return fd;
    return listen(fd, SOMAXCONN) < 0 ? -errno : uv_fd_steal(&fd);
}

int fs_socket_listen(const char *path, mode_t mode)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    return listen_or_close(bind_socket(&address, mode));
}

int fs_sockdir_listen_guest(const FsSockdir *sockdir, uint64_t hash, uid_t uid, gid_t gid)
{
    struct sockaddr_un address;

    fill_address(sockdir, hash, ".sock", &address);
    uv_autofd int fd = bind_socket(&address, sockdir->mode);
    if (fd < 0)
        return fd;
    if (sockdir->group != (gid_t)-1)
        gid = sockdir->group;
    /* An ordinary user can't give it away, and needs not: the guests are that user's own. */
    if ((uid != geteuid() || gid != getegid()) && lchown(address.sun_path, uid, gid) < 0 &&
        geteuid() == 0)
        return -errno;
    return listen_or_close(uv_fd_steal(&fd));
}

bool fs_sockdir_is_guest(const FsSockdir *sockdir, uint64_t hash, int fd)
{
    struct sockaddr_un wanted, bound = {.sun_family = AF_UNSPEC};
    socklen_t size = sizeof(bound);

    fill_address(sockdir, hash, ".sock", &wanted);
    return getsockname(fd, (struct sockaddr *)&bound, &size) == 0 && bound.sun_family == AF_UNIX &&
           strncmp(bound.sun_path, wanted.sun_path, sizeof(wanted.sun_path)) == 0;
}

uid_t fs_sockdir_guest_owner(const FsSockdir *sockdir, uint64_t hash)
{
    g_autofree char *file = file_name(hash, ".sock");
    struct stat st;

    return fstatat(sockdir->fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0 ? (uid_t)-1 : st.st_uid;
}

int fs_sockdir_give_guest(const FsSockdir *sockdir, uint64_t hash, uid_t uid, gid_t gid)
{
    g_autofree char *file = file_name(hash, ".sock");

    if (sockdir->group != (gid_t)-1)
        gid = sockdir->group;
    return geteuid() == 0 && fchownat(sockdir->fd, file, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno
                                                                                            : 0;
}

int fs_sockdir_listen_host(const FsSockdir *sockdir, uint64_t hash)
{
    struct sockaddr_un address;

    fill_address(sockdir, hash, ".host", &address);
    return listen_or_close(bind_socket(&address, 0600));
}

int fs_sockdir_connect_host(const FsSockdir *sockdir, uint64_t hash)
{
    struct sockaddr_un address;
    uv_autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    fill_address(sockdir, hash, ".host", &address);
    return connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno
                                                                               : uv_fd_steal(&fd);
}

int fs_sockdir_open_session(const FsSockdir *sockdir, uint64_t hash)
{
    g_autofree char *file = file_name(hash, ".session");
    int fd = openat(sockdir->fd, file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

bool fs_sockdir_session_is_empty(const FsSockdir *sockdir, uint64_t hash)
{
    g_autofree char *file = file_name(hash, ".session");
    struct stat st;

    return fstatat(sockdir->fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size == 0;
}

void fs_sockdir_unlink(const FsSockdir *sockdir, uint64_t hash, const char *suffix)
{
    g_autofree char *file = file_name(hash, suffix);

    unlinkat(sockdir->fd, file, 0);
}

void fs_sockdir_each(const FsSockdir *sockdir,
                     void (*visit)(uint64_t hash, const char *suffix, void *data), void *data)
{
    uv_autofd int fd = openat(sockdir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir)
        return;
    (void)uv_fd_steal(&fd); /* the folder's now */
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *end;
        uint64_t hash = g_ascii_strtoull(entry->d_name, &end, 16);
        if (end == entry->d_name + HEX_DIGITS && *end == '.')
            visit(hash, end, data);
    }
    closedir(dir);
}

void fs_sockdir_remove(FsSockdir *sockdir)
{
    /* With the locks held: see lock_file(). A shared one goes with the last who has it. */
    if (sockdir->source_lock && flock(sockdir->source_lock_fd, LOCK_EX | LOCK_NB) == 0)
        unlink(sockdir->source_lock);
    unlinkat(sockdir->fd, FS_SOCKDIR_LOCK, 0);
    if (rmdir(sockdir->path) < 0 && errno != ENOTEMPTY && errno != EEXIST)
        g_debug("%s: %s", sockdir->path, g_strerror(errno));
}
