/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Landlock, as far as an engine and its keeper need it. The kernel's own header is often older than
 * the kernel, so its constants are stated in landlock.c.
 */

/* The kernel's ABI version, or 0 without Landlock. */
int uv_landlock_abi(void);
/*
 * Denies everything that this kernel's Landlock can deny (files, TCP ports, abstract sockets and
 * signals to others), but for ordinary files beneath `folder_fd` (-1: no exception). Needs
 * no_new_privs. 0 or an errno.
 */
int uv_landlock_confine(int folder_fd);
