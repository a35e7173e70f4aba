/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* How many descriptors this process may have. */

#include <stdbool.h>

/* At least `need`, or as many as may be had. */
void uv_fd_limit_raise(unsigned long need);
/* Whether fewer than `reserve` are left above this one. */
bool uv_fd_is_last(int fd, unsigned long reserve);
