/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * by-store/ in /run/uefivarsfs is for who knows a store and not its guest. In it, by the first 16
 * hex digits of the SHA-256 of a real path: HEX.sock, a second socket of the guest with that store,
 * to which everybody may connect (whoever does proves that he has the store open); HEX.folder, a
 * link to a folder of which stores are served, so that one waits for the socket of a new store
 * there.
 */

#include "sockets.h"

typedef struct {
    int fd; /* -1: none */
    char *path;
    ino_t inode; /* of that path */
} FsStoreSocket;

/* Listening and non-blocking. 0 or -errno (-ENOENT: a read-only mount, or no such folder). */
int fs_sockdir_listen_store(const FsSockdir *sockdir, const char *store, FsStoreSocket *ret_socket);
/* `remove`: nobody listens there any more. */
void fs_sockdir_close_store(FsStoreSocket *store_socket, bool remove);
void fs_sockdir_publish_folder(const FsSockdir *sockdir, const char *folder, bool published);
