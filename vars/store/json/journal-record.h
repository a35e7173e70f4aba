/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the journal of a JSON store says.
 *
 *   CHANGE   what one request did: items, each a variable put or removed; all or nothing
 *   REPLACE  the same, after everything before was removed
 *   COMPACT  SHA-256 of the text that the file is about to become, and which file has it (of
 * version 0.1: the digest alone) IMAGE    the file's text as it is, and the one that is about to be
 * written over it in place
 */

#include "journal.h"
#include "varset.h"

enum {
    UV_RECORD_CHANGE = 1,
    UV_RECORD_REPLACE = 2,
    UV_RECORD_COMPACT = 3,
    UV_RECORD_IMAGE = 4,
};

/* The non-volatile side of a change; NULL if it has none. */
GBytes *uv_record_of_change(const UvChange *change);
/* The non-volatile variables of a set, for REPLACE. */
GBytes *uv_record_of_set(const UvVarset *set);
GBytes *uv_record_of_compaction(const UvDigest *digest, const UvFileId *file);
GBytes *uv_record_of_image(GBytes *old_text, GBytes *new_text);

/* Does a CHANGE or REPLACE to `set`; COMPACT and IMAGE change nothing. false: not a record of ours
 * (the set may be changed in part). */
bool uv_record_replay(const UvRecord *record, UvVarset *set);
/* `ret_file` has no inode if the record names none. */
bool uv_record_read_compaction(const UvRecord *record, UvDigest *ret_digest, UvFileId *ret_file);

typedef struct {
    const uint8_t *old_text, *new_text; /* borrowed */
    size_t old_size, new_size;
} UvRecordImage;
bool uv_record_read_image(const UvRecord *record, UvRecordImage *ret_image);
/*
 * Whether `text` is what unfinished writings in place can leave: each sector is, for one of the
 * `n_images` (at least one, the latest last), the new text up to some byte and then the old one,
 * and the size is between the least and the most of theirs. After a sync that failed it is not
 * known what of its writing is on the disk, so sectors of an earlier one may still be missing when
 * the next is under way. Text that another program wrote is not.
 */
bool uv_record_image_matches(const UvRecordImage *images, size_t n_images, const uint8_t *text,
                             size_t size);
