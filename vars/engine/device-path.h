/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Device paths as text and back (UEFI 2.11, 10.3 and 10.6). libefivar makes the text, a node at a
 * time; a node that it can't show, or whose text would not be one printable line, is
 * Path(TYPE,SUBTYPE,HEX), which the specification has for all others.
 *
 * libefivar has no way back. So what is written is compared, node by node, with the path that is
 * there: text that one of its nodes has stands for that node's own bytes, and so an edit of one
 * node leaves the others as they were, whatever they are. Only new nodes are parsed, and of these
 * the kinds that people type: HD(), File() or \PATH, PciRoot(), Pci(), Acpi(), Sata(), Scsi(),
 * NVMe(), USB(), MAC(), Uri(), VenHw(), VenMsg(), VenMedia(), Fv(), FvFile() and Path().
 */

#include <glib.h>
#include <stdint.h>

/* `bytes` is a whole path, up to and with its end node; NULL if it is not well formed, or has more
 * than 64 nodes. Instances are separated by commas. */
char *uv_device_path_format(const uint8_t *bytes, size_t size);
/* The text of the last file path node, as people know the loader by; NULL: there is none. */
char *uv_device_path_file(const uint8_t *bytes, size_t size);
/* `old` (nullable) is the path that is replaced. NULL with an error (G_FILE_ERROR_INVAL) that
 * names the node. At most `max_bytes` come out. */
GBytes *uv_device_path_parse(const char *text, GBytes *old, size_t max_bytes, GError **error);
