/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

/*
 * What `name`, no link followed, is in this folder, in one call and without asking any server: true
 * where that is good, and `*ret_result` is 0, -EXDEV (something is mounted there) or another
 * -errno. false: a path of several components, a file system that has a server, or an old kernel:
 * it has to be opened.
 */
bool uv_stat_near(int folder_fd, const char *name, struct stat *ret_stat, int *ret_result);
