/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Authenticated variables (edk2's AuthVariableLib: ProcessVariable): which signature a request
 * needs, whether it has it, and what may be waived. Ends in uv_update_variable() for all that is
 * let through.
 */

#include "gate.h"

/* UV_DOOR_OWNER: whether the owner may act here and now. Other doors pass. */
EfiStatus uv_auth_check_owner(const UvGate *gate, UvRefusal *refusal) G_GNUC_WARN_UNUSED_RESULT;
/* Routes by name: PK, KEK, db-class, SecureBootEnable, CustomMode, private authenticated, plain. */
EfiStatus uv_auth_process(UvChange *change, const UvGate *gate,
                          UvRefusal *refusal) G_GNUC_WARN_UNUSED_RESULT;
