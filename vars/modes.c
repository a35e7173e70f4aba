/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "modes.h"

void uv_modes_derive(UvChange *change, const UvServiceConfig *config)
{
}

void uv_modes_boot(UvChange *change, const UvServiceConfig *config)
{
}

void uv_modes_follow(UvChange *change, const UvGate *gate)
{
}
