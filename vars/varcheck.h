/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* VarCheckUefiLib: read-only, attribute and size rules of the globally defined variables
 * (UEFI 2.11). */

#include "service.h"

/* Active after EndOfDxe for the guest; for the host as config's varcheck says. */
EfiStatus uv_varcheck_check(const UvChange *change, const UvGate *gate,
                            UvRefusal *refusal) G_GNUC_WARN_UNUSED_RESULT;
