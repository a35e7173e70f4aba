/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "seccomp-load.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

int uv_seccomp_load(const UvSeccompProgram *program)
{
    const struct sock_fprog whole = {
        .len = program->n_instructions,
        .filter = (struct sock_filter *)program->code, /* the kernel only reads it */
    };

    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &whole) == 0 ? 0 : errno;
}
