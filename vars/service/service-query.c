/* SPDX-License-Identifier: GPL-2.0-or-later */

/* GetVariable, GetNextVariableName and QueryVariableInfo (rules 2.3). */

#include "service-private.h"
#include "uv-limits.h"

/* After ExitBootServices the guest sees runtime variables only; the host always sees all. */
static bool is_visible(const UvService *service, UvDoor door, const UvVariable *variable)
{
    return door != UV_DOOR_GUEST || !service->phase.exit_boot_services ||
           (variable->attributes & EFI_VARIABLE_RUNTIME_ACCESS);
}

static const UvVariable *find(const UvService *service, UvDoor door, const UvGuid *guid,
                              const UvName *name)
{
    const UvVariable *variable = uv_varset_lookup(service->variables, guid, name);

    return variable && is_visible(service, door, variable) ? variable : NULL;
}

EfiStatus uv_service_get(const UvService *service, UvDoor door, const UvGuid *guid,
                         const UvName *name, UvVariable **ret_variable)
{
    const UvVariable *variable = name ? find(service, door, guid, name) : NULL;

    if (!variable)
        return EFI_NOT_FOUND;
    *ret_variable = uv_variable_ref(variable);
    return EFI_SUCCESS;
}

EfiStatus uv_service_next(const UvService *service, UvDoor door, const UvGuid *guid,
                          const UvName *name, UvVariable **ret_variable)
{
    const UvVariable *at = name ? find(service, door, guid, name) : NULL;

    if (name && !at)
        return EFI_INVALID_PARAMETER;
    do {
        at = at ? uv_varset_next(service->variables, at) : uv_varset_first(service->variables);
    } while (at && !is_visible(service, door, at));
    if (!at)
        return EFI_NOT_FOUND;
    *ret_variable = uv_variable_ref(at);
    return EFI_SUCCESS;
}

static EfiStatus check_query(const UvService *service, uint32_t attributes)
{
    const uint32_t known = EFI_VARIABLE_ATTRIBUTES_MASK & ~EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS;
    const uint32_t asked = attributes & known;
    const bool nv = asked & EFI_VARIABLE_NON_VOLATILE;
    const bool bs = asked & EFI_VARIABLE_BOOTSERVICE_ACCESS;
    const bool rt = asked & EFI_VARIABLE_RUNTIME_ACCESS;

    if (attributes == 0)
        return EFI_INVALID_PARAMETER;
    if ((attributes & EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS) || asked == 0)
        return EFI_UNSUPPORTED;
    if (asked == EFI_VARIABLE_NON_VOLATILE || (rt && !bs))
        return EFI_INVALID_PARAMETER;
    if (service->phase.exit_boot_services && !rt)
        return EFI_INVALID_PARAMETER;
    if ((asked & EFI_VARIABLE_HARDWARE_ERROR_RECORD) && !nv)
        return EFI_INVALID_PARAMETER;
    return EFI_SUCCESS;
}

static UvQueryInfo usage(const UvService *service, bool nv)
{
    const uint64_t limit = nv ? uv_service_limit_bytes(service) : service->config.size_bytes;
    const uint64_t used = uv_varset_used_bytes(service->variables, nv);
    const uint64_t remaining = limit > used ? limit - used : 0;
    const uint64_t whole_records = remaining & ~UINT64_C(3);
    const uint64_t room =
        whole_records > EFI_VARIABLE_RECORD_BYTES ? whole_records - EFI_VARIABLE_RECORD_BYTES : 0;

    return (UvQueryInfo){
        .maximum_storage_bytes = limit,
        .remaining_storage_bytes = remaining,
        .maximum_variable_bytes = MIN(room, UV_VARIABLE_MAX),
    };
}

EfiStatus uv_service_query(const UvService *service, UvDoor door, uint32_t attributes,
                           UvQueryInfo *ret_info)
{
    const EfiStatus status = check_query(service, attributes);

    if (status == EFI_SUCCESS)
        *ret_info = usage(service, attributes & EFI_VARIABLE_NON_VOLATILE);
    return status;
}

UvQueryInfo uv_service_usage(const UvService *service)
{
    return usage(service, true);
}
