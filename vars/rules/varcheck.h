/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* VarCheckUefiLib: read-only, attribute and size rules of the globally defined variables
 * (UEFI 2.11). */

#include "gate.h"

/* Active after EndOfDxe for the guest; for the host as config's varcheck says: UV_VARCHECK_OFF lets
 * through, with the refusal filled in. */
EfiStatus uv_varcheck_check(const UvChange *change, const UvGate *gate,
                            UvRefusal *refusal) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Function 10: the property that holds for a variable, set by function 9 or from the tables.
 * EFI_NOT_FOUND: none.
 */
EfiStatus uv_varcheck_property(const UvPolicy *policy, const UvGuid *guid, const UvName *name,
                               UvProperty *ret_property) G_GNUC_WARN_UNUSED_RESULT;
