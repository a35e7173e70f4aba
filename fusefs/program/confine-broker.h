/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a broker gives up before it serves: of root all but becoming the owners of folders and
 * working on their files, and every system call for sockets, signals, mounts and other processes.
 */

#include <glib.h>
#include <stdbool.h>

/* What the kernel lacks is logged; with `strict` (sandbox=strict) it is an error. */
bool fs_broker_confine(bool strict, GError **error);
