/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The records of a variable store, as edk2 reads them (VariableParsing.c, VariableNonVolatile.c).
 *
 * A store is a log. A record starts on a 4-byte boundary with 0x55aa and a state whose bits are
 * only ever cleared:
 *
 *   0xff header and data being written     0x3f added: this is the variable
 *   0x7f only the header is valid          0x3e in deleted transition: the variable, as long as
 *                                               there is no added one of that name
 *                                          0x3d, 0x3c deleted
 *
 * The log ends where no record starts. Whatever is not 0xff after that is a torn append, and so is
 * a record in state 0xff: edk2 reclaims before it writes again, and so do we. A record in state
 * 0xff has no name and no data for edk2, so the next one may start right after its header. Records
 * may lie behind the end (their predecessor's header never got to the disk, or was spoilt): edk2
 * does not see them, and a reclaim drops them.
 *
 * What edk2's writes cannot have made (an unknown state, a record that ends outside the store) is
 * damage: such a store is served, but never written.
 */

#include "variable.h"

#define UV_FLASH_RECORD_ID 0x55aa
#define UV_FLASH_STATE_OFFSET 2u
#define UV_FLASH_STATE_NONE 0xff
#define UV_FLASH_STATE_HEADER 0x7f
#define UV_FLASH_STATE_ADDED 0x3f
#define UV_FLASH_IN_DELETED_TRANSITION 0xfe /* and */
#define UV_FLASH_DELETED 0xfd               /* and */

typedef struct {
    uint32_t offset; /* from the variable store's header */
    uint32_t bytes;  /* to the next record */
    uint8_t state;
    UvVariable *variable; /* owned; NULL: nothing to see (deleted, unfinished) */
    bool visible;         /* this record is what the variable is */
} UvFlashRecord;

typedef struct {
    GArray *records;     /* of UvFlashRecord, in the order of the log */
    GHashTable *visible; /* the visible record's index, by its variable (borrowed) */
    guint leftovers;     /* records that hold a variable and are not visible */
    uint32_t end;        /* where the next record goes */
    bool torn;           /* bytes behind the end, or an unwritten record: reclaim first */
    uint32_t hidden_at;  /* a finished record behind the end; 0: none */
    bool halfway; /* a variable is one in transition, which few but edk2 and we read: reclaim first
                   */
    char *damage; /* what is wrong, with the offset in the file; NULL: nothing */
} UvFlashScan;

/*
 * Scans a whole variable store (with its header); `file_offset` is where it is in the file, for
 * messages.
 */
void uv_flash_scan(const uint8_t *store, size_t store_bytes, bool authenticated,
                   uint64_t file_offset, UvFlashScan *ret_scan);
void uv_flash_scan_clear(UvFlashScan *scan);
/* The visible variables (UvVariable) in the order of the log. */
GPtrArray *uv_flash_scan_variables(const UvFlashScan *scan);
/* The record that is this variable, or NULL. */
UvFlashRecord *uv_flash_scan_find(const UvFlashScan *scan, const UvGuid *guid, const UvName *name);
/* Adds a record at the end that was written there. */
UvFlashRecord *uv_flash_scan_append(UvFlashScan *scan, const UvVariable *variable, uint32_t bytes);
/* This record is what the variable is from now on. */
void uv_flash_scan_show(UvFlashScan *scan, UvFlashRecord *record);
/* Nothing is left of the variable in this record. */
void uv_flash_scan_drop(UvFlashScan *scan, UvFlashRecord *record);

/* Bytes of the record without padding, and with it. */
size_t uv_flash_record_bytes(const UvVariable *variable, bool authenticated);
#define UV_FLASH_ALIGN(bytes) (((bytes) + 3u) & ~(size_t)3)
/* The record's bytes; no padding. */
GBytes *uv_flash_record_format(const UvVariable *variable, bool authenticated, uint8_t state);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UvFlashScan, uv_flash_scan_clear)
