/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "close-all-but.h"

#include <stdlib.h>
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
