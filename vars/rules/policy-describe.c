/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A policy in words, for people who read status.json. */

#include "policy-table.h"

static char *name_text(const PolicyEntry *entry)
{
    const uint8_t *bytes = g_bytes_get_data(entry->bytes, NULL);
    g_autoptr(UvName) name = NULL;

    if (entry->name_bytes > 2)
        name = uv_name_new_utf16le(bytes + entry->name_offset, entry->name_bytes / 2 - 1);
    return name ? uv_name_to_utf8(name) : g_strdup("*");
}

static void append_lock(GString *text, const PolicyEntry *entry)
{
    switch (entry->lock) {
    case POLICY_NO_LOCK:
        g_string_append(text, "not locked");
        break;
    case POLICY_LOCK_NOW:
        g_string_append(text, "locked");
        break;
    case POLICY_LOCK_ON_CREATE:
        g_string_append(text, "locked once it exists");
        break;
    case POLICY_LOCK_ON_VAR_STATE: {
        g_autofree char *name =
            entry->state_name ? uv_name_to_utf8(entry->state_name) : g_strdup("");
        char guid[UV_GUID_TEXT_BYTES + 1];

        uv_guid_format(&entry->state_guid, guid);
        g_string_append_printf(text, "locked while %s-%s is %u", name, guid, entry->state_value);
        break;
    }
    }
}

char *uv_policy_describe(const UvPolicy *policy, size_t i)
{
    const PolicyEntry *entry = g_ptr_array_index(policy->entries, i);
    g_autofree char *name = name_text(entry);
    char guid[UV_GUID_TEXT_BYTES + 1];
    GString *text = g_string_new(NULL);

    uv_guid_format(&entry->guid, guid);
    g_string_append_printf(text, "%s-%s: ", name, guid);
    append_lock(text, entry);
    if (entry->min_bytes > 0)
        g_string_append_printf(text, ", at least %u bytes", entry->min_bytes);
    if (entry->max_bytes != POLICY_NO_MAX_SIZE)
        g_string_append_printf(text, ", at most %u bytes", entry->max_bytes);
    if (entry->must_have != 0)
        g_string_append_printf(text, ", attributes with 0x%x", entry->must_have);
    if (entry->cant_have != 0)
        g_string_append_printf(text, ", attributes without 0x%x", entry->cant_have);
    return g_string_free(text, FALSE);
}
