/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * FsQuestion and FsAnswer on their socket. A packet is the struct without the zero bytes at its
 * end, with its descriptors beside it; the receiver has the whole struct again.
 */

#include "questions.h"

#include <stddef.h>

/* `fds` are borrowed. 0, -EAGAIN (no room in the socket now), or another -errno. */
int fs_packet_send(int socket_fd, const void *packet, size_t size_bytes, const int *fds,
                   size_t n_fds);
/*
 * One packet into the struct. The descriptors that came with it are put into `ret_fds`, close-on-
 * exec and the caller's, -1 behind them. 0, -EAGAIN (none is there), -EPIPE (the peer is gone),
 * -EPROTO (a packet that is too large or has too many descriptors: none is kept), or another
 * -errno.
 */
int fs_packet_receive(int socket_fd, void *ret_packet, size_t size_bytes,
                      int ret_fds[FS_QUESTION_FDS]);
void fs_packet_close(int fds[FS_QUESTION_FDS]);
/* How many there are before the first that is none. */
size_t fs_packet_count(const int fds[FS_QUESTION_FDS]);

/* Whether the texts end within their fields and no number is out of its range. */
bool fs_question_valid(const FsQuestion *question);
bool fs_answer_valid(const FsAnswer *answer);
