/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * QEMU's locks on an image (block/file-posix.c): shared OFD locks on single bytes, 100+n for a
 * permission that is used and 200+n for one that is not shared with others, n: 0 consistent read, 1
 * write, 2 write unchanged, 3 resize. A program that opens an image takes its own bytes first and
 * then looks whether they conflict with another one's; so does the engine. libvirt's lock daemon
 * takes byte 0.
 *
 * Looking takes nothing.
 */

#include <glib.h>
#include <stdbool.h>

/*
 * The program that may write this file, or keeps others from writing it: text for people, "QEMU
 * (lock byte 101: write)". NULL: none. Locks of this very descriptor do not count.
 */
char *uv_qemulock_holder(int fd);
/*
 * As a QEMU that writes and shares neither writing nor resizing: from now on QEMU refuses to start
 * on it. UV_STORE_ERROR_READ_ONLY with the holder if there is one; then nothing is locked.
 */
bool uv_qemulock_take(int fd, const char *name, GError **error);
void uv_qemulock_drop(int fd);
