/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is left of root in an engine that runs as root: its files, and nothing else. */

#include <stdint.h>

/* Sets of capabilities: bit CAP_* of each. */
#define UV_CAPABILITIES_NONE 0

/* Takes every other capability out of the bounding set; needs CAP_SETPCAP. 0 or an errno. */
int uv_capabilities_bound(uint64_t kept);
/* No other capability is effective or permitted from now on, and none inheritable or ambient; it
 * gives none that this process does not have. 0 or an errno. */
int uv_capabilities_keep(uint64_t kept);
