/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a guest does, streamed to readers while it does it.
 *
 * A trace is there while a process reads. It has a connection of its own to the guest's engine,
 * while there is one: an engine that comes later is started with the trace in view, so that it
 * tells from the guest's first request on; one that ends leaves the readers waiting for the next.
 * No engine is started for a reader.
 *
 * All readers are behind what the engine sends: while even the fastest of them is, the connection
 * is not read, the engine counts what it can't send, and the readers are told how many were lost.
 */

#include "fleet.h"

typedef enum {
    FS_TRACE_LINES,
    FS_TRACE_PACKETS,
    FS_TRACE_KINDS,
} FsTraceKind;

typedef struct FsTraceReader FsTraceReader;

/* What one reader can make this process keep, beyond what all readers of the guest share. */
#define FS_TRACE_READER_BYTES (512u * 1024)

/* Reads what comes from now on; NULL: too many read already. `ready` (nullable) is called, from the
 * main loop, when it is readable, or has ended, after it was not. */
FsTraceReader *fs_trace_open(FsGuest *guest, FsTraceKind kind, void (*ready)(void *data),
                             void *data);
/* What is parked of it goes on with ENOENT. */
void fs_trace_free(FsTraceReader *reader);
/* Parked (see fleet.h) until the guest's engine, if there is one, tells: once, behind
 * fs_trace_open(). EIO: it does not answer; EOPNOTSUPP: it can't, it is an older one. */
void fs_trace_await(FsTraceReader *reader, void *request, FsContinue go_on, void *data);

/* The next bytes (whole or cut anywhere), at most `size`, not 0; NULL: none now. */
GBytes *fs_trace_read(FsTraceReader *reader, size_t size);
bool fs_trace_is_readable(const FsTraceReader *reader);
/* The guest is gone: nothing comes any more. */
bool fs_trace_is_ended(const FsTraceReader *reader);
/* Until it may be readable, or has ended: call fs_trace_read() again. EBUSY: too many wait. */
void fs_trace_wait(FsTraceReader *reader, void *request, FsContinue go_on, void *data);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsTraceReader, fs_trace_free)
