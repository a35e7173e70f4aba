/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The variables that the service itself owns: SetupMode, SecureBoot, SignatureSupport,
 * SecureBootEnable, CustomMode, VendorKeys, VendorKeysNv, AuditMode, DeployedMode (edk2:
 * AuthVariableLibInitialize).
 */

#include "gate.h"

/* Brings the derived (volatile, read-only) ones in line with PK and SecureBootEnable; makes no NV
 * change. */
void uv_modes_derive(UvChange *change, const UvServiceConfig *config);
/* The same where a session goes on: past ExitBootServices SecureBoot is what the OS booted with. */
void uv_modes_resume(UvChange *change, const UvServiceConfig *config, const UvPhase *phase);
/* What edk2 does once a boot: SecureBootEnable made, CustomMode cleared, VendorKeysNv made. */
void uv_modes_boot(UvChange *change, const UvServiceConfig *config);
/* After an accepted change of PK (before ExitBootServices: SecureBootEnable follows, edk2's rule).
 */
void uv_modes_follow(UvChange *change, const UvGate *gate);

/* No PK: keys other than PK are taken unsigned. */
bool uv_modes_is_setup(const UvChange *change);
/* CustomMode is 1; that it waives something needs physical presence too. */
bool uv_modes_is_custom(const UvChange *change);
/* Keys were changed without a signature: VendorKeysNv becomes 0 for good. */
void uv_modes_vendor_keys_changed(UvChange *change);
