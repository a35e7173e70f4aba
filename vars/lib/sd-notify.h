/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Telling a service manager that the service is usable, as sd_notify(3) describes: a datagram to
 * the socket that $NOTIFY_SOCKET names. A confined process can't open one, so that is done before.
 */

/* A descriptor for uv_ready_tell(); -1: no service manager asks. */
int uv_ready_open(void);
/* Consumes `fd`; a manager that does not listen does not matter. */
void uv_ready_tell(int fd);
