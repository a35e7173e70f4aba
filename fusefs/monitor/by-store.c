/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "by-store.h"

#include "fd.h"
#include "unix-socket.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of what a path means to others: HASH.SUFFIX in by-store/. */
static char *by_store_file(const FsSockdir *sockdir, const char *path, const char *suffix)
{
    return g_strdup_printf("%s/%016" G_GINT64_MODIFIER "x%s", sockdir->by_store,
                           fs_sockdir_hash(path), suffix);
}

int fs_sockdir_listen_store(const FsSockdir *sockdir, const char *store, FsStoreSocket *ret_socket)
{
    struct stat st;

    if (!sockdir->by_store || sockdir->read_only)
        return -ENOENT;
    g_autofree char *path = by_store_file(sockdir, store, ".sock");
    g_autofree char *aside =
        g_strdup_printf("%s/" FS_BY_STORE_NEW "/%d", sockdir->by_store, getpid());
    const int fd = uv_unix_publish(aside, path, 0666, (uid_t)-1, (gid_t)-1);
    if (fd < 0)
        return fd;
    ret_socket->fd = fd;
    ret_socket->path = g_steal_pointer(&path);
    ret_socket->inode = lstat(ret_socket->path, &st) == 0 ? st.st_ino : 0;
    return 0;
}

void fs_sockdir_close_store(FsStoreSocket *store_socket, bool remove)
{
    struct stat st;

    /* Another front may serve the same store by now. */
    if (remove && store_socket->path && lstat(store_socket->path, &st) == 0 &&
        st.st_ino == store_socket->inode)
        unlink(store_socket->path);
    uv_fd_clear(&store_socket->fd);
    g_free(store_socket->path);
    *store_socket = (FsStoreSocket){.fd = -1};
}

void fs_sockdir_publish_folder(const FsSockdir *sockdir, const char *folder, bool published)
{
    if (!sockdir->by_store || sockdir->read_only)
        return;
    g_autofree char *link = by_store_file(sockdir, folder, ".folder");
    unlink(link);
    if (published && symlink(folder, link) < 0)
        g_message("%s: %s", link, g_strerror(errno));
}
