/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Who may be the guest of a socket that every process can connect to: a process that has the store
 * open for reading and writing. File modes, AppArmor or SELinux decided about that when it opened
 * the store, so they decide which virtual machine may be which guest. The descriptor comes with
 * HELLO; the engine looks at it and closes it, and reads or writes nothing through it.
 */

#include "server-internal.h"

#include <fcntl.h>
#include <sys/stat.h>

const char *uv_proof_refusal(const UvServer *server, int fd)
{
    const int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
    struct stat given, store;

    if (fd < 0)
        return "this socket is for who has the store open: no descriptor of it came with HELLO";
    if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) != O_RDWR)
        return "the descriptor that came with HELLO is not open for reading and writing";
    if (fstat(fd, &given) < 0 || !S_ISREG(given.st_mode))
        return "the descriptor that came with HELLO is of no regular file";
    /* As the name means now, not as we know it: a new store may just have been put there. */
    if (!uv_folder_stat(server->store->folder, UV_FILE_STORE, &store, NULL))
        return "the store is not there";
    if (given.st_dev != store.st_dev || given.st_ino != store.st_ino)
        return "the descriptor that came with HELLO is of another file than the store";
    return NULL;
}
