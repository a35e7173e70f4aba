/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store-open.h"

#include "glue-link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEASE_PAUSE_US 10000

/* Its engine may have renamed a new file over it meanwhile. */
static bool is_named(int fd, const char *store)
{
    struct stat opened, named;

    return fstat(fd, &opened) == 0 && stat(store, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

int glue_store_open(const char *store, gint64 deadline, GError **error)
{
    int code;

    do {
        /* The engine may hold a lease on it: it is told to give that up, and the kernel does not
         * make us wait for it. */
        int fd = open(store, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

        code = fd < 0 ? errno : ESTALE;
        if (fd >= 0 && is_named(fd, store))
            return fd;
        if (fd >= 0)
            close(fd);
        if (code != EWOULDBLOCK && code != ESTALE)
            break;
        g_usleep(LEASE_PAUSE_US);
    } while (g_get_monotonic_time() < deadline);
    g_set_error(error, GLUE_LINK_ERROR, GLUE_LINK_ERROR_NOT_SENT,
                "can't open the store %s for reading and writing: %s", store, g_strerror(code));
    return -1;
}
