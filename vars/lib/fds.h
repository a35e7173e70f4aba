/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The descriptors of this process, all of them. */

#include <stdbool.h>
#include <stddef.h>

/* Closes all descriptors above stderr but `fds`, which are sorted in place; negative ones stand for
 * none. For a child that goes on in its parent's program. */
void uv_close_all_but(int *fds, size_t n);
/* At least `need`, or as many as may be had. */
void uv_fd_limit_raise(unsigned long need);
/* Whether fewer than `reserve` are left above this one. */
bool uv_fd_is_last(int fd, unsigned long reserve);
