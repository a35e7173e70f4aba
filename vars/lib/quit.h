/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The end of a forked process that shares its parent's buffers and exit handlers, and what a build
 * that measures coverage (meson's b_coverage) needs there: its counters are written to files by
 * name, which _exit() leaves out and confinement forbids.
 */

#include <stdbool.h>
#include <stdnoreturn.h>

/* As _exit(), with the counters written. */
noreturn void uv_quit(int status);

/* This build counts what it runs: it can't be confined. */
bool uv_is_counting(void);
