/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "policy-entry.h"

#include <string.h>

/* A run of UTF-16 that ends with its only NUL, at its very end. */
static bool is_terminated(const uint8_t *bytes, size_t size)
{
    if (size < 2 || size % 2 != 0)
        return false;
    for (size_t i = 0; i < size - 2; i += 2) {
        if (bytes[i] == 0 && bytes[i + 1] == 0)
            return false;
    }
    return bytes[size - 2] == 0 && bytes[size - 1] == 0;
}

static size_t count_wildcards(const uint8_t *name, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i += 2)
        count += name[i] == '#' && name[i + 1] == 0;
    return count;
}

static bool read_header(PolicyEntry *entry, UvReader *reader, size_t size)
{
    const uint32_t version = uv_read_u32(reader);
    const uint16_t stated_size = uv_read_u16(reader);

    entry->name_offset = uv_read_u16(reader);
    const uint8_t *guid = uv_read_bytes(reader, sizeof(entry->guid.bytes));
    entry->min_bytes = uv_read_u32(reader);
    entry->max_bytes = uv_read_u32(reader);
    entry->must_have = uv_read_u32(reader);
    entry->cant_have = uv_read_u32(reader);
    const uint8_t lock = uv_read_u8(reader);
    uv_read_bytes(reader, 3);
    if (reader->failed || version != POLICY_VERSION || stated_size != size ||
        entry->max_bytes == 0 || entry->min_bytes > entry->max_bytes ||
        lock > POLICY_LOCK_ON_VAR_STATE)
        return false;
    memcpy(entry->guid.bytes, guid, sizeof(entry->guid.bytes));
    entry->lock = lock;
    return true;
}

static bool read_state(PolicyEntry *entry, UvReader *reader)
{
    const size_t fixed = POLICY_HEADER_BYTES + POLICY_STATE_BYTES;
    const uint8_t *guid = uv_read_bytes(reader, sizeof(entry->state_guid.bytes));

    entry->state_value = uv_read_u8(reader);
    uv_read_u8(reader);
    if (reader->failed || entry->name_offset < fixed)
        return false;
    memcpy(entry->state_guid.bytes, guid, sizeof(entry->state_guid.bytes));
    entry->state_name_bytes = entry->name_offset - fixed;
    const uint8_t *name = uv_read_bytes(reader, entry->state_name_bytes);
    if (!name || !is_terminated(name, entry->state_name_bytes))
        return false;
    entry->state_name = uv_name_new_utf16le(name, entry->state_name_bytes / 2 - 1);
    return true;
}

static bool read_name(PolicyEntry *entry, UvReader *reader)
{
    entry->name_bytes = reader->left;
    if (entry->name_bytes == 0)
        return true;
    const uint8_t *name = uv_read_bytes(reader, entry->name_bytes);
    return is_terminated(name, entry->name_bytes) &&
           count_wildcards(name, entry->name_bytes) <= POLICY_MATCH_NAMESPACE;
}

PolicyEntry *policy_entry_new(const uint8_t *bytes, size_t size)
{
    g_autoptr(PolicyEntry) entry = g_new0(PolicyEntry, 1);
    UvReader reader = uv_reader(bytes, size);

    if (!read_header(entry, &reader, size))
        return NULL;
    if (entry->lock == POLICY_LOCK_ON_VAR_STATE) {
        if (!read_state(entry, &reader))
            return NULL;
    } else if (entry->name_offset != POLICY_HEADER_BYTES) {
        return NULL;
    }
    if (!read_name(entry, &reader))
        return NULL;
    entry->bytes = g_bytes_new(bytes, size);
    return g_steal_pointer(&entry);
}

void policy_entry_free(PolicyEntry *entry)
{
    if (!entry)
        return;
    g_clear_pointer(&entry->bytes, g_bytes_unref);
    g_clear_pointer(&entry->state_name, uv_name_unref);
    g_free(entry);
}

static bool is_hex_digit(uint16_t unit)
{
    return unit < 0x80 && g_ascii_isxdigit((char)unit);
}

int policy_entry_match(const PolicyEntry *entry, const UvGuid *guid, const UvName *name)
{
    const size_t units = name ? uv_name_units(name) : 0;
    const uint8_t *asked = name ? uv_name_utf16le(name) : NULL;
    int priority = POLICY_MATCH_EXACT;

    if (!uv_guid_equal(&entry->guid, guid))
        return -1;
    if (entry->name_bytes == 0)
        return POLICY_MATCH_NAMESPACE;
    if (units != entry->name_bytes / 2 - 1)
        return -1;
    const uint8_t *pattern =
        (const uint8_t *)g_bytes_get_data(entry->bytes, NULL) + entry->name_offset;
    for (size_t i = 0; i < units; i++) {
        const uint16_t want = pattern[2 * i] | pattern[2 * i + 1] << 8;
        const uint16_t unit = asked[2 * i] | asked[2 * i + 1] << 8;

        /* As edk2: '#' stands for a digit only, not for itself. */
        if (want == '#') {
            if (!is_hex_digit(unit))
                return -1;
            priority++;
        } else if (want != unit) {
            return -1;
        }
    }
    return MIN(priority, POLICY_MATCH_NAMESPACE);
}
