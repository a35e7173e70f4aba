/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What a libvirt is called as SOURCE. */

#include <glib.h>
#include <stdbool.h>

/* SOURCE is a libvirt: it begins like a URI of one. */
bool fs_libvirt_is(const char *source);
/* As libvirt has it: qemu:///system of libvirt:///system, SCHEME:///PATH of libvirt+SCHEME:///PATH.
 * Of this host only: NULL with an error for any other. */
char *fs_libvirt_uri(const char *source, GError **error);
/* The real path of `source` where that is libvirt's own folder, .../libvirt/qemu, in which its
 * folders of stores are; else NULL. Allocated. */
char *fs_libvirt_home(const char *source);
/* Only the daemon of the system can be asked by any user; others by the one that they belong to. */
bool fs_libvirt_is_systems(const char *source);
