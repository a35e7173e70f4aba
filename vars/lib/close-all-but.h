/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>

/* Closes all descriptors above stderr but `fds`, which are sorted in place; negative ones stand for
 * none. For a child that goes on in its parent's program. */
void uv_close_all_but(int *fds, size_t n);
