/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "fds.h"

#include <glib.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static int compare_ints(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

void uv_close_all_but(int *fds, size_t n)
{
    unsigned next = STDERR_FILENO + 1;

    qsort(fds, n, sizeof(*fds), compare_ints);
    for (size_t i = 0; i < n; i++) {
        if (fds[i] < (int)next)
            continue;
        if (fds[i] > (int)next)
            close_range(next, fds[i] - 1, 0);
        next = fds[i] + 1;
    }
    close_range(next, ~0U, 0);
}

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
