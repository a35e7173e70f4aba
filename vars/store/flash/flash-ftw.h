/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * edk2's fault tolerant write (FaultTolerantWriteDxe): how the variable store is replaced where it
 * is, so that a crash leaves the old content or the new one.
 *
 * The working block has a header with a CRC and a queue of writes; each write is a header and one
 * record, whose flag bits are cleared one after the other:
 *
 *   header allocated, writes allocated   the record may be filled in
 *   spare complete                       the new content is whole in the spare area
 *   destination complete                 it has been copied to its place
 *   complete                             over and done with; the next one comes behind it
 *
 * Between "spare complete" and "destination complete" the spare area is what counts, and the
 * program that opens the image next finishes the copy. Before that, the write is dropped.
 */

#include "flash-layout.h"

typedef struct {
    bool valid;   /* a working block whose header is as it should be */
    bool pending; /* the spare area is to be copied to the target */
    bool open;    /* a write that was begun and has nothing in the spare area */
    uint64_t target_offset;
    uint32_t target_bytes;
    uint32_t
        write_at; /* in the working block: the pending or open write; else where the next goes */
    uint32_t record_at;
} UvFtw;

/* An operation that can't be understood is UV_STORE_ERROR_PARSE, with the offset. */
bool uv_ftw_read(UvImage *image, const UvFlashLayout *layout, UvFtw *ret_ftw, GError **error);
/* Reads as if the pending write were finished. */
bool uv_ftw_read_through(UvImage *image, const UvFlashLayout *layout, const UvFtw *ftw,
                         uint64_t offset, void *bytes, size_t size, GError **error);
/* Finishes the pending write, or drops the open one; then nothing is in progress. */
bool uv_ftw_settle(UvImage *image, const UvFlashLayout *layout, UvFtw *ftw, GError **error);
/* Makes an empty working block in an erased one. */
bool uv_ftw_format(UvImage *image, const UvFlashLayout *layout, GError **error);
/* The spare area can take the variable store. */
bool uv_ftw_usable(const UvFlashLayout *layout);
/* Replaces the variable store by `store` (its whole size) in place. Nothing may be in progress. */
bool uv_ftw_write(UvImage *image, const UvFlashLayout *layout, UvFtw *ftw, const void *store,
                  GError **error);
