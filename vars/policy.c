/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "policy.h"

struct UvPolicy {
    bool locked;
};

UvPolicy *uv_policy_new(void)
{
    return g_new0(UvPolicy, 1);
}

void uv_policy_free(UvPolicy *policy)
{
    g_free(policy);
}

void uv_policy_clear(UvPolicy *policy)
{
    *policy = (UvPolicy){0};
}

EfiStatus uv_policy_register(UvPolicy *policy, const uint8_t *entry, size_t size)
{
    return EFI_UNSUPPORTED;
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

bool uv_policy_is_enabled(const UvPolicy *policy)
{
    return true;
}

EfiStatus uv_policy_lock_variable(UvPolicy *policy, const UvGuid *guid, const UvName *name)
{
    return EFI_UNSUPPORTED;
}

EfiStatus uv_policy_check(const UvPolicy *policy, const UvChange *change, const UvGuid *guid,
                          const UvName *name, uint32_t attributes, size_t data_bytes, bool deleting,
                          const char **ret_rule, const char **ret_text)
{
    return EFI_SUCCESS;
}

void uv_policy_message(UvPolicy *policy, bool at_runtime, const uint8_t *request, size_t size,
                       UvWriter *reply)
{
    uv_write_bytes(reply, request, size);
}

size_t uv_policy_count(const UvPolicy *policy)
{
    return 0;
}

EfiStatus uv_policy_set_property(UvPolicy *policy, const UvGuid *guid, const UvName *name,
                                 const UvProperty *property)
{
    return EFI_UNSUPPORTED;
}

const UvProperty *uv_policy_property(const UvPolicy *policy, const UvGuid *guid, const UvName *name)
{
    return NULL;
}

char *uv_policy_describe(const UvPolicy *policy, size_t i)
{
    return NULL;
}

void uv_policy_write(const UvPolicy *policy, UvWriter *writer)
{
    uv_write_u8(writer, policy->locked);
}

bool uv_policy_read(UvPolicy *policy, UvReader *reader)
{
    policy->locked = uv_read_u8(reader) != 0;
    return !reader->failed;
}
