/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The journal's own socket, connected before confinement: later a process can neither make a socket
 * nor look up a name. Entries are sent, never waited for: one that the journal has no room for is
 * lost.
 */

#include <glib.h>
#include <stdbool.h>

/* false: no journal is there, or not for us. */
bool uv_journald_open(void);
/* One entry. Values of length -1 are texts. */
void uv_journald_send(const GLogField *fields, gsize n_fields);
