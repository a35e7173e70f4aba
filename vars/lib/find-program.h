/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Where a program of ours is: the first of `places` (NULL-terminated, relative to the folder of the
 * program that runs, as in a build tree) that can be executed, else `installed`. Allocated. */
char *uv_find_program(const char *const *places, const char *installed);
