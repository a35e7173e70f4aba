/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Messages that carry descriptors (SCM_RIGHTS) over Unix sockets. What a peer sends beyond what is
 * expected is closed, never kept: an error of a receive leaves no descriptor with the caller.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* In one message. */
#define UV_PASS_FDS_MAX 3u

/*
 * One sendmsg(2) of the parts with `n_fds` descriptors (borrowed; at most UV_PASS_FDS_MAX, and with
 * any of them at least a byte). `flags` as there; a peer that is gone makes no SIGPIPE. How many
 * bytes went, or -errno.
 */
ssize_t uv_pass_send(int socket_fd, const struct iovec *parts, size_t n_parts, const int *fds,
                     size_t n_fds, int flags);

/*
 * One recvmsg(2) into the parts. `ret_fds` has room for `max_fds` (at most UV_PASS_FDS_MAX); the
 * descriptors that came are put there, close-on-exec and the caller's, and -1 behind them; all are
 * -1 without a byte. How many bytes came (0: the peer is gone), or -errno; -EMSGSIZE for a packet
 * larger than the parts, -EPROTO for more descriptors than `max_fds` or control data that is cut
 * off.
 */
ssize_t uv_pass_receive(int socket_fd, const struct iovec *parts, size_t n_parts, int *ret_fds,
                        size_t max_fds, int flags);

/*
 * As recv(2), without waiting: with a descriptor, if one came, in `fd` (-1 or one that came before,
 * which is closed then). With `listener` that is a listening socket; of anything else, which may be
 * a file whose closing waits for its server, it is EPROTO, and it stays open.
 */
ssize_t uv_pass_receive_one(int socket_fd, void *buffer, size_t size, bool listener, int *fd);
