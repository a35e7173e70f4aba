/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Who may be the guest of a socket that every process can connect to: a process that has the store
 * open for reading and writing. File modes, AppArmor or SELinux decided about that when it opened
 * the store, so they decide which virtual machine may be which guest. The descriptor comes with
 * HELLO; the engine looks at it and closes it, and reads or writes nothing through it.
 *
 * A descriptor may be of a file system that its sender serves himself, and closing one of those
 * waits for its server (FUSE: flush), as does asking it anything. So none is taken from who can't
 * have opened the store, by its owner, group and mode; and nothing is asked that the kernel does
 * not know. Who has the store's user could stop the engine as well.
 */

#include "server-internal.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define GROUPS_MAX 1024

static bool is_in_group(int socket_fd, const struct ucred *peer, gid_t gid)
{
    gid_t groups[GROUPS_MAX];
    socklen_t size = sizeof(groups);

    if (peer->gid == gid)
        return true;
    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        return false;
    for (size_t i = 0; i < size / sizeof(*groups); i++)
        if (groups[i] == gid)
            return true;
    return false;
}

bool uv_proof_can_have(const struct stat *store, int socket_fd)
{
    const mode_t group = S_IRGRP | S_IWGRP, others = S_IROTH | S_IWOTH;
    struct ucred peer;
    socklen_t size = sizeof(peer);

    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return false;
    return peer.uid == 0 || peer.uid == store->st_uid || (store->st_mode & others) == others ||
           ((store->st_mode & group) == group && is_in_group(socket_fd, &peer, store->st_gid));
}

/* Of what the kernel knows of the file. */
static bool is_same_file(const struct statx *given, const struct stat *store)
{
    return makedev(given->stx_dev_major, given->stx_dev_minor) == store->st_dev &&
           given->stx_ino == store->st_ino;
}

const char *uv_proof_refusal(const UvServer *server, int fd, UvStoreIdentity *ret_store)
{
    const int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
    struct statx given;
    struct stat store;

    if (fd < 0)
        return "this socket is for who has the store open: no descriptor of it came with HELLO";
    if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) != O_RDWR)
        return "the descriptor that came with HELLO is not open for reading and writing";
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &given) < 0 ||
        !S_ISREG(given.stx_mode))
        return "the descriptor that came with HELLO is of no regular file";
    /* As the name means now, not as we know it: a new store may just have been put there. */
    if (!uv_folder_stat(server->store->folder, UV_FILE_STORE, &store, NULL))
        return "the store is not there";
    if (!is_same_file(&given, &store))
        return "the descriptor that came with HELLO is of another file than the store";
    *ret_store = (UvStoreIdentity){.device = store.st_dev, .inode = store.st_ino};
    return NULL;
}
