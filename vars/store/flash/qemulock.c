/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "qemulock.h"

#include "store.h"

#include <errno.h>
#include <fcntl.h>

#define LIBVIRT_BYTE 0
#define USED 100
#define UNSHARED 200
#define WRITE 1
#define RESIZE 3

static const char *const permissions[] = {"consistent read", "write", "write unchanged", "resize"};

static bool set_byte(int fd, int byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static bool is_locked(int fd, int byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

char *uv_qemulock_holder(int fd)
{
    static const int conflicts[] = {USED + WRITE, USED + RESIZE, UNSHARED + WRITE,
                                    UNSHARED + RESIZE};

    for (size_t i = 0; i < G_N_ELEMENTS(conflicts); i++) {
        const int byte = conflicts[i];
        if (is_locked(fd, byte))
            return g_strdup_printf("QEMU (lock byte %d: %s%s)", byte, permissions[byte % 100],
                                   byte >= UNSHARED ? " not shared" : "");
    }
    if (is_locked(fd, LIBVIRT_BYTE))
        return g_strdup_printf("libvirt (lock byte %d)", LIBVIRT_BYTE);
    return NULL;
}

void uv_qemulock_drop(int fd)
{
    set_byte(fd, USED + WRITE, F_UNLCK);
    set_byte(fd, UNSHARED + WRITE, F_UNLCK);
    set_byte(fd, UNSHARED + RESIZE, F_UNLCK);
}

bool uv_qemulock_take(int fd, const char *name, GError **error)
{
    g_autofree char *holder = NULL;

    /* Read locks never fail over QEMU's, which are read locks too. */
    if (!set_byte(fd, USED + WRITE, F_RDLCK) || !set_byte(fd, UNSHARED + WRITE, F_RDLCK) ||
        !set_byte(fd, UNSHARED + RESIZE, F_RDLCK)) {
        const int code = errno;
        uv_qemulock_drop(fd);
        return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_IO, "%s: cannot lock: %s", name,
                       g_strerror(code));
    }
    holder = uv_qemulock_holder(fd);
    if (!holder)
        return true;
    uv_qemulock_drop(fd);
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_READ_ONLY, "%s: in use by %s", name,
                   holder);
}
