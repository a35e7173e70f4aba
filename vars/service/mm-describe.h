/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What an MM message asked for and what it was answered, for who watches a guest. Decides nothing:
 * mm.c has handled the message already, and a message that it refused is described as far as it
 * makes sense.
 */

#include "name.h"

typedef struct {
    const char *function; /* never NULL; "Unknown" and "Malformed" too; static */
    bool has_number;      /* of a function that has no name here */
    bool has_variable, has_next, has_attributes, has_size, has_reply_size, has_status, has_query;
    uint64_t number;
    UvName *name; /* NULL: the empty name, or none that could be read */
    UvGuid guid;  /* of the variable; of the handler, where that is unknown */
    UvName *next; /* GetNextVariableName: what it found */
    UvGuid next_guid;
    uint32_t attributes;
    uint64_t size_bytes;  /* of the data that came; GetVariable, GetNextVariableName: the room */
    uint64_t reply_bytes; /* of the data (name) that there is */
    uint64_t status;      /* EFI_STATUS as it stands in the reply */
    uint64_t maximum_storage_bytes, remaining_storage_bytes, maximum_variable_bytes;
} UvMmDescription;

/* `request` and `reply` are the communicate buffer before and after, `size` bytes each. */
void uv_mm_describe(const uint8_t *request, const uint8_t *reply, size_t size,
                    UvMmDescription *ret_description);
void uv_mm_description_clear(UvMmDescription *description);

/*
 * The same in a word, for counting: what a message asks for, by a small number, of which there are
 * UV_MM_KINDS. Its name is the function's; of all policy commands "VariablePolicy", of the events
 * that others' handlers get their own, else "Unknown" or "Malformed". Static.
 */
#define UV_MM_KINDS 24u
unsigned uv_mm_kind(const uint8_t *request, size_t size);
const char *uv_mm_kind_name(unsigned kind);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UvMmDescription, uv_mm_description_clear)
