/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A hash for tables whose keys a guest chooses (names of variables, GUIDs, signatures): SipHash-2-4
 * with a key of this process, so that no guest can make a table of 100,000 entries that all
 * collide. Values mean nothing outside of this process, and are never stored.
 */

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

guint uv_hash(const void *bytes, size_t size);
/* In the place of g_str_hash. */
guint uv_hash_text(gconstpointer text);

/* The function itself; `key` of 16 bytes. */
uint64_t uv_siphash(const uint8_t *key, const void *bytes, size_t size);
