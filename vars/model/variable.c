/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "variable.h"

#include "efi-abi.h"

#include <string.h>

typedef struct {
    UvVariable fields; /* first: a UvVariable pointer is a pointer to this */
    grefcount refs;
} Counted;

UvVariable *uv_variable_new(const UvVariable *fields)
{
    Counted *counted = g_new(Counted, 1);

    g_ref_count_init(&counted->refs);
    counted->fields = *fields;
    counted->fields.attributes &= ~EFI_VARIABLE_APPEND_WRITE;
    counted->fields.name = uv_name_ref(fields->name);
    counted->fields.data = fields->data ? g_bytes_ref(fields->data) : g_bytes_new(NULL, 0);
    counted->fields.digest = fields->digest ? g_bytes_ref(fields->digest) : NULL;
    return &counted->fields;
}

UvVariable *uv_variable_ref(const UvVariable *variable)
{
    Counted *counted = (Counted *)variable;

    g_ref_count_inc(&counted->refs);
    return &counted->fields;
}

void uv_variable_unref(UvVariable *variable)
{
    Counted *counted = (Counted *)variable;

    if (!variable || !g_ref_count_dec(&counted->refs))
        return;
    uv_name_unref(variable->name);
    g_bytes_unref(variable->data);
    g_clear_pointer(&variable->digest, g_bytes_unref);
    g_free(counted);
}

bool uv_variable_is_nv(const UvVariable *variable)
{
    return variable->attributes & EFI_VARIABLE_NON_VOLATILE;
}

bool uv_variable_same_key(const UvVariable *a, const UvVariable *b)
{
    return uv_guid_equal(&a->guid, &b->guid) && uv_name_equal(a->name, b->name);
}

static bool same_bytes(GBytes *a, GBytes *b)
{
    return a == b || (a && b && g_bytes_equal(a, b));
}

bool uv_variable_same(const UvVariable *a, const UvVariable *b)
{
    return a == b ||
           (a->attributes == b->attributes && memcmp(a->time, b->time, sizeof(a->time)) == 0 &&
            same_bytes(a->data, b->data) && same_bytes(a->digest, b->digest));
}

size_t uv_variable_record_bytes(const UvVariable *variable)
{
    const size_t bytes = EFI_VARIABLE_RECORD_BYTES + uv_name_size_bytes(variable->name) +
                         g_bytes_get_size(variable->data);

    return (bytes + 3) & ~(size_t)3;
}
