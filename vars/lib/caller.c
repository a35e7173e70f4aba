/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "caller.h"

#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <sys/syscall.h>

/* It has asked already, and is about to sleep until it is answered. */
#define TRIES 20
#define TRY_US 50
#define ALWAYS (-1)

/* Calls that make names, by which of their arguments has open(2)'s flags. */
static const struct {
    long number;
    int flags;
} makers[] = {
#ifdef SYS_open
    {SYS_mkdir, ALWAYS},   {SYS_symlink, ALWAYS},   {SYS_link, ALWAYS},
    {SYS_mknod, ALWAYS},   {SYS_open, 1},
#endif
    {SYS_mkdirat, ALWAYS}, {SYS_symlinkat, ALWAYS}, {SYS_linkat, ALWAYS},
    {SYS_mknodat, ALWAYS}, {SYS_openat, 2},
};

static bool makes_name(long number, const unsigned long argument[3])
{
    for (size_t i = 0; i < G_N_ELEMENTS(makers); i++)
        if (number == makers[i].number)
            return makers[i].flags == ALWAYS ||
                   (argument[makers[i].flags] & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL);
    return false;
}

bool uv_caller_makes_name(uint32_t thread)
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
