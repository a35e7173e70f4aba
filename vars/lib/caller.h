/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Whether the thread is, now, in a system call that makes a name and fails where there is one:
 * mkdir, symlink, link, mknod, or open with O_CREAT and O_EXCL. false also where that can't be seen
 * (another PID namespace, no right to look). Takes a millisecond at most.
 */
bool uv_caller_makes_name(uint32_t thread);
