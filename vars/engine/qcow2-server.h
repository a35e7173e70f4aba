/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One qemu-storage-daemon after the other, on one image; only for uefivars-qcow2. */

#include <stdbool.h>
#include <sys/types.h>

typedef struct {
    int listen_fd; /* its socket; all its connections are ours */
    int name_fd;   /* O_PATH of that socket: it has no other name any more */
    int image_fd;
    bool confined; /* load the list of what it may not call */
    pid_t pid;     /* 0: it does not run */
    int stderr_fd; /* what it says, and that it ended */
    bool ended;
} QcowServer;

/* Makes the socket; needs /tmp. 0 or a negative errno. */
int qcow_server_init(QcowServer *server, int image_fd, bool confined);
/* A connection to a new one, whose sends and receives end after a while; a negative errno. */
int qcow_server_start(QcowServer *server, bool writable);
/*
 * Waits until `other_fd` can be read. A server that ends meanwhile, before it took its connection,
 * hangs up on it.
 */
void qcow_server_wait(QcowServer *server, int other_fd);
/* Returns when it is gone, with what it said on stderr (`size` bytes are there for it, at least 1).
 */
void qcow_server_stop(QcowServer *server, char *ret_text, size_t size);
