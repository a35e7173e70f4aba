/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A look at JSON text before json-glib gets it, and the way back to a place in it.
 *
 * json-glib recurses as deep as the text says, takes comments, keeps the last of two members of one
 * name, and forgets where things were. The scan refuses what is too deep, not UTF-8, no JSON token
 * or behind the end, and remembers where the objects start and how many members each has. The
 * grammar itself stays json-glib's.
 */

#include <glib.h>
#include <stdbool.h>

/* More than any text of ours nests (store, config and descriptors: 6). */
#define UV_JSON_DEPTH_MAX 16

typedef struct {
    size_t offset;      /* of its '{' */
    unsigned n_members; /* its colons */
} UvJsonObject;

typedef struct {
    size_t offset;
    const char *expected; /* static: what should have been there */
} UvJsonFault;

/* The objects (UvJsonObject) in the order they begin; NULL with a fault. */
GArray *uv_json_scan(const char *text, size_t size, UvJsonFault *ret_fault);
/* Where the value of that member begins; the object itself if there is no such member. */
size_t uv_json_find_member(const char *text, size_t size, size_t object_offset, const char *key);
/* Line and column (in characters), both from 1. */
void uv_json_position(const char *text, size_t size, size_t offset, unsigned *ret_line,
                      unsigned *ret_column);
