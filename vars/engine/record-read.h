/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The record read back. The folder's owner may have written anything there: a line that is
 * none of ours says nothing. */

#include "digest.h"
#include "folder.h"

/* What became of a variable. */
typedef struct {
    const char *variable; /* as vars/ lists it; borrowed */
    bool there;           /* the rest is known then */
    uint32_t attributes;
    uint64_t data_bytes;
    UvDigest digest; /* of the data */
} UvRecorded;

typedef void (*UvRecordVisit)(const UvRecorded *change, void *data);

/* What a part of the record says. */
typedef struct {
    bool reaches_back; /* a line was older than that time */
    bool gap;          /* a line says that some were left out since */
} UvRecordPart;

/* Of whole lines, each change since that time (realtime), in order. */
UvRecordPart uv_record_read_lines(const char *text, size_t size, int64_t since_us,
                                  UvRecordVisit visit, void *data);
/* Of the record beside a store. false: some of the changes since may be missing there. */
bool uv_record_read(UvFolder *folder, int64_t since_us, UvRecordVisit visit, void *data);
