/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Files as a whole: reading, writing, and putting a new one in the place of the store with all that
 * made the old one what it was (owner, mode, ACL, extended attributes).
 */

#include <stdint.h>

#include "folder.h"

/* All of a file, at most `max` bytes (UV_STORE_ERROR_PARSE beyond). */
GBytes *uv_read_file(int fd, const char *name, size_t max, GError **error);
/* Exactly these bytes there; short writes are continued. */
bool uv_write_file_at(int fd, const char *name, const void *bytes, size_t size, uint64_t offset,
                      GError **error);
/* fsync (data and metadata) or fdatasync. */
bool uv_sync_file(int fd, const char *name, bool data_only, GError **error);

/*
 * Owner, group, mode, ACL and every extended attribute of `from_fd` onto `to_fd`. false, with
 * G_FILE_ERROR in the domain, if one of them can't be carried over: the file is then better written
 * in place.
 */
bool uv_copy_attributes(int from_fd, int to_fd, GError **error);

/*
 * A new UV_FILE_TEMP with this content and the attributes of `old_fd` (-1: none), fsynced: its
 * descriptor, open for reading and writing, or -1. uv_publish() renames it onto the store, durably;
 * uv_publish_abort() removes it. In between the caller takes whatever locks the new inode needs.
 */
int uv_publish_prepare(UvFolder *folder, int old_fd, GBytes *content, GError **error);
bool uv_publish(UvFolder *folder, GError **error);
void uv_publish_abort(UvFolder *folder);

/* UV_STORE_ERROR from an errno: NO_SPACE, READ_ONLY or IO; "name: what: text". Always false. */
bool uv_set_store_error(GError **error, const char *name, const char *what, int code);
/* As G_FILE_ERROR, from what uv_folder_* said. Always false, too. */
bool uv_map_folder_error(GError **error);
