/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The system calls that a confined engine and its keeper may make: the allow-lists of uefivarsd(8).
 * Everything else fails with EPERM. Mappings are never executable.
 */

#include <stdbool.h>

/* NULL-terminated, sorted. */
extern const char *const uv_seccomp_engine[];
extern const char *const uv_seccomp_keeper[];

/* 0 or an errno. A name that this architecture does not have is skipped. */
int uv_seccomp_load(const char *const *allowed);
