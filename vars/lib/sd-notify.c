/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "sd-notify.h"

#include "fd.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READY "READY=1"

int uv_ready_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    const size_t length = path ? strlen(path) : 0;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (length < 2 || length >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
        return -1;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') /* an abstract address */
        address.sun_path[0] = '\0';
    const socklen_t size = offsetof(struct sockaddr_un, sun_path) + length;
    uv_autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, size) < 0)
        return -1;
    return uv_fd_steal(&fd);
}

void uv_ready_tell(int fd)
{
    uv_autofd int owned = fd;

    if (owned >= 0)
        (void)!send(owned, READY, strlen(READY), MSG_NOSIGNAL);
}
