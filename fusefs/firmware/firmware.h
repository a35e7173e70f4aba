/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * firmware/ of the mount and of each guest: the resolver (descriptors/) for the guests of a fleet.
 *
 * A choice is computed when somebody looks, from the guest's config.json, its pin, its store and
 * the descriptors as they are then, and kept as long as these are the same. Stores are made in a
 * thread of their own, by an explicit act only: a write to firmware/instantiate, or an engine that
 * starts for more than reading.
 */

#include "fleet.h"
#include "virtual.h"

typedef struct FsFirmware FsFirmware;

FsFirmware *fs_firmware_new(const FsOptions *options);
void fs_firmware_free(FsFirmware *firmware);

/* The generated subtrees, borrowed: of a guest, and of the top of the mount. */
const FsVirtual *fs_firmware_guest_tree(const FsFirmware *firmware);
const FsVirtual *fs_firmware_top_tree(const FsFirmware *firmware);

/* FsFleetEvents.engine_starting, with the FsFirmware as its data. */
bool fs_firmware_engine_starting(FsGuest *guest, FsStart why, GPtrArray *arguments, void *data,
                                 GError **error);
/* Makes the guest's store from its choice now. */
void fs_firmware_instantiate(FsFirmware *firmware, FsGuest *guest, FsContinue go_on, void *data);
