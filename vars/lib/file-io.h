/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Reading and writing all of it: short reads and writes are continued, interrupted ones are tried
 * again. Callers say in their own words what failed.
 */

#include <glib.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Up to `size` bytes, fewer only where the file ends: how many, or -errno. */
ssize_t uv_read_all(int fd, void *bytes, size_t size);
/* The same, from `offset` on. */
ssize_t uv_pread_all(int fd, void *bytes, size_t size, uint64_t offset);
/* At most `max` bytes from the file's beginning, whatever comes behind them. 0 or -errno. */
int uv_read_begin(int fd, size_t max, GBytes **ret_bytes);
/* From where `fd` stands to the end, at most `max` bytes: 0, or -errno (-EFBIG: more is there). */
int uv_read_to_end(int fd, size_t max, GBytes **ret_bytes);

/* Exactly these bytes: 0, or -errno (some of them may then have been written). */
int uv_write_all(int fd, const void *bytes, size_t size);
/* The same, from `offset` on. */
int uv_pwrite_all(int fd, const void *bytes, size_t size, uint64_t offset);
/* Exactly these bytes of another file, in whatever file system that is: 0, or -errno (-EIO: it has
 * not so many). */
int uv_copy_range(int from_fd, int fd, uint64_t begin, uint64_t end);
