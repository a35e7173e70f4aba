/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Engines found by their store: who serves stores publishes in a folder (below; uefivarsfs(8))
 *
 *   HASH.sock     the socket of the engine of the store with this path, open to every user; a
 * process that has the store open may be its guest HASH.folder   stores of the folder with this
 * path are served: one that is new will soon be
 *
 * where HASH is the first 16 hex digits of the SHA-256 of the real path. No QEMU header is needed
 * here.
 */

#include <glib.h>

/*
 * The socket (allocated) of the engine that serves `store`, or NULL: no engine does. Waits for up
 * to 3 s where the store's folder is served.
 */
char *glue_by_store_find(const char *store);
