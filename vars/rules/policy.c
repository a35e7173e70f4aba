/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The table of policies, and what it says of a request. Enforcement can't be disabled: edk2's
 * PcdAllowVariablePolicyEnforcementDisable is false here, as it is by default there.
 */

#include "policy.h"

#include <string.h>

#include "policy-table.h"
#include "uv-limits.h"

#define RULE "2.10.4"

typedef struct {
    UvGuid guid;
    UvName *name;
    UvProperty property;
} PolicyProperty;

static void policy_property_free(gpointer data)
{
    PolicyProperty *property = data;

    uv_name_unref(property->name);
    g_free(property);
}

UvPolicy *uv_policy_new(void)
{
    UvPolicy *policy = g_new0(UvPolicy, 1);

    policy->entries = g_ptr_array_new_with_free_func((GDestroyNotify)policy_entry_free);
    policy->properties = g_ptr_array_new_with_free_func(policy_property_free);
    return policy;
}

void uv_policy_free(UvPolicy *policy)
{
    if (!policy)
        return;
    g_ptr_array_unref(policy->entries);
    g_ptr_array_unref(policy->properties);
    g_clear_pointer(&policy->dump, g_bytes_unref);
    g_free(policy);
}

void uv_policy_clear(UvPolicy *policy)
{
    g_ptr_array_set_size(policy->entries, 0);
    g_ptr_array_set_size(policy->properties, 0);
    policy->entries_bytes = policy->properties_bytes = 0;
    policy->locked = false;
    g_clear_pointer(&policy->dump, g_bytes_unref);
}

const PolicyEntry *policy_best_match(const UvPolicy *policy, const UvGuid *guid, const UvName *name)
{
    const PolicyEntry *best = NULL;
    int best_priority = -1;

    for (guint i = 0; i < policy->entries->len; i++) {
        const PolicyEntry *entry = g_ptr_array_index(policy->entries, i);
        const int priority = policy_entry_match(entry, guid, name);

        if (priority >= 0 && (!best || priority < best_priority)) {
            best = entry;
            best_priority = priority;
        }
    }
    return best;
}

/* A literal name is registered once. A '#' does not match '#', so wildcards are not found here. */
static bool is_registered(const UvPolicy *policy, const PolicyEntry *entry)
{
    g_autoptr(UvName) name = NULL;

    if (entry->name_bytes == 0)
        return false;
    const uint8_t *bytes = g_bytes_get_data(entry->bytes, NULL);
    name = uv_name_new_utf16le(bytes + entry->name_offset, entry->name_bytes / 2 - 1);
    const PolicyEntry *match = policy_best_match(policy, &entry->guid, name);
    return match && policy_entry_match(match, &entry->guid, name) == POLICY_MATCH_EXACT;
}

/* Takes ownership. */
static EfiStatus add_entry(UvPolicy *policy, PolicyEntry *new_entry)
{
    g_autoptr(PolicyEntry) entry = new_entry;
    const size_t size = g_bytes_get_size(entry->bytes);

    if (size > UV_POLICY_TABLE_MAX - policy->entries_bytes)
        return EFI_OUT_OF_RESOURCES;
    policy->entries_bytes += size;
    g_ptr_array_add(policy->entries, g_steal_pointer(&entry));
    return EFI_SUCCESS;
}

EfiStatus uv_policy_register(UvPolicy *policy, const uint8_t *bytes, size_t size)
{
    g_autoptr(PolicyEntry) entry = NULL;

    if (policy->locked)
        return EFI_WRITE_PROTECTED;
    entry = policy_entry_new(bytes, size);
    if (!entry)
        return EFI_INVALID_PARAMETER;
    if (is_registered(policy, entry))
        return EFI_ALREADY_STARTED;
    return add_entry(policy, g_steal_pointer(&entry));
}

EfiStatus uv_policy_lock(UvPolicy *policy)
{
    if (policy->locked)
        return EFI_WRITE_PROTECTED;
    policy->locked = true;
    return EFI_SUCCESS;
}

bool uv_policy_is_locked(const UvPolicy *policy)
{
    return policy->locked;
}

