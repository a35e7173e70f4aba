/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "mor.h"

#include <string.h>

#define MOR_ATTRIBUTES                                                                             \
    (EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS)
#define MOR_NAME "MemoryOverwriteRequestControl"
#define MOR_LOCK_NAME "MemoryOverwriteRequestControlLock"

enum {
    LOCK_OPEN = 0,
    LOCK_WITHOUT_KEY = 1,
    LOCK_WITH_KEY = 2,
};

#define RULE "2.8"

static void store(UvMorVerdict *verdict, uint8_t value, UvMor next)
{
    verdict->replaces = true;
    verdict->value = value;
    verdict->next = next;
}

static EfiStatus check_open_lock(const uint8_t *payload, size_t payload_bytes,
                                 UvMorVerdict *verdict, UvRefusal *refusal)
{
    if (payload_bytes == UV_MOR_KEY_BYTES) {
        UvMor next = {.locked = true, .has_key = true};
        memcpy(next.key, payload, sizeof(next.key));
        store(verdict, LOCK_WITH_KEY, next);
        return EFI_SUCCESS;
    }
    if (payload[0] != LOCK_OPEN && payload[0] != LOCK_WITHOUT_KEY)
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, RULE, "the MOR lock is 0, 1 or a key");
    store(verdict, payload[0], (UvMor){.locked = payload[0] == LOCK_WITHOUT_KEY});
    return EFI_SUCCESS;
}

/* In a time that does not tell how much of a guess was right. */
static bool same_key(const uint8_t *a, const uint8_t *b)
{
    uint8_t difference = 0;

    for (size_t i = 0; i < UV_MOR_KEY_BYTES; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

static EfiStatus check_closed_lock(const UvMor *mor, const uint8_t *payload, size_t payload_bytes,
                                   UvMorVerdict *verdict, UvRefusal *refusal)
{
    if (!mor->has_key || payload_bytes != UV_MOR_KEY_BYTES)
        return uv_refuse(refusal, EFI_ACCESS_DENIED, RULE, "the MOR lock is closed");
    if (same_key(payload, mor->key)) {
        store(verdict, LOCK_OPEN, (UvMor){0});
        return EFI_SUCCESS;
    }
    /* One guess, then closed for good. */
    store(verdict, LOCK_WITHOUT_KEY, (UvMor){.locked = true});
    verdict->even_on_fail = true;
    verdict->status = uv_refuse(refusal, EFI_ACCESS_DENIED, RULE,
                                "a wrong key for the MOR lock: closed until reset");
    return EFI_SUCCESS;
}

static EfiStatus check_lock(const UvMor *mor, uint32_t attributes, const uint8_t *payload,
                            size_t payload_bytes, UvMorVerdict *verdict, UvRefusal *refusal)
{
    if (attributes == 0 || payload_bytes == 0)
        return uv_refuse(refusal, EFI_WRITE_PROTECTED, RULE, "the MOR lock can't be deleted");
    if (attributes != MOR_ATTRIBUTES || (payload_bytes != 1 && payload_bytes != UV_MOR_KEY_BYTES))
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, RULE,
                         "the MOR lock is 1 or 8 bytes, NV, BS, RT");
    if (mor->absent)
        return uv_refuse(refusal, EFI_WRITE_PROTECTED, RULE, "the firmware has no MOR variable");
    return mor->locked ? check_closed_lock(mor, payload, payload_bytes, verdict, refusal)
                       : check_open_lock(payload, payload_bytes, verdict, refusal);
}

static EfiStatus check_control(const UvMor *mor, uint32_t attributes, size_t payload_bytes,
                               UvRefusal *refusal)
{
    if (attributes != MOR_ATTRIBUTES || payload_bytes != 1)
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, RULE, "MOR is 1 byte, NV, BS, RT");
    if (mor->locked)
        return uv_refuse(refusal, EFI_ACCESS_DENIED, RULE, "the MOR lock is closed");
    if (mor->absent)
        return uv_refuse(refusal, EFI_WRITE_PROTECTED, RULE, "the firmware has no MOR variable");
    return EFI_SUCCESS;
}

EfiStatus uv_mor_check(const UvMor *mor, const UvGate *gate, const uint8_t *payload,
                       size_t payload_bytes, UvMorVerdict *ret_verdict, UvRefusal *refusal)
{
    const UvSetRequest *request = gate->request;
    const bool is_control =
        uv_guid_equal(&request->guid, &uv_guid_mor_control) && uv_name_is(request->name, MOR_NAME);
    const bool is_lock = uv_guid_equal(&request->guid, &uv_guid_mor_lock) &&
                         uv_name_is(request->name, MOR_LOCK_NAME);

    *ret_verdict = (UvMorVerdict){.next = *mor, .status = EFI_SUCCESS};
    if (!is_control && !is_lock)
        return EFI_SUCCESS;
    /* Alone with the store, the host restores what a backup has; a boot starts with an open lock.
     */
    if (!gate->session && request->door == UV_DOOR_HOST)
        return EFI_SUCCESS;
    if (is_lock)
        return check_lock(mor, request->attributes, payload, payload_bytes, ret_verdict, refusal);
    return check_control(mor, request->attributes, payload_bytes, refusal);
}

static void put_open_lock(UvChange *change, const UvName *name)
{
    const UvVariable *old = uv_change_lookup(change, &uv_guid_mor_lock, name);
    const uint8_t value = LOCK_OPEN;
    g_autoptr(GBytes) data = g_bytes_new(&value, sizeof(value));
    const UvVariable fields = {
        .guid = uv_guid_mor_lock,
        .name = (UvName *)name,
        .attributes = MOR_ATTRIBUTES,
        .data = data,
        .mtime_ns = g_get_real_time() * 1000,
    };
    g_autoptr(UvVariable) variable = uv_variable_new(&fields);

    if (!old || old->attributes == MOR_ATTRIBUTES)
        uv_change_put(change, variable);
}

void uv_mor_end_of_dxe(UvMor *mor, UvChange *change)
{
    g_autoptr(UvName) control = uv_name_new_utf8(MOR_NAME, NULL);
    g_autoptr(UvName) lock = uv_name_new_utf8(MOR_LOCK_NAME, NULL);

    *mor = (UvMor){.absent = !uv_change_lookup(change, &uv_guid_mor_control, control)};
    if (mor->absent)
        uv_change_remove(change, &uv_guid_mor_lock, lock);
    else
        put_open_lock(change, lock);
}
