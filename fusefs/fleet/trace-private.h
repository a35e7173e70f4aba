/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What trace.c (readers) and trace-link.c (the connection to the engine) share; no others. */

#include "fleet-private.h"
#include "trace-stream.h"
#include "trace.h"

/* A reader that waits: in `reading` or `opening` of its reader. */
typedef struct {
    void *request;
    FsContinue go_on;
    void *data;
} FsTraceWait;

struct FsTraceReader {
    FsTrace *trace; /* NULL: the guest is gone */
    FsTraceKind kind;
    FsTraceCursor cursor;
    GBytes *head;   /* goes before what the cursor has: a file's header, what was lost; or NULL */
    GQueue reading; /* FsTraceWait */
    FsTraceWait opening; /* go_on NULL: it is open */
    uint64_t opened_by;  /* the TRACE that must be answered for that */
    int64_t opening_to;  /* monotonic */
    uint64_t lost;       /* packets, for the log: a pcap file has no place for it */
    void (*ready)(void *data);
    void *ready_data;
    GList in_trace;
};

struct FsTrace { /* g_rc_box: what follows a call of a reader's function looks whether it is used */
    FsGuest *guest; /* NULL: no process reads any more, all of it is empty */
    GList in_fleet;
    GQueue readers;   /* FsTraceReader.in_trace */
    unsigned waiting; /* FsTraceWait of all of them */
    FsTraceStream streams[FS_TRACE_KINDS];
    /* The connection. */
    UvFrameIo *io; /* NULL: none */
    FsWatch watch;
    uint32_t watched;        /* EPOLL* */
    bool asked;              /* CONNECT is under way */
    bool refused;            /* the engine can't */
    uint64_t cookie;         /* of the last frame sent */
    uint64_t sent, answered; /* TRACEs, on this connection */
    uint32_t wanted;         /* as last sent */
    int64_t connect_at;      /* it is connected again then; 0: not */
};

/* trace.c */
/* As UV_TRACE_*. */
uint32_t trace_wanted(const FsTrace *trace);
/* Bytes that the fastest reader has before it. */
size_t trace_backlog(const FsTrace *trace);
/* Pieces came: who waits for them goes on. */
void trace_came(FsTrace *trace, FsTraceKind kind, uint64_t lost, uint32_t count, GBytes *bytes);
/* Readers that wait for a TRACE up to this one are open, or can't be. */
void trace_opened(FsTrace *trace, int error, uint64_t up_to);

/* trace-link.c */
/* A reader has come. Returns the number of the TRACE to wait for; 0: there is nothing to wait for.
 */
uint64_t trace_link_ask(FsTrace *trace);
/* A reader has gone, or an engine has come. */
void trace_link_update(FsTrace *trace);
/* Readers have read: the connection is read on, if it was not. */
void trace_link_go_on(FsTrace *trace);
void trace_link_tick(FsTrace *trace, int64_t now);
void trace_link_clear(FsTrace *trace);
