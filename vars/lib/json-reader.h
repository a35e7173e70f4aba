/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Takes values out of a text that the gate took (json-gate.h), in the order of the text. The gate
 * answers for the grammar and for what strings hold; a reader never leaves the text, whatever is in
 * it.
 */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    UV_JSON_OBJECT,
    UV_JSON_ARRAY,
    UV_JSON_STRING,
    UV_JSON_NUMBER,
    UV_JSON_WORD, /* true, false, null */
} UvJsonKind;

/* A value: where it begins. Of an object or array that is gone through: how far that is. */
typedef struct {
    const char *text; /* borrowed */
    size_t size, at;  /* in bytes */
} UvJsonReader;

/* The object that the text is. */
UvJsonReader uv_json_reader(const char *text, size_t size);
UvJsonKind uv_json_kind(const UvJsonReader *value);
/*
 * The next member of an object, the next element of an array, and `at` moves behind it; false at
 * the end. To begin with, `at` is a copy of that object or array.
 */
bool uv_json_next_member(UvJsonReader *at, char **ret_name /* to free */, UvJsonReader *ret_value);
bool uv_json_next_element(UvJsonReader *at, UvJsonReader *ret_value);
/* What a string says, for the caller to free. */
char *uv_json_string(const UvJsonReader *value);
/* Of a number that the gate took as a whole one. */
int64_t uv_json_number(const UvJsonReader *value);
