/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * firmware/ of the mount and of each guest: the resolver (descriptors/) for the guests of a fleet.
 *
 * A choice is made when a user looks, from the guest's config.json, its pin, what its store is
 * and the descriptors, and kept as long as all four are the same. Stores are made by an explicit
 * act only: a write to firmware/instantiate, or an engine that starts for more than reading.
 */

#include "fleet.h"
#include "virtual.h"

typedef struct {
    char **descriptors; /* NULL: the standard search path */
    char **templates;   /* NULL: the descriptors' own folders */
} FsFirmwareOptions;

/* What descriptors are read from: a front must be able to. The caller's. */
char **fs_firmware_folders(const FsFirmwareOptions *options);
FsFirmware *fs_firmware_new(const FsFirmwareOptions *options);
/* Whose guests; before anything is asked of it. */
void fs_firmware_attach(FsFirmware *firmware, FsFleet *fleet);
void fs_firmware_free(FsFirmware *firmware);
/* The descriptors are loaded, as they are now: `ready` is called at once, or when they are. */
void fs_firmware_prepare(FsFirmware *firmware, void (*ready)(void *data), void *data);
/* What is asked next is compared with the descriptors' files before it is answered: before a folder
 * is listed, a file opened, and where nothing was found. */
void fs_firmware_refresh(FsFirmware *firmware);

/* The generated subtrees, borrowed: of a guest, and of the top of the mount. */
const FsVirtual *fs_firmware_guest_tree(const FsFirmware *firmware);
const FsVirtual *fs_firmware_top_tree(const FsFirmware *firmware);

/* FsFleetEvents.engine_starting, with the FsFirmware as its data. */
bool fs_firmware_engine_starting(FsGuest *guest, FsStart why, FsEngineWish *wish, void *data,
                                 GError **error);
/* Makes the guest's store from its choice now; its needs (FsVirtual) are current. `anew`: also
 * where it has one, which is kept as FILE.before-load. */
void fs_firmware_instantiate(FsFirmware *firmware, FsGuest *guest, bool anew, FsContinue go_on,
                             void *data);
/* Whether this may be a config.json; the error names the key. */
bool fs_firmware_check_config(GBytes *text, GError **error);
