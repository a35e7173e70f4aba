/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Changing the variables of a flash image as edk2's UpdateVariable and Reclaim do (Variable.c).
 *
 * An update, with what must be durable before the next line:
 *
 *   1. old record: in deleted transition      2. new record behind the last one, state 0xff
 *   ------------------------------------------------------------------------ first barrier
 *   3. new record: added
 *   ------------------------------------------------------------------------ second barrier, done
 *   4. old record: deleted (durable with the next change, or when things are quiet)
 *
 * At any moment a reader finds the old value or the new one. A deletion is one state and one
 * barrier. Where the next change is to the same variable at once, step 4 is written in one piece
 * with its step 1, if both states are in one sector, and gets a barrier of its own otherwise: two
 * records of one variable in transition would leave edk2's Reclaim with the older one.
 *
 * A change of several variables (a key and SecureBootEnable, certdb and the variable it is for) is
 * all written before the first barrier and then added one by one in the change's order, with a
 * barrier each: what a crash leaves is the first so many of them, as with edk2, which makes one
 * SetVariable of each. The maker of such a change puts first what may stand alone.
 *
 * When the log is full, torn, or a fault tolerant write is in progress, the store is reclaimed: the
 * visible records in their order, then the change's, added. How the new store gets into its place
 * is the caller's: by a new file, or in place through the spare area (flash-ftw.h).
 */

#include "flash-ftw.h"
#include "flash-records.h"
#include "varset.h"

typedef struct UvFlash UvFlash;

/* Makes `store` (layout->store_bytes) the variable store, durably and all or nothing. */
typedef bool (*UvFlashReclaim)(UvFlash *flash, const uint8_t *store, void *data, GError **error);

/* Reads the image; borrows it. */
UvFlash *uv_flash_open(UvImage *image, GError **error);
void uv_flash_free(UvFlash *flash);
void uv_flash_set_reclaim(UvFlash *flash, UvFlashReclaim reclaim, void *data);
/* The same bytes, reached in another way from now on; borrows it. */
void uv_flash_set_image(UvFlash *flash, UvImage *image);

const UvFlashLayout *uv_flash_layout(const UvFlash *flash);
/* Why it must not be written, with an offset; NULL: it may. */
const char *uv_flash_damage(const UvFlash *flash);
/* Left behind by a crash: reclaimed before the next change. */
bool uv_flash_unfinished(const UvFlash *flash);
/* Where in the image records lie that neither the firmware nor we see, and that the next change
 * drops; 0: there are none. */
uint64_t uv_flash_hidden_at(const UvFlash *flash);
GPtrArray *uv_flash_variables(const UvFlash *flash);
/* What the variable store can hold, in bytes of records. */
size_t uv_flash_capacity_bytes(const UvFlash *flash);

bool uv_flash_apply(UvFlash *flash, const UvChange *change, GError **error);
/* Replaces all variables by the non-volatile ones of `set`. */
bool uv_flash_replace(UvFlash *flash, const UvVarset *set, GError **error);
/* Makes the last step 4 durable. */
bool uv_flash_settle(UvFlash *flash, GError **error);

/* A reclaim in place, through the spare area. */
bool uv_flash_reclaim_in_place(UvFlash *flash, const uint8_t *store, void *data, GError **error);
/* Puts `store` into a copy of the image, which no other program reads before it is whole. */
bool uv_flash_write_copy(UvFlash *flash, UvImage *copy, const uint8_t *store, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvFlash, uv_flash_free)
