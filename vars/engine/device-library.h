/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* What libefivar says of one node, header included; NULL: nothing, or that node is not for it. Not
 * checked: it may be no line, and of no character set. Allocated. */
char *uv_device_library_format(const uint8_t *node, size_t size);
