/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A fleet with one guest, over a source that says of everything that it can't be done; but of a
 * connection to the engine it can give one. */

#include "fleet-private.h"

/* Always the same; nothing of it is logged. */
FsFleet *fake_fleet(void);
/* What was asked is answered. `connection` (taken; -1: none) is for the first FS_ASK_CONNECT. */
void fake_answer_all(FsFleet *fleet, int connection);
/* The guest's, on that descriptor (taken), past its HELLO; -1: it has none. */
FsEngine *fake_engine(FsFleet *fleet, int fd);
/* Nothing but file names and contents, or their sizes; its sums are right. Aborts otherwise. */
void fake_check_replica(const FsReplica *replica);
/* An input as frames: a byte for the type (which of `types`, and the cookie), u16 length and the
 * payload, again and again; what is left over stays raw. NULL: too much. */
GBytes *fake_frames(const uint16_t *types, size_t n_types, const uint8_t *data, size_t size);
