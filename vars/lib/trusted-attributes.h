/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>

/* Whether the file has extended attributes "trusted.*", as libvirt keeps its labels and owners in.
 * Only root sees them. */
bool uv_has_trusted_attributes(int fd);
