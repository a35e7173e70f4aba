/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The store of a flash image: flash-write.h's editor, the file it is in, and its locks.
 *
 * Reading holds no lock at all. The first write of a burst takes the lock file and whatever keeps
 * others from writing the image (QEMU's lock bytes, or qemu-storage-daemon's own), looks whether
 * the image is still what was read, and lets go 200 ms after the last write. How the image's bytes
 * are reached and kept from others is the backing's affair.
 */

#include "flash-write.h"
#include "store.h"

typedef struct FlashStore FlashStore;

typedef struct {
    const char *format;
    /* Sets store->image, for reading; without a lock that hinders anybody. */
    bool (*open)(FlashStore *flash, GError **error);
    /* After reading: what need not stay. */
    void (*idle)(FlashStore *flash);
    /* Sets store->image, for writing, and keeps all others from it. */
    bool (*lock)(FlashStore *flash, GError **error);
    /* Lets go of it; what was written is durable. */
    void (*unlock)(FlashStore *flash);
    /* Of the file, while it is locked. */
    bool (*stat)(FlashStore *flash, struct stat *ret_stat);
    /* Who keeps us from writing, as far as can be seen; NULL: nobody, or not to be seen. */
    char *(*holder)(FlashStore *flash);
    /* Puts a reclaimed store into its place. */
    UvFlashReclaim reclaim; /* its data is the FlashStore */
    void (*free)(FlashStore *flash);
} FlashBacking;

struct FlashStore {
    UvStore store;
    UvStoreOps ops;
    const FlashBacking *backing;
    void *backing_data;
    bool asked_read_only;
    UvImage *image; /* owned */
    UvFlash *flash;
    int lock_fd;          /* the lock file, while locked; -1 */
    int64_t quiet_at_us;  /* when the burst is over; 0: no burst */
    int64_t settle_at_us; /* when the last deletion is made durable; 0: it is */
    int64_t times_at_us;  /* when the variables' times are to be kept; 0: they are */
};

UvStore *uv_store_flash_new(UvFolder *folder /* takes ownership */, const UvStoreOptions *options,
                            const FlashBacking *backing, void *backing_data, GError **error);
/* A whole copy, with holes where there are only zeros. */
bool uv_store_flash_copy(UvImage *from, int to_fd, const char *to_name, GError **error);
/* A container; started by uv_store_flash_open(). */
UvStore *uv_store_qcow2_open(UvFolder *folder, const UvStoreOptions *options, GError **error);
