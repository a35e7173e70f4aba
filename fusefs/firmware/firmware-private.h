/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by firmware.c (what is chosen) and firmware-tree.c (how it shows). */

#include "descriptors.h"
#include "firmware.h"

struct FsFirmware {
    const FsOptions *options;
    DescSet *set; /* NULL: not loaded yet */
    int64_t checked_at;
    FsVirtual guest_tree, top_tree;
};

/* As the files are now; loaded when somebody needs them first. Owned by `firmware`. */
const DescSet *fs_firmware_descriptors(FsFirmware *firmware);
/* Never NULL; one that only says why if config.json is wrong. `ret_store`: what the guest has. */
DescChoice *fs_firmware_choice(FsFirmware *firmware, const FsGuest *guest, DescImage *ret_store);

/* firmware-tree.c */
FsVirtual fs_firmware_make_guest_tree(FsFirmware *firmware);
FsVirtual fs_firmware_make_top_tree(FsFirmware *firmware);
