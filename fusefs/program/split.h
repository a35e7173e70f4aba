/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One process becomes three: the monitor, which keeps what root may do to processes, sockets and
 * the mount; the broker, which keeps SOURCE; and the front, which keeps the mount's descriptor. The
 * monitor is the one that was started, so that who supervises it sees the end of all.
 */

#include "local.h"
#include "monitor.h"
#include "mount-table.h"
#include "options.h"

typedef struct {
    const FsOptions *options;
    FsLocal *local;
    FsSockdir *sockdir;
    FsMount *mount;  /* noted; the monitor ends it */
    int fuse_fd;     /* the monitor closes it */
    uid_t front_uid; /* who reads images: the front's user */
    gid_t front_gid;
    uid_t engine_uid; /* (uid_t)-1: each store's owner */
    gid_t engine_gid;
    char *engine, *look, *maker, *bridge; /* programs */
    char *libvirt;                        /* likewise, where SOURCE is one; else NULL */
    char *uri;                            /* of the libvirt that SOURCE is; NULL: it is none */
} FsSplit;

/* Theirs. false with an error: one is missing. */
bool fs_split_find_programs(FsSplit *split, GError **error);

/* engine-user=, looked up. false with an error: there is no such user. */
bool fs_split_find_engine_user(FsSplit *split, GError **error);
/*
 * In the front: its end of the socket to the monitor, or -1 with an error, before there are more
 * processes. The monitor does not return: it serves, ends the mount, and exits as the front did.
 */
int fs_split(const FsSplit *split, GError **error);
