/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One node of a device path from its text: those kinds that people type (device-path.h). */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"

#define DEVICE_NODE_HEADER_BYTES 4u /* u8 type, u8 subtype, u16 length with this header */
#define DEVICE_NODE_HARDWARE 0x01
#define DEVICE_NODE_ACPI 0x02
#define DEVICE_NODE_MESSAGING 0x03
#define DEVICE_NODE_MEDIA 0x04
#define DEVICE_NODE_BIOS_BOOT 0x05
#define DEVICE_NODE_FILE 0x04 /* of media: a file's path */
#define DEVICE_NODE_END 0x7f
#define DEVICE_NODE_END_INSTANCE 0x01
#define DEVICE_NODE_END_ENTIRE 0xff

/* false, with an error (G_FILE_ERROR_INVAL) that names the node, if it is of no known kind or
 * has other arguments than that kind. */
bool uv_device_node_parse(const char *text, UvWriter *writer, GError **error);
/* The file of a file path node, header included; NULL if its name is no printable text. */
char *uv_device_node_file(const uint8_t *node, size_t size);
/* What libefivar says of one node, header included; NULL: nothing, or that node is not for it. Not
 * checked: it may be no line, and of no character set. Allocated. */
char *uv_device_library_format(const uint8_t *node, size_t size);
