/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What processes are called, for the record of changes. */

#include "monitor-private.h"

#include "fd.h"
#include "file-io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The kernel's are 15 characters long; who can be called something else is a kernel thread. */
#define NAME_BYTES_MAX 64

int monitor_name_process(uint32_t process, char *ret_name, size_t size)
{
    g_autofree char *path = g_strdup_printf("/proc/%u/comm", process);
    uv_autofd int fd = open(path, O_RDONLY | O_CLOEXEC);
    char name[NAME_BYTES_MAX + 1] = "";
    ssize_t got = fd < 0 ? -errno : uv_pread_all(fd, name, NAME_BYTES_MAX, 0);

    if (got < 0)
        return (int)got;
    name[strcspn(name, "\n")] = '\0';
    g_autofree char *valid = g_utf8_make_valid(name, -1);
    g_strlcpy(ret_name, valid, size);
    return 0;
}
