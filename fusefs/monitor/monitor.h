/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The monitor: the process with authority.
 *
 * Theory of operation. One thread, one set of descriptors to wait for: the front's socket, the
 * broker's, guests' listening sockets, the ends of engines, signals. A turn takes a few questions
 * and a few of everything else. What SOURCE is to be asked the broker is asked (broker.h); what
 * follows of it for sockets and engines is done here, and the answer goes to the front. So it opens
 * no file of a guest's, reads no frame, and of its front and its broker only questions and answers
 * (questions.h). It ends when one of them does, and ends the mount then.
 *
 * It knows guests by name only, and keeps of them what the system has given it for them: a
 * listening socket, an engine that is its child (guests.h).
 */

#include "sockets.h"

typedef struct {
    const char *folder;         /* SOURCE, to be published for by-store/; NULL: a store as SOURCE */
    bool libvirts;              /* ... names of guests are as in libvirt's folder (guest-name.h) */
    char **engine_arguments;    /* that all engines get; NULL: none */
    const char *engine, *light; /* paths of uefivarsd and uefivars-look; light NULL: the same */
    const char *bridge;         /* uefivars-qcow2's path */
    const char *libvirt;        /* uefivars-libvirt's path; NULL: SOURCE is no libvirt */
    char **libvirt_arguments;
    uid_t libvirt_uid; /* who asks it */
    gid_t libvirt_gid;
} FsMonitorOptions;

/* What the program does for the monitor, which knows neither the mount nor who started it. */
typedef struct {
    void (*ready)(void *data);
    void (*unmount)(void *data);
    void *data;
} FsMonitorHooks;

typedef struct FsMonitor FsMonitor;

/* Owns the sockets; the others must outlive it. NULL with an error. */
FsMonitor *fs_monitor_new(const FsMonitorOptions *options, const FsSockdir *sockdir,
                          int front_fd /* takes */, int broker_fd /* takes */, GError **error);
/*
 * Serves until the front or the broker has gone: hung up, or said what none says. SIGTERM, SIGINT
 * and SIGHUP (which it blocks) are told to the front. Afterwards the mount has been ended, the
 * sockets that no engine has are gone, and the broker is about to end: it is to be waited for
 * before fs_monitor_free().
 */
void fs_monitor_run(FsMonitor *monitor, const FsMonitorHooks *hooks);
void fs_monitor_free(FsMonitor *monitor);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsMonitor, fs_monitor_free)
