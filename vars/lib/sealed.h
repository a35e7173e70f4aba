/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Texts that a process hands to another one, and no process can change any more: sealed memfds. */

#include <stddef.h>
#include <stdint.h>

/* A descriptor, or -errno. */
int uv_sealed_new(const void *bytes, size_t size);
/* How much it holds, or -errno: -EINVAL (it could still be changed), -EFBIG. */
int64_t uv_sealed_size(int memfd, uint64_t max_bytes);