/* VARIABLE_POLICY_ENTRY that only locks; NULL if the name is too long for its u16 size. */
static GBytes *lock_now_entry(const UvGuid *guid, const UvName *name)
{
    const size_t size = POLICY_HEADER_BYTES + uv_name_size_bytes(name);
    g_auto(UvWriter) writer = uv_writer(UINT16_MAX);

    uv_write_u32(&writer, POLICY_VERSION);
    uv_write_u16(&writer, (uint16_t)size);
    uv_write_u16(&writer, POLICY_HEADER_BYTES);
    uv_write_bytes(&writer, guid->bytes, sizeof(guid->bytes));
    uv_write_u32(&writer, 0);
    uv_write_u32(&writer, POLICY_NO_MAX_SIZE);
    uv_write_zeros(&writer, 8); /* no attributes asked for or forbidden */
    uv_write_u8(&writer, POLICY_LOCK_NOW);
    uv_write_zeros(&writer, 3);
    uv_write_bytes(&writer, uv_name_utf16le(name), uv_name_size_bytes(name));
    return uv_writer_steal(&writer);
}

static bool state_is_reached(const PolicyEntry *entry, const UvChange *change)
{
    const UvVariable *state =
        entry->state_name ? uv_change_lookup(change, &entry->state_guid, entry->state_name) : NULL;
    gsize size;

    if (!state)
        return false;
    const uint8_t *data = g_bytes_get_data(state->data, &size);
    return size == 1 && data[0] == entry->state_value;
}

static const char *why_locked(const PolicyEntry *entry, const UvChange *change, const UvGuid *guid,
                              const UvName *name)
{
    switch (entry->lock) {
    case POLICY_LOCK_NOW:
        return "a policy of the firmware locks it";
    case POLICY_LOCK_ON_CREATE:
        return uv_change_lookup(change, guid, name)
                   ? "a policy of the firmware locks it once it exists"
                   : NULL;
    case POLICY_LOCK_ON_VAR_STATE:
        return state_is_reached(entry, change)
                   ? "a policy of the firmware locks it by another variable's value"
                   : NULL;
    case POLICY_NO_LOCK:
        break;
    }
    return NULL;
}

EfiStatus uv_policy_lock_variable(UvPolicy *policy, const UvChange *change, const UvGuid *guid,
                                  const UvName *name)
{
    g_autoptr(GBytes) entry = name ? lock_now_entry(guid, name) : NULL;
    gsize size;

    if (!entry)
        return EFI_INVALID_PARAMETER;
    if (policy->locked)
        return EFI_ACCESS_DENIED;
    const uint8_t *bytes = g_bytes_get_data(entry, &size);
    const EfiStatus status = uv_policy_register(policy, bytes, size);
    if (status != EFI_ALREADY_STARTED)
        return status;
    return why_locked(policy_best_match(policy, guid, name), change, guid, name)
               ? EFI_SUCCESS
               : EFI_ACCESS_DENIED;
}

EfiStatus uv_policy_check(const UvPolicy *policy, const UvChange *change, const UvGuid *guid,
                          const UvName *name, uint32_t attributes, size_t data_bytes,
                          UvRefusal *refusal)
{
    const PolicyEntry *entry = policy_best_match(policy, guid, name);
    const bool deleting = data_bytes == 0 && !(attributes & EFI_VARIABLE_APPEND_WRITE);

    if (!entry)
        return EFI_SUCCESS;
    if (!deleting && (data_bytes < entry->min_bytes || data_bytes > entry->max_bytes))
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, RULE,
                         "a policy of the firmware refuses this size");
    if (!deleting && ((attributes & entry->must_have) != entry->must_have ||
                      (attributes & entry->cant_have) != 0))
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, RULE,
                         "a policy of the firmware refuses these attributes");
    const char *why = why_locked(entry, change, guid, name);
    return why ? uv_refuse(refusal, EFI_WRITE_PROTECTED, RULE, why) : EFI_SUCCESS;
}

size_t uv_policy_count(const UvPolicy *policy)
{
    return policy->entries->len;
}

static PolicyProperty *find_property(const UvPolicy *policy, const UvGuid *guid, const UvName *name)
{
    for (guint i = 0; i < policy->properties->len; i++) {
        PolicyProperty *property = g_ptr_array_index(policy->properties, i);

        if (uv_guid_equal(&property->guid, guid) && uv_name_equal(property->name, name))
            return property;
    }
    return NULL;
}

