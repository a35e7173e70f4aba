/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * JSON text to json-glib's tree by way of the gate, and from an object of the tree back to its
 * lines, so that what is wrong with a value can be told with file and line.
 */

#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "json-gate.h"

typedef struct DescJson DescJson;

/* NULL with "name:line:column: reason" if the text is not as the rules have it. `name` is for
 * messages. */
DescJson *desc_json_parse(const UvJsonRules *rules, const char *name, const char *text, size_t size,
                          GError **error);
void desc_json_free(DescJson *json);
JsonObject *desc_json_root(const DescJson *json);
/* The line where the member's value begins; where the object does if it has no such member. */
unsigned desc_json_line(const DescJson *json, JsonObject *object, const char *member);

/*
 * Members by type. `ret_value` is written when the member is there with the right type; absent is
 * success if not `required`. Else false, with "name:line: member: what was expected".
 */
bool desc_json_string(const DescJson *json, JsonObject *object, const char *member, bool required,
                      const char **ret_value, GError **error);
bool desc_json_bool(const DescJson *json, JsonObject *object, const char *member, bool *ret_value,
                    GError **error);
bool desc_json_uint(const DescJson *json, JsonObject *object, const char *member,
                    uint64_t *ret_value, GError **error);
bool desc_json_object(const DescJson *json, JsonObject *object, const char *member, bool required,
                      JsonObject **ret_value, GError **error);
bool desc_json_array(const DescJson *json, JsonObject *object, const char *member, bool required,
                     JsonArray **ret_value, GError **error);
/* A string that is a word of the table (schema.h): its index. */
bool desc_json_word(const DescJson *json, JsonObject *object, const char *member, bool required,
                    const char *const *table, int *ret_index, GError **error);
/* A string in which `fault_of` (syntax.h) finds no fault; a copy. */
bool desc_json_text(const DescJson *json, JsonObject *object, const char *member, bool required,
                    const char *(*fault_of)(const char *text), char **ret_text, GError **error);
/* Every element must be a string; a new array (g_ptr_array_unref) of copies. */
GPtrArray *desc_json_strings(const DescJson *json, JsonObject *object, const char *member,
                             bool required, GError **error);
/* Sets "name:line: member: text"; returns false, to be returned. */
bool desc_json_fail(const DescJson *json, JsonObject *object, const char *member, GError **error,
                    const char *format, ...) G_GNUC_PRINTF(5, 6);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DescJson, desc_json_free)
