/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Between an engine and uefivars-qcow2, over one SOCK_SEQPACKET pair: a request is one byte, its
 * reply one UvBlockdReply. Both are of one build and one machine: no byte order, no versions.
 *
 * The engine hands nothing over. A started server's reply brings the descriptor of a connection
 * that speaks NBD, on which sends and receives give up by themselves after a while.
 */

#include <stdint.h>

typedef enum {
    UV_BLOCKD_READ = 'r',  /* start the server, sharing the image with everybody */
    UV_BLOCKD_WRITE = 'w', /* start it for writing, with QEMU's locks */
    UV_BLOCKD_STOP = 's',  /* end it; everything is in the image when the reply comes */
} UvBlockdRequest;

typedef enum {
    UV_BLOCKD_OK,
    UV_BLOCKD_IMAGE,  /* such an image is not served: `offset` in its header, and `text` */
    UV_BLOCKD_FAILED, /* `text` says why */
} UvBlockdOutcome;

#define UV_BLOCKD_TEXT_BYTES 1024u

typedef struct {
    uint32_t outcome;
    uint32_t offset;
    uint64_t device, inode;          /* of the image, as fstat says */
    char text[UV_BLOCKD_TEXT_BYTES]; /* STOP: what the server said on stderr */
} UvBlockdReply;

/* The descriptors that uefivars-qcow2 inherits, beside 0 to 2. */
enum {
    UV_BLOCKD_FD_CONTROL = 3,
    UV_BLOCKD_FD_IMAGE = 4,
    UV_BLOCKD_FD_FIRST_CLOSED = 5,
};
