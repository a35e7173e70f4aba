/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The monitor: the process with authority.
 *
 * Theory of operation. One thread, one set of descriptors to wait for: the front's socket, guests'
 * listening sockets, the ends of engines and of children at work, signals. A turn takes a few
 * questions and a few of everything else, and what is longer (a list, watches, a store that is
 * made) goes on in the next turns or in a child. It reads no content of any file, no frame, and of
 * its front only questions (questions.h). It ends when its front does, and ends the mount then.
 *
 * It knows guests by name only, and keeps of them what the system has given it for them: a
 * listening socket, an engine that is its child (guests.h).
 */

#include "local.h"
#include "sockets.h"

typedef struct {
    bool read_only, shared;
    unsigned keep_days;      /* what was set aside */
    char **engine_arguments; /* that all engines get; NULL: none */
    uid_t engine_uid;        /* (uid_t)-1: each store's owner */
    gid_t engine_gid;
    uid_t front_uid; /* with whose rights FS_ASK_IMAGE opens */
    gid_t front_gid;
    const char *engine, *light; /* paths of uefivarsd and uefivars-look; light NULL: the same */
    const char *maker;          /* uefivars-make's path */
    const char *bridge;         /* uefivars-qcow2's path */
    const char *libvirt;        /* uefivars-libvirt's path */
    char **libvirt_arguments;
    const char *uri;   /* of the libvirt that SOURCE is, as libvirt has it; NULL: it is none */
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

/* Owns `link_fd`; the others must outlive it. Gives up supplementary groups. NULL with an error. */
FsMonitor *fs_monitor_new(const FsMonitorOptions *options, const FsLocal *source,
                          const FsSockdir *sockdir, int link_fd /* takes */, GError **error);
/*
 * Serves until the front has gone: hung up, or said what no front says. SIGTERM, SIGINT and SIGHUP
 * (which it blocks) are told to the front. Afterwards the mount has been ended, and the sockets
 * that no engine has are gone.
 */
void fs_monitor_run(FsMonitor *monitor, const FsMonitorHooks *hooks);
void fs_monitor_free(FsMonitor *monitor);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsMonitor, fs_monitor_free)
