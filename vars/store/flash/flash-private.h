/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files that change an image share: flash-write.c, flash-append.c, flash-reclaim.c. */

#include "flash-write.h"

struct UvFlash {
    UvImage *image; /* borrowed */
    UvFlashLayout layout;
    UvFtw ftw;
    UvFlashScan scan;
    uint8_t header[UV_FLASH_STORE_HEADER_BYTES];
    GArray *unsettled; /* of guint: records whose deletion may not be durable yet */
    bool stale;        /* a write failed half-way: read it again first */
    UvFlashReclaim reclaim;
    void *reclaim_data;
};

/* One step of a change, as far as the flash is concerned. */
typedef struct {
    const UvVariable *key;
    const UvVariable *after; /* NULL: a deletion */
    guint old;               /* its record, if has_old */
    bool has_old;
    uint8_t old_state;
    guint with; /* index + 1 of the record whose deletion goes to the disk with step 1 */
    guint new;  /* its record's index + 1, once it is written */
} UvFlashStep;

/* Reads the image. */
bool uv_flash_load(UvFlash *flash, GError **error);
/* Reads it again if it has to be; false if it must not be written. */
bool uv_flash_writable(UvFlash *flash, GError **error);
UvFlashRecord *uv_flash_record_at(const UvFlash *flash, guint index);

/* Bytes that the steps (UvFlashStep) take behind the last record. */
size_t uv_flash_append_bytes(const UvFlash *flash, const GArray *steps);
/* The steps behind the last record; there is room. */
bool uv_flash_append_change(UvFlash *flash, GArray *steps, size_t bytes, GError **error);
/* The steps and a reclaim at once. */
bool uv_flash_reclaim_with(UvFlash *flash, GArray *steps, GError **error);
