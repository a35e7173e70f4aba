/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "caller.h"

#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* It has asked already, and is about to sleep until it is answered. */
#define TRIES 20
#define TRY_US 50

static bool makes(unsigned long open_flags)
{
    return (open_flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
}

static bool makes_name(long number, const unsigned long argument[3])
{
    switch (number) {
#ifdef SYS_open
    case SYS_mkdir:
    case SYS_symlink:
    case SYS_link:
    case SYS_mknod:
        return true;
    case SYS_open:
        return makes(argument[1]);
#endif
    case SYS_mkdirat:
    case SYS_symlinkat:
    case SYS_linkat:
    case SYS_mknodat:
        return true;
    case SYS_openat:
        return makes(argument[2]);
    default:
        return false;
    }
}

bool fs_caller_makes_name(uint32_t thread)
{
    g_autofree char *path = g_strdup_printf("/proc/%u/syscall", thread);

    for (int i = 0; thread != 0 && i < TRIES; i++) {
        g_autofree char *text = NULL;
        unsigned long argument[3];
        long number;

        if (!g_file_get_contents(path, &text, NULL, NULL))
            return false;
        if (sscanf(text, "%ld %lx %lx %lx", &number, &argument[0], &argument[1], &argument[2]) == 4)
            return makes_name(number, argument);
        if (!g_str_has_prefix(text, "running"))
            return false;
        g_usleep(TRY_US);
    }
    return false;
}
