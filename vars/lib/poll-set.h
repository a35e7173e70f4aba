/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Many descriptors, one GSource: an epoll set that the main context polls as a single descriptor,
 * so that ten thousand listening sockets cost nothing while no guest connects. Its turn takes all
 * that is ready when it begins: a loop that gives it a turn before it does something else has heard
 * everybody (fusefs/program/fuse-session.c relies on it).
 *
 * A watch is embedded in what it belongs to. Its function may remove any watch, its own included,
 * and free what holds it: a watch that was removed is not called any more, also when its event was
 * fetched already.
 */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct FsPoll FsPoll;
typedef void (*FsReady)(void *data, uint32_t events /* EPOLL* */);

typedef struct {
    FsPoll *poll; /* NULL: not watched */
    FsReady ready;
    void *data;
    int fd;         /* not owned */
    GSource *aside; /* NULL: in the set */
} FsWatch;

FsPoll *fs_poll_new(GMainContext *context, GError **error);
void fs_poll_free(FsPoll *poll);
/* Level triggered. What the set does not take (the kernel bounds what all of a user's sets hold)
 * the main context polls beside it. */
void fs_watch_add(FsWatch *watch, FsPoll *poll, int fd, uint32_t events, FsReady ready, void *data);
void fs_watch_modify(FsWatch *watch, uint32_t events);
void fs_watch_remove(FsWatch *watch);
