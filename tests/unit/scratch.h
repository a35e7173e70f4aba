/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A temporary folder for one test, and files in it. Failures are assertions. */

#include <glib.h>
#include <stdbool.h>
#include <sys/stat.h>

char *scratch_new(void);
/* Removes it with all that is in it. */
void scratch_free(char *dir /* takes ownership */);
char *scratch_path(const char *dir, const char *name);
void scratch_write(const char *dir, const char *name, const char *text);
/* Its folder is made if need be. */
void scratch_put(const char *dir, const char *name, const char *text);
GBytes *scratch_read(const char *dir, const char *name);
void scratch_expect(const char *dir, const char *name, const char *text);
bool scratch_exists(const char *dir, const char *name);
void scratch_stat(const char *dir, const char *name, struct stat *ret_stat);
/* A file, or a folder and what is in it. */
void scratch_remove(const char *dir, const char *name);
