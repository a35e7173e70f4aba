/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Plain variables pass; every write to an authenticated one is refused. */

#include "auth.h"

#include "update.h"

EfiStatus uv_auth_process(UvChange *change, const UvGate *gate, UvRefusal *refusal)
{
    const UvSetRequest *request = gate->request;
    const UvVariable *old = uv_change_lookup(change, &request->guid, request->name);
    const uint32_t authenticated = EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS |
                                   EFI_VARIABLE_AUTHENTICATED_WRITE_ACCESS;

    if ((request->attributes & authenticated) || (old && (old->attributes & authenticated))) {
        *refusal = (UvRefusal){"2.7", "authenticated variables can't be written"};
        return EFI_WRITE_PROTECTED;
    }
    const UvUpdate update = {
        .guid = request->guid,
        .name = request->name,
        .attributes = request->attributes,
        .data = request->data,
        .data_bytes = request->data_bytes,
        .mtime_ns = request->mtime_ns,
    };
    return uv_update_variable(change, gate, &update, refusal);
}
