/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The store of a flash image: flash-write.h's editor, the file it is in, and its locks.
 *
 * Reading holds no lock at all. The first write of a burst takes the lock file and whatever keeps
 * others from writing the image (QEMU's lock bytes, or qemu-storage-daemon's own), looks whether
 * the image is still what was read, and lets go 200 ms after the last write. On shared storage the
 * lock file is held for as long as the guest is here. How the image's bytes
 * are reached and kept from others is the backing's affair.
 */

#include "flash-write.h"
#include "store.h"

typedef struct FlashStore FlashStore;

typedef struct {
    const char *format;
    /* Sets store->image, for reading; without a lock that hinders another program. */
    bool (*open)(FlashStore *flash, GError **error);
    /* After reading: what need not stay. */
    void (*idle)(FlashStore *flash);
    /* Sets store->image, for writing, and keeps all others from it. */
    bool (*lock)(FlashStore *flash, GError **error);
    /* Lets go of it; what was written is durable. */
    void (*unlock)(FlashStore *flash);
    /* Of the file, while it is locked. */
    bool (*stat)(FlashStore *flash, struct stat *ret_stat);
    /* The program that keeps the engine from writing, as far as can be seen; NULL: none, or not to
     * be seen. */
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
    bool pinned;             /* the lock stays when a burst is over (shared storage, acquired) */
    uint64_t kept_hidden_at; /* of records that the write under way drops: the image was kept */
    int64_t quiet_at_us;     /* when the burst is over; 0: no burst */
    int64_t settle_at_us;    /* when the last deletion is made durable; 0: it is */
    int64_t times_at_us;     /* when the variables' times are to be kept; 0: they are */
};

UvStore *uv_store_flash_new(UvFolder *folder /* takes ownership */, const UvStoreOptions *options,
                            const FlashBacking *backing, void *backing_data, GError **error);
/* A whole copy, with holes where there are only zeros. */
bool uv_store_flash_copy(UvImage *from, int to_fd, const char *to_name, GError **error);

/* store-flash.c, for store-flash-burst.c */
/* Sets lock_holder and read_only_reason anew, between two bursts. */
void uv_store_flash_look_for_holder(FlashStore *flash);
/* Reads the image, and says what is to be said of it. */
bool uv_store_flash_read(FlashStore *flash, GError **error);

/* store-flash-burst.c */
/* Nothing to do if one is under way. UV_STORE_ERROR_CHANGED if the image is not what was read. */
bool uv_store_flash_begin(FlashStore *flash, GError **error);
void uv_store_flash_end(FlashStore *flash);
/* The lock file is ours until uv_store_flash_unpin(), bursts or not. */
bool uv_store_flash_pin(FlashStore *flash, GError **error);
void uv_store_flash_unpin(FlashStore *flash);
void uv_store_flash_settle(FlashStore *flash);
/* The file's identity, while it is locked. */
void uv_store_flash_remember(FlashStore *flash);
/* The same UvVariable in the same order. */
bool uv_store_flash_same(const GPtrArray *a, const GPtrArray *b);
