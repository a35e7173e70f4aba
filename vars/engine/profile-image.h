/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A flash image in memory, whose variables are wanted once. */

#include <glib.h>

/* The variables (UvVariable) as edk2 sees them, or NULL with an error. The image may end where its
 * firmware volume does. */
GPtrArray *uv_profile_image_read(const char *name, GBytes *bytes, GError **error);
