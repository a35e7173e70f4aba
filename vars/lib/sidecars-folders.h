/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The folders that sidecars lie in, as a whole; with the rights of their owners (rights.h). */

#include <stdbool.h>

/* Whether all names in a folder are what is asked for. No folder is an empty one; of one that can't
 * be read that is not known: false. */
bool uv_dir_has_only(int dir_fd, const char *folder,
                     bool (*is_one)(const char *file, const char *store), const char *store);
/* Whether nothing but this store's sidecars lies there: no other store's, and no conflict. */
bool uv_sidecars_has_only(int dir_fd, const char *store);
/* As far as they are empty. */
void uv_sidecars_remove_folders(int dir_fd, const char *store);
