/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One end of a socket for packets, in an event loop. What finds no room in the socket waits here;
 * who sends asks first whether something waits, and reads no more questions until it is gone: so it
 * is never much.
 */

#include "packet.h"
#include "poll-set.h"

typedef struct {
    int fd; /* -1: none */
    FsWatch watch;
    GQueue outgoing; /* what waits */
    bool deaf;       /* nothing is read now */
} FsLink;

/* `ready` is told of EPOLLIN, EPOLLOUT (fs_link_flush()), EPOLLHUP and EPOLLERR. */
void fs_link_open(FsLink *link, FsPoll *poll, int fd /* takes */, FsReady ready, void *data);
void fs_link_close(FsLink *link);
/* Takes the descriptors. 0, also where the packet waits, or -errno: the peer is gone. */
int fs_link_send(FsLink *link, const void *packet, size_t size_bytes, int *fds, size_t n_fds);
bool fs_link_is_congested(const FsLink *link);
/* There is room: 0 or -errno. */
int fs_link_flush(FsLink *link);
/* Whether EPOLLIN is told; at first it is. */
void fs_link_listen(FsLink *link, bool listen);
