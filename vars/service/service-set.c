/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * SetVariable: the order of checks (rules 2.1; edk2's VariableServiceSetVariable). Each step
 * either refuses, or lets the request on to the next; what is to happen collects in a UvChange. The
 * runtime rules hold for both doors: between ExitBootServices and the next reset the host may not
 * do behind the guest's back what the guest itself may not.
 */

#include "auth-header.h"
#include "auth.h"
#include "modes.h"
#include "service-private.h"
#include "update.h"
#include "uv-limits.h"
#include "varcheck.h"

#include <string.h>

static EfiStatus check_attributes(uint32_t attributes, UvRefusal *refusal)
{
    const uint32_t aw = attributes & EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS;
    const uint32_t access =
        attributes & (EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS);

    if (attributes & ~EFI_VARIABLE_ATTRIBUTES_MASK)
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, "2.1.3", "an unknown attribute");
    if (access == EFI_VARIABLE_RUNTIME_ACCESS)
        return uv_refuse(refusal, aw ? EFI_UNSUPPORTED : EFI_INVALID_PARAMETER, "2.1.4",
                         "RUNTIME_ACCESS without BOOTSERVICE_ACCESS");
    if ((attributes & ~aw) == EFI_VARIABLE_NON_VOLATILE)
        return uv_refuse(refusal, aw ? EFI_UNSUPPORTED : EFI_INVALID_PARAMETER, "2.1.5",
                         "NON_VOLATILE without an access attribute");
    if (aw)
        return uv_refuse(refusal, EFI_UNSUPPORTED, "2.1.7",
                         "AUTHENTICATED_WRITE_ACCESS is deprecated");
    return EFI_SUCCESS;
}

/* The payload behind EFI_VARIABLE_AUTHENTICATION_2. */
static EfiStatus skip_auth2(const UvSetRequest *request, UvReader *ret_payload, UvRefusal *refusal)
{
    UvAuthHeader header;

    if (!uv_auth_header_parse(request->data, request->data_bytes, &header))
        return uv_refuse(refusal, EFI_SECURITY_VIOLATION, "2.1.8",
                         "no authentication header, or a wrong length in it");
    *ret_payload = uv_reader(header.content.bytes, header.content.size);
    return EFI_SUCCESS;
}

/* Rules 2.1.1 to 2.1.9; `ret_payload` is what would be stored. */
static EfiStatus check_arguments(const UvSetRequest *request, UvReader *ret_payload,
                                 UvRefusal *refusal)
{
    if (!request->name)
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, "2.1.1", "an empty name");
    if (request->data_bytes != 0 && !request->data)
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, "2.1.2", "no data");
    EfiStatus status = check_attributes(request->attributes, refusal);
    if (status != EFI_SUCCESS)
        return status;
    *ret_payload = uv_reader(request->data, request->data_bytes);
    if (request->attributes & EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS)
        status = skip_auth2(request, ret_payload, refusal);
    if (status != EFI_SUCCESS)
        return status;
    const size_t name_bytes = uv_name_size_bytes(request->name);
    if (name_bytes > UV_VARIABLE_MAX || ret_payload->left > UV_VARIABLE_MAX - name_bytes)
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, "2.1.9", "name and data are too large");
    return EFI_SUCCESS;
}

/* Inactive before EndOfDxe, as all of VarCheckLib: the firmware may still do what it needs. */
static EfiStatus check_policy(const UvGate *gate, const UvChange *change, const UvReader *payload,
                              UvRefusal *refusal)
{
    const UvSetRequest *request = gate->request;

    if (!gate->phase->end_of_dxe)
        return EFI_SUCCESS;
    return uv_policy_check(gate->policy, change, &request->guid, request->name, request->attributes,
                           payload->left, refusal);
}

static EfiStatus check_existing(const UvGate *gate, const UvChange *change, UvRefusal *refusal)
{
    const UvSetRequest *request = gate->request;
    const UvVariable *old = uv_change_lookup(change, &request->guid, request->name);

    if (!old)
        return EFI_SUCCESS;
    if (gate->phase->exit_boot_services && !(old->attributes & EFI_VARIABLE_RUNTIME_ACCESS))
        return uv_refuse(refusal, EFI_WRITE_PROTECTED, "2.1.11",
                         "a boot service variable after ExitBootServices");
    if (request->attributes != 0 &&
        (request->attributes & ~EFI_VARIABLE_APPEND_WRITE) != old->attributes)
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, "2.1.12",
                         "attributes are not those of the variable");
    return EFI_SUCCESS;
}

/* Everything after the arguments and MOR. `ret_waived` is what variable checks only told of. */
static EfiStatus check_and_collect(UvChange *change, const UvGate *gate, const UvReader *payload,
                                   UvRefusal *ret_waived, UvRefusal *refusal)
{
    UvRefusal checked = {0};
    EfiStatus status = uv_varcheck_check(change, gate, &checked);

    *(status == EFI_SUCCESS ? ret_waived : refusal) = checked;
    if (status == EFI_SUCCESS)
        status = check_policy(gate, change, payload, refusal);
    if (status == EFI_SUCCESS)
        status = check_existing(gate, change, refusal);
    if (status == EFI_SUCCESS)
        status = uv_auth_process(change, gate, refusal);
    if (status == EFI_SUCCESS)
        uv_modes_follow(change, gate);
    return status;
}

