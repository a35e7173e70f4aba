/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What is left of root in an engine that runs as root: its files, and nothing else. */

/* Takes every capability out of the bounding set; needs CAP_SETPCAP. 0 or an errno. */
int uv_capabilities_bound(void);
/* No effective, permitted, inheritable or ambient capability from now on. 0 or an errno. */
int uv_capabilities_drop(void);
