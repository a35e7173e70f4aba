/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * QEMU loads a module, looks in it for a function that its own build's modules have
 * (qemu_stamp_...), and drops one without it. No QEMU header is needed here.
 */

#include <stdbool.h>

/* The name that this program looks for, from its constant data; NULL: not found. */
const char *glue_stamp_wanted(void);

/*
 * The function `from` of the object that `inside` lies in is called `to` from now on, of the same
 * length; false: it could not be done, and nothing changed that matters.
 */
bool glue_stamp_rename(const void *inside, const char *from, const char *to);
