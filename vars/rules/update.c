/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "update.h"

#include "auth-header.h"
#include "uv-limits.h"

#include <errno.h>
#include <string.h>

#define ACCESS (EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS)

static bool is_append(const UvUpdate *update)
{
    return update->attributes & EFI_VARIABLE_APPEND_WRITE;
}

static bool is_deletion(const UvUpdate *update)
{
    return (update->data_bytes == 0 && !is_append(update)) || !(update->attributes & ACCESS);
}

static EfiStatus check_runtime(const UvGate *gate, const UvUpdate *update, const UvVariable *old,
                               UvRefusal *refusal)
{
    const uint32_t needed = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_RUNTIME_ACCESS;

    if (!gate->phase->exit_boot_services)
        return EFI_SUCCESS;
    if (old && !uv_variable_is_nv(old))
        return uv_refuse(refusal, EFI_WRITE_PROTECTED, UV_RULE_UPDATE,
                         "a volatile variable is read-only after ExitBootServices");
    if (!old && (update->attributes & needed) != needed)
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, UV_RULE_UPDATE,
                         "after ExitBootServices a new variable must be NV and RT");
    return EFI_SUCCESS;
}

/* A volatile variable lives as long as a guest's session: without one it has no place to be. */
static EfiStatus check_session(const UvGate *gate, const UvUpdate *update, UvRefusal *refusal)
{
    if (gate->session || gate->request->door == UV_DOOR_GUEST ||
        (update->attributes & EFI_VARIABLE_NON_VOLATILE))
        return EFI_SUCCESS;
    return uv_refuse_errno(refusal, EFI_WRITE_PROTECTED, EPERM, "1.8",
                           "a volatile variable without a guest's session");
}

static const uint8_t *new_time(const UvUpdate *update, const UvVariable *old)
{
    static const uint8_t none[EFI_TIME_BYTES];

    if (!(update->attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS))
        return none;
    if (!update->time)
        return old ? old->time : none;
    if (old && is_append(update) && uv_auth_time_not_after(update->time, old->time))
        return old->time;
    return update->time;
}

static GBytes *new_data(const UvUpdate *update, const UvVariable *old)
{
    gsize old_bytes = 0;
    const uint8_t *old_data =
        old && is_append(update) ? g_bytes_get_data(old->data, &old_bytes) : NULL;
    uint8_t *data = g_malloc(old_bytes + update->data_bytes);

    if (old_bytes)
        memcpy(data, old_data, old_bytes);
    if (update->data_bytes)
        memcpy(data + old_bytes, update->data, update->data_bytes);
    return g_bytes_new_take(data, old_bytes + update->data_bytes);
}

static EfiStatus check_size(const UvUpdate *update, const UvVariable *old, UvRefusal *refusal)
{
    const size_t name_bytes = uv_name_size_bytes(update->name);
    const size_t old_bytes = old && is_append(update) ? g_bytes_get_size(old->data) : 0;

    if (name_bytes > UV_VARIABLE_MAX || old_bytes > UV_VARIABLE_MAX - name_bytes ||
        update->data_bytes > UV_VARIABLE_MAX - name_bytes - old_bytes)
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, UV_RULE_UPDATE,
                         "name and data are too large");
    return EFI_SUCCESS;
}

/* A set that is over its limit already (a larger store was loaded) may stay so, but not grow. */
static EfiStatus check_quota(const UvChange *change, const UvGate *gate, const UvVariable *old,
                             const UvVariable *variable, UvRefusal *refusal)
{
    const bool nv = uv_variable_is_nv(variable);
    const size_t limit = nv ? gate->limit_bytes : gate->config->size_bytes;
    const size_t given = old && uv_variable_is_nv(old) == nv ? uv_variable_record_bytes(old) : 0;
    const size_t taken = uv_variable_record_bytes(variable);
    const size_t after = uv_change_used_bytes(change, nv) - given + taken;

    if (after > limit && taken > given)
        return uv_refuse(refusal, EFI_OUT_OF_RESOURCES, UV_RULE_UPDATE, "the storage is full");
    return EFI_SUCCESS;
}

static EfiStatus put(UvChange *change, const UvGate *gate, const UvUpdate *update,
                     const UvVariable *old, UvRefusal *refusal)
{
    EfiStatus status = check_size(update, old, refusal);

    if (status != EFI_SUCCESS)
        return status;
    g_autoptr(GBytes) data = new_data(update, old);
    UvVariable fields = {
        .guid = update->guid,
        .name = (UvName *)update->name,
        .attributes = update->attributes & ~EFI_VARIABLE_APPEND_WRITE,
        .data = data,
        .digest = update->digest,
        .mtime_ns = update->mtime_ns ? update->mtime_ns : g_get_real_time() * 1000,
    };
    memcpy(fields.time, new_time(update, old), sizeof(fields.time));
    g_autoptr(UvVariable) variable = uv_variable_new(&fields);
    status = check_quota(change, gate, old, variable, refusal);
    if (status == EFI_SUCCESS)
        uv_change_put(change, variable);
    return status;
}

/*
 * An append that adds nothing. Its time stamp counts nevertheless, so that nothing older can be
 * replayed after it; for a reader of the file nothing has changed.
 */
static void put_newer_time(UvChange *change, const UvUpdate *update, const UvVariable *old)
{
    UvVariable fields = *old;

    if (!(old->attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS))
        return;
    memcpy(fields.time, new_time(update, old), sizeof(fields.time));
    if (update->digest)
        fields.digest = update->digest;
    g_autoptr(UvVariable) variable = uv_variable_new(&fields);
    uv_change_put(change, variable);
}

EfiStatus uv_update_variable(UvChange *change, const UvGate *gate, const UvUpdate *update,
                             UvRefusal *refusal)
{
    const UvVariable *old = uv_change_lookup(change, &update->guid, update->name);
    EfiStatus status;

    if (!old && is_append(update) && update->data_bytes == 0)
        return EFI_SUCCESS; /* nothing appended to nothing */
    if (!old && is_deletion(update))
        return uv_refuse(refusal, EFI_NOT_FOUND, UV_RULE_UPDATE, "no such variable");
    status = check_runtime(gate, update, old, refusal);
    if (status == EFI_SUCCESS && !is_deletion(update))
        status = check_session(gate, update, refusal);
    if (status != EFI_SUCCESS)
        return status;
    if (is_deletion(update)) {
        uv_change_remove(change, &update->guid, update->name);
        return EFI_SUCCESS;
    }
    if (is_append(update) && update->data_bytes == 0) {
        put_newer_time(change, update, old);
        return EFI_SUCCESS;
    }
    return put(change, gate, update, old, refusal);
}
