/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "fd-limit.h"

#include <glib.h>
#include <sys/resource.h>

void uv_fd_limit_raise(unsigned long need)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
        return;
    const struct rlimit raised = {MAX(need, limit.rlim_max), MAX(need, limit.rlim_max)};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

bool uv_fd_is_last(int fd, unsigned long reserve)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)fd + reserve >= limit.rlim_cur;
}
