/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The broker: the process that knows SOURCE, here a folder (or a libvirt's domains) on this host.
 *
 * Theory of operation. It answers the monitor what questions.h asks of a source, and tells it what
 * becomes of guests: it finds, lists and follows them, opens their stores for engines, and reads,
 * writes, makes and removes what lies beside them. It has one thread, and takes a few questions a
 * turn; what is longer goes on in the next turns (a list, watches) or in a child (work.c). It may
 * become the owner of any folder, and may do nothing else that root may: it starts no program but
 * uefivars-make, has no sockets, signals no process. It looks into no file.
 *
 * It knows of a guest only what its files say. Sockets and engines are the monitor's, who holds no
 * descriptor of SOURCE. Another kind of source is another process that answers the same questions.
 */

#include "local.h"

typedef struct {
    bool read_only, shared;
    unsigned keep_days; /* what was set aside */
    uid_t engine_uid;   /* (uid_t)-1: each store's owner */
    gid_t engine_gid;
    uid_t front_uid; /* with whose rights FS_ASK_IMAGE opens */
    gid_t front_gid;
    const char *maker;   /* uefivars-make's path */
    const char *uri;     /* of the libvirt that SOURCE is, as libvirt has it; NULL: it is none */
    void (*ready)(void); /* nullable: the mount is usable */
} FsBrokerOptions;

typedef struct FsBroker FsBroker;

/* Both must outlive it. NULL with an error. */
FsBroker *fs_broker_new(const FsBrokerOptions *options, const FsLocal *local,
                        int link_fd /* takes */, GError **error);
/* Serves until the monitor has gone: hung up, or said what no monitor says. */
void fs_broker_run(FsBroker *broker);
void fs_broker_free(FsBroker *broker);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsBroker, fs_broker_free)
