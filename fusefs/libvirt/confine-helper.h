/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the programs give up that tell a monitor of domains. */

#include <glib.h>
#include <stdbool.h>

/* All capabilities, every way to the file system but by descriptors that are open, and most system
 * calls. `strict`: what the kernel lacks is an error. */
bool fs_helper_confine(bool strict, GError **error);
