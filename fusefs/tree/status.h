/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The text of status.json. */

#include "fleet.h"

/*
 * What the front knows, and what the engine said (a JSON object; NULL: it did not answer), as one
 * object. Blanks at the ends of its lines make it a multiple of `block` bytes.
 */
GBytes *fs_status_text(FsGuest *guest, GBytes *engine, size_t block);
