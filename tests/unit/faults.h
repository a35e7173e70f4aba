/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Makes the n-th step of a piece of work go wrong. A step is a system call that changes files; the
 * test is linked with --wrap for each of them (see meson.build), the code under test knows nothing.
 */

#include <stdbool.h>

typedef enum {
    FAULT_NONE,
    FAULT_KILL,   /* the process ends before the step */
    FAULT_HALF,   /* a write is done by half, then the process ends */
    FAULT_POWER,  /* what was written and not synced is undone, then the process ends */
    FAULT_ERROR,  /* the step fails with `error`, once */
    FAULT_ERRORS, /* it and all steps after it do, but cutting files off */
} FaultKind;

/* Counts from now on; the step `at` (from 0) goes wrong. */
void faults_set(FaultKind kind, int at, int error);
/* Steps since then. */
int faults_steps(void);
