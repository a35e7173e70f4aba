/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * by-store/ in /run/uefivarsfs is for programs that know a store and not its guest (QEMU's device).
 * In it, by the first 16 hex digits of the SHA-256 of a real path: HEX.sock, a second socket of the
 * guest with that store, to which every process may connect (it proves to the engine that it has
 * the store open); HEX.folder, a link to a folder of which stores are served, so that the device
 * waits for the socket of a new store there; .new/PID, a socket that a monitor has not named yet.
 */

#include "sockets.h"

typedef struct {
    int fd; /* -1: none */
    char *path;
    ino_t inode; /* of that path */
} FsStoreSocket;

/* Listening and non-blocking. 0 or -errno (-ENOENT: a read-only mount, or no such folder). */
int fs_sockdir_listen_store(const FsSockdir *sockdir, const char *store, FsStoreSocket *ret_socket);
/* `remove`: no engine listens there any more. */
void fs_sockdir_close_store(FsStoreSocket *store_socket, bool remove);
void fs_sockdir_publish_folder(const FsSockdir *sockdir, const char *folder, bool published);