static EfiStatus set_with_mor(UvService *service, UvGate gate, UvReader payload, UvRefusal *refusal)
{
    UvSetRequest request = *gate.request;
    g_autoptr(UvChange) change = uv_change_new(service->variables);
    UvRefusal waived = {0};
    UvMorVerdict mor;

    EfiStatus status = uv_mor_check(&service->mor, &gate, payload.at, payload.left, &mor, refusal);
    if (status != EFI_SUCCESS)
        return status;
    if (mor.replaces) {
        request.data = &mor.value;
        request.data_bytes = sizeof(mor.value);
        gate.request = &request;
        payload = uv_reader(request.data, request.data_bytes);
    }
    status = check_and_collect(change, &gate, &payload, &waived, refusal);
    if (request.only_asks)
        return mor.status != EFI_SUCCESS ? mor.status : status;
    if (status == EFI_SUCCESS)
        status = uv_service_commit(service, change, refusal);
    if (status == EFI_SUCCESS && waived.rule && service->refusal_log)
        service->refusal_log(gate.request, EFI_SUCCESS, &waived, service->refusal_log_data);
    if (status == EFI_SUCCESS || mor.even_on_fail)
        service->mor = mor.next;
    return mor.status != EFI_SUCCESS ? mor.status : status;
}

/* What is written from the host is byte for byte what its file reads already. */
static bool is_there(const UvService *service, const UvSetRequest *request)
{
    if (!request->name || request->attributes == 0)
        return false;
    const UvVariable *old = uv_varset_lookup(service->variables, &request->guid, request->name);
    if (!old || old->attributes != request->attributes ||
        g_bytes_get_size(old->data) != request->data_bytes)
        return false;
    return request->data_bytes == 0 ||
           memcmp(g_bytes_get_data(old->data, NULL), request->data, request->data_bytes) == 0;
}

static UvGate gate_for(const UvService *service, const UvSetRequest *request)
{
    return (UvGate){
        .config = &service->config,
        .phase = &service->phase,
        .policy = service->policy,
        .request = request,
        .limit_bytes = uv_service_limit_bytes(service),
        .session = service->session,
    };
}

static EfiStatus set(UvService *service, const UvSetRequest *request, UvRefusal *refusal)
{
    UvGate gate = gate_for(service, request);
    UvReader payload;

    if (request->door == UV_DOOR_HOST && is_there(service, request))
        return EFI_SUCCESS;
    EfiStatus status = check_arguments(request, &payload, refusal);
    if (status == EFI_SUCCESS)
        status = uv_auth_check_owner(&gate, refusal);
    return status == EFI_SUCCESS ? set_with_mor(service, gate, payload, refusal) : status;
}

/* Deleting what is not there is an answer, not a refusal: firmware does it at every boot. */
static bool is_refusal(EfiStatus status, const UvRefusal *refusal)
{
    return status != EFI_SUCCESS &&
           !(status == EFI_NOT_FOUND && g_strcmp0(refusal->rule, UV_RULE_UPDATE) == 0);
}

EfiStatus uv_service_set(UvService *service, const UvSetRequest *request, UvRefusal *ret_refusal)
{
    UvRefusal refusal = {0};
    const EfiStatus status = set(service, request, &refusal);

    if (status == EFI_SUCCESS)
        refusal = (UvRefusal){0};
    else if (is_refusal(status, &refusal) && service->refusal_log)
        service->refusal_log(request, status, &refusal, service->refusal_log_data);
    if (ret_refusal)
        *ret_refusal = refusal;
    return status;
}

static EfiStatus collect(const UvService *service, UvChange *change, const UvSetRequest *request,
                         UvRefusal *refusal)
{
    const UvGate gate = gate_for(service, request);
    UvRefusal waived = {0};
    UvReader payload;
    EfiStatus status = check_arguments(request, &payload, refusal);

    if (status == EFI_SUCCESS)
        status = uv_auth_check_owner(&gate, refusal);
    if (status == EFI_SUCCESS)
        status = check_and_collect(change, &gate, &payload, &waived, refusal);
    return status;
}

EfiStatus uv_service_set_all(UvService *service, const UvSetRequest *requests, size_t count,
                             size_t *ret_failed, UvRefusal *ret_refusal)
{
    g_autoptr(UvChange) change = uv_change_new(service->variables);
    EfiStatus status = EFI_SUCCESS;

    for (size_t i = 0; i < count && status == EFI_SUCCESS; i++) {
        *ret_failed = i;
        status = collect(service, change, &requests[i], ret_refusal);
        if (status != EFI_SUCCESS && service->refusal_log)
            service->refusal_log(&requests[i], status, ret_refusal, service->refusal_log_data);
    }
    return status == EFI_SUCCESS ? uv_service_commit(service, change, ret_refusal) : status;
}
