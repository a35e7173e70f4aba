/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared by firmware.c (stores), kept-choice.c (what is chosen) and firmware-tree.c (how it shows).
 */

#include "descriptors.h"
#include "firmware.h"

struct FsFirmware {
    const FsOptions *options;
    DescSet *set;      /* NULL: not loaded yet */
    int64_t looked_at; /* when it was compared with the files; 0: do it again */
    GHashTable *kept;  /* a guest's sequence -> FsKept, which borrow from `set`; NULL: none */
    FsVirtual guest_tree, top_tree;
};

/* Which file, and as it was when; all zeros: there is none. Compared by its bytes. */
typedef struct {
    uint64_t device, inode, bytes;
    int64_t mtime_ns, ctime_ns;
} FsIdentity;

/* What a choice is made from, beside the descriptor set. */
typedef struct {
    FsIdentity config, pin, store;
} FsBasis;

typedef struct {
    uint64_t sequence; /* the guest's */
    FsBasis basis;
    int64_t looked_at;  /* when the basis was seen to be as it is; 0: look again */
    DescChoice *choice; /* never NULL; one that only says why if config.json is wrong */
    DescImage store;
    char *store_path; /* as fs_guest_store_path() gave it */
    int64_t mtime_ns; /* of what the choice was made from */
} FsKept;

/* As the files are now; loaded when somebody needs them first. Owned by `firmware`. */
const DescSet *fs_firmware_descriptors(FsFirmware *firmware);
/* config.json as it is now. */
DescWish *fs_firmware_read_wish(const FsGuest *guest, GError **error);

/* kept-choice.c */
/* Owned by `firmware`, until it is asked the next time. */
const FsKept *fs_firmware_choice(FsFirmware *firmware, const FsGuest *guest);
/* Of what the choice was made from, as of the last look: whoever asks for times looked before. */
int64_t fs_firmware_mtime_ns(FsFirmware *firmware, const FsGuest *guest);
/* What is asked next is compared with the files before it is answered; NULL: the descriptors only.
 */
void fs_firmware_refresh(FsFirmware *firmware, const FsGuest *guest);
void fs_kept_clear(FsFirmware *firmware);

/* firmware-tree.c */
FsVirtual fs_firmware_make_guest_tree(FsFirmware *firmware);
FsVirtual fs_firmware_make_top_tree(FsFirmware *firmware);
