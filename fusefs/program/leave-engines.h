/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Engines with a guest outlive the mount. systemd takes what outlives its service for left over,
 * and logs two lines a process when the service stops and two when it starts again. So where the
 * calling process is a service's main one, all others in its control group get a scope of their own
 * when it ends. Without systemd, and where it refuses, they stay where they are.
 */
void fs_leave_engines(void);