EfiStatus uv_policy_set_property(UvPolicy *policy, const UvGuid *guid, const UvName *name,
                                 const UvProperty *property)
{
    if (!name || property->revision != UV_PROPERTY_REVISION)
        return EFI_INVALID_PARAMETER;
    PolicyProperty *known = find_property(policy, guid, name);
    if (known) {
        known->property = *property;
        return EFI_SUCCESS;
    }
    const size_t size = sizeof(*known) + uv_name_size_bytes(name);
    if (size > UV_POLICY_TABLE_MAX - policy->properties_bytes)
        return EFI_OUT_OF_RESOURCES;
    known = g_new(PolicyProperty, 1);
    *known = (PolicyProperty){*guid, uv_name_ref(name), *property};
    g_ptr_array_add(policy->properties, known);
    policy->properties_bytes += size;
    return EFI_SUCCESS;
}

const UvProperty *uv_policy_property(const UvPolicy *policy, const UvGuid *guid, const UvName *name)
{
    const PolicyProperty *property = find_property(policy, guid, name);

    return property ? &property->property : NULL;
}

void uv_policy_write(const UvPolicy *policy, UvWriter *writer)
{
    uv_write_u8(writer, policy->locked);
    uv_write_u32(writer, policy->entries->len);
    for (guint i = 0; i < policy->entries->len; i++) {
        const PolicyEntry *entry = g_ptr_array_index(policy->entries, i);

        uv_write_u32(writer, g_bytes_get_size(entry->bytes));
        uv_write_gbytes(writer, entry->bytes);
    }
    uv_write_u32(writer, policy->properties->len);
    for (guint i = 0; i < policy->properties->len; i++) {
        const PolicyProperty *property = g_ptr_array_index(policy->properties, i);
        const size_t units = uv_name_units(property->name);

        uv_write_bytes(writer, property->guid.bytes, sizeof(property->guid.bytes));
        uv_write_u32(writer, units);
        uv_write_bytes(writer, uv_name_utf16le(property->name), 2 * units);
        uv_write_u16(writer, property->property.property);
        uv_write_u32(writer, property->property.attributes);
        uv_write_u64(writer, property->property.min_bytes);
        uv_write_u64(writer, property->property.max_bytes);
    }
}

static bool read_entries(UvPolicy *policy, UvReader *reader)
{
    const uint32_t count = uv_read_u32(reader);

    for (uint32_t i = 0; i < count; i++) {
        const uint32_t size = uv_read_u32(reader);
        const uint8_t *bytes = uv_read_bytes(reader, size);
        PolicyEntry *entry = bytes ? policy_entry_new(bytes, size) : NULL;

        if (!entry || add_entry(policy, entry) != EFI_SUCCESS)
            return false;
    }
    return !reader->failed;
}

static bool read_property(UvPolicy *policy, UvReader *reader)
{
    UvProperty property = {.revision = UV_PROPERTY_REVISION};
    g_autoptr(UvName) name = NULL;
    const UvGuid guid = uv_read_guid(reader);
    const uint32_t units = uv_read_u32(reader);
    const uint8_t *name_bytes = uv_read_bytes(reader, 2 * (size_t)units);

    property.property = uv_read_u16(reader);
    property.attributes = uv_read_u32(reader);
    property.min_bytes = uv_read_u64(reader);
    property.max_bytes = uv_read_u64(reader);
    if (reader->failed)
        return false;
    name = uv_name_new_utf16le(name_bytes, units);
    return name && uv_policy_set_property(policy, &guid, name, &property) == EFI_SUCCESS;
}

bool uv_policy_read(UvPolicy *policy, UvReader *reader)
{
    uv_policy_clear(policy);
    const bool locked = uv_read_u8(reader) != 0;
    if (!read_entries(policy, reader))
        return false;
    const uint32_t properties = uv_read_u32(reader);
    for (uint32_t i = 0; i < properties; i++) {
        if (!read_property(policy, reader))
            return false;
    }
    policy->locked = locked;
    return !reader->failed;
}
