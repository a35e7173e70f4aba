/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * As edk2's VarCheckLibSetVariableCheck with VarCheckUefiLib's handler, in its order: read-only,
 * attributes, size, then names and shapes. Deletions are held to read-only alone. A property that
 * the firmware set with function 9 stands in the place of the table's.
 */

#include "varcheck.h"

#include "auth-header.h"
#include "varcheck-table.h"

static UvProperty property_of(const VarcheckRule *rule)
{
    return (UvProperty){
        .revision = UV_PROPERTY_REVISION,
        .property = rule->access != VARCHECK_WRITABLE ? UV_PROPERTY_READ_ONLY : 0,
        .attributes = rule->attributes,
        .min_bytes = rule->min_bytes,
        .max_bytes = rule->max_bytes == UINT32_MAX ? UINT64_MAX : rule->max_bytes,
    };
}

EfiStatus uv_varcheck_property(const UvPolicy *policy, const UvGuid *guid, const UvName *name,
                               UvProperty *ret_property)
{
    const UvProperty *set = name ? uv_policy_property(policy, guid, name) : NULL;
    const VarcheckRule *rule = name ? varcheck_find(guid, name) : NULL;

    if (!name)
        return EFI_INVALID_PARAMETER;
    if (!set && !rule)
        return EFI_NOT_FOUND;
    *ret_property = set ? *set : property_of(rule);
    return EFI_SUCCESS;
}

/* `content` is without authentication header. */
static EfiStatus check_property(const UvSetRequest *request, const UvProperty *property,
                                const UvPayload *content, bool deleting, UvRefusal *refusal)
{
    const uint32_t attributes = request->attributes & ~EFI_VARIABLE_APPEND_WRITE;

    if (property->property & UV_PROPERTY_READ_ONLY)
        return uv_refuse(refusal, EFI_WRITE_PROTECTED, "2.9.1", "the variable is read-only");
    if (deleting)
        return EFI_SUCCESS;
    if (property->attributes != 0 && attributes != property->attributes)
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, "2.9.2",
                         "the variable has other attributes by definition");
    if (content->size != 0 &&
        (content->size < property->min_bytes || content->size > property->max_bytes))
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, "2.9.2",
                         "the variable has another size by definition");
    return EFI_SUCCESS;
}

static EfiStatus check_defined(const UvSetRequest *request, const VarcheckRule *rule, bool known,
                               const UvPayload *content, UvRefusal *refusal)
{
    if ((request->attributes & EFI_VARIABLE_HARDWARE_ERROR_RECORD) &&
        !varcheck_is_hardware_error_record(&request->guid, request->name))
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, "2.9.3",
                         "only HwErrRec#### may be a hardware error record");
    if (!known && varcheck_is_closed(&request->guid))
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, "2.9.3",
                         "the specification defines no such name for this GUID");
    if (rule && rule->shape && content->size != 0 && !rule->shape(content->bytes, content->size))
        return uv_refuse(refusal, EFI_INVALID_PARAMETER, "2.9.2",
                         "the content is not what the specification defines");
    return EFI_SUCCESS;
}

static EfiStatus check(const UvGate *gate, UvRefusal *refusal)
{
    const UvSetRequest *request = gate->request;
    const VarcheckRule *rule = varcheck_find(&request->guid, request->name);
    const UvPayload content = uv_auth_content(request);
    const bool deleting =
        (content.size == 0 && !(request->attributes & EFI_VARIABLE_APPEND_WRITE)) ||
        request->attributes == 0;
    UvProperty property;

    const bool known =
        uv_varcheck_property(gate->policy, &request->guid, request->name, &property) == EFI_SUCCESS;
    if (known) {
        const EfiStatus status = check_property(request, &property, &content, deleting, refusal);
        if (status != EFI_SUCCESS)
            return status;
    }
    return deleting ? EFI_SUCCESS : check_defined(request, rule, known, &content, refusal);
}

static bool is_active(const UvGate *gate)
{
    if (gate->phase->end_of_dxe)
        return true;
    return gate->request->door != UV_DOOR_GUEST && gate->config->varcheck != UV_VARCHECK_EDK2;
}

EfiStatus uv_varcheck_check(const UvChange *change, const UvGate *gate, UvRefusal *refusal)
{
    const UvSetRequest *request = gate->request;
    const VarcheckRule *rule = varcheck_find(&request->guid, request->name);

    if (rule && rule->access == VARCHECK_OWNED)
        return uv_refuse(refusal, EFI_WRITE_PROTECTED, "2.9.1", "the service owns this variable");
    const EfiStatus status = is_active(gate) ? check(gate, refusal) : EFI_SUCCESS;
    if (request->door != UV_DOOR_GUEST && gate->config->varcheck == UV_VARCHECK_OFF)
        return EFI_SUCCESS;
    return status;
}
