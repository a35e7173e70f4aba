/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by firmware.c (what is chosen) and firmware-tree.c (how it shows). */

#include "descriptors.h"
#include "firmware.h"

struct FsFirmware {
    const FsFirmwareOptions *options;
    DescSet *set;      /* NULL: not loaded yet */
    int64_t looked_at; /* when it was compared with the files */
    FsFleet *fleet;
    GHashTable *images;  /* path -> what is known of the images that descriptors name */
    GPtrArray *unknown;  /* of those: to be asked for */
    unsigned asked;      /* ... and not answered yet */
    bool loading;        /* `set` is not complete */
    GQueue waiters;      /* for the set */
    GHashTable *choices; /* FsResolved of guests, whose choices borrow from `set` */
    FsVirtual guest_tree, top_tree;
};

/* Of one guest, as long as what it was made of is the same. */
typedef struct {
    FsFirmware *firmware;
    uint64_t texts_generation; /* of config.json, the pin, the store's head */
    FsIdentity store;
    DescWish *wish; /* NULL: config.json is wrong */
    char *mistake;  /* how */
    DescChoice *choice;
    DescImage image; /* what the guest's store is */
} FsResolved;

/* What choices are made of: FsVirtual.needs. */
#define FS_FIRMWARE_NEEDS (FS_NEED_CONFIG | FS_NEED_PIN | FS_NEED_HEAD)

/* After fs_firmware_prepare(). Owned by `firmware`. */
const DescSet *fs_firmware_descriptors(FsFirmware *firmware);
/* Its choice is never NULL; one that only says why if config.json is wrong. */
const FsResolved *fs_firmware_resolve(FsFirmware *firmware, FsGuest *guest);

bool fs_firmware_is_prepared(const FsFirmware *firmware);
/* Those borrow from the set. */
void fs_firmware_forget_choices(FsFirmware *firmware);

/* firmware-tree.c */
FsVirtual fs_firmware_make_guest_tree(FsFirmware *firmware);
FsVirtual fs_firmware_make_top_tree(FsFirmware *firmware);
