/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "varcheck.h"

EfiStatus uv_varcheck_check(const UvChange *change, const UvGate *gate, UvRefusal *refusal)
{
    return EFI_SUCCESS;
}

EfiStatus uv_varcheck_property(const UvPolicy *policy, const UvGuid *guid, const UvName *name,
                               UvProperty *ret_property)
{
    return EFI_NOT_FOUND;
}
