/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "packet-link.h"

#include "fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

typedef struct {
    size_t size_bytes;
    int fds[FS_QUESTION_FDS];
    size_t n_fds;
    char packet[];
} Outgoing;

static void outgoing_free(void *data)
{
    Outgoing *outgoing = data;

    for (size_t i = 0; i < outgoing->n_fds; i++)
        uv_fd_clear(&outgoing->fds[i]);
    g_free(outgoing);
}

static void update(FsLink *link)
{
    fs_watch_modify(&link->watch,
                    (link->deaf ? 0 : EPOLLIN) | (fs_link_is_congested(link) ? EPOLLOUT : 0));
}

void fs_link_open(FsLink *link, FsPoll *poll, int fd, FsReady ready, void *data)
{
    *link = (FsLink){.fd = fd};
    fs_watch_add(&link->watch, poll, fd, EPOLLIN, ready, data);
}

void fs_link_close(FsLink *link)
{
    fs_watch_remove(&link->watch);
    g_queue_clear_full(&link->outgoing, outgoing_free);
    uv_fd_clear(&link->fd);
}

bool fs_link_is_congested(const FsLink *link)
{
    return link->outgoing.length > 0;
}

int fs_link_send(FsLink *link, const void *packet, size_t size_bytes, int *fds, size_t n_fds)
{
    int result = -EAGAIN;

    if (!fs_link_is_congested(link))
        result = fs_packet_send(link->fd, packet, size_bytes, fds, n_fds);
    if (result == -EAGAIN) {
        Outgoing *outgoing = g_malloc0(sizeof(*outgoing) + size_bytes);
        memcpy(outgoing->packet, packet, size_bytes);
        outgoing->size_bytes = size_bytes;
        for (; outgoing->n_fds < n_fds; outgoing->n_fds++)
            outgoing->fds[outgoing->n_fds] = uv_fd_steal(&fds[outgoing->n_fds]);
        g_queue_push_tail(&link->outgoing, outgoing);
        update(link);
        return 0;
    }
    for (size_t i = 0; i < n_fds; i++)
        uv_fd_clear(&fds[i]);
    return result;
}

int fs_link_flush(FsLink *link)
{
    Outgoing *outgoing;
    int result = 0;

    while (result == 0 && (outgoing = g_queue_peek_head(&link->outgoing))) {
        result = fs_packet_send(link->fd, outgoing->packet, outgoing->size_bytes, outgoing->fds,
                                outgoing->n_fds);
        if (result == -EAGAIN)
            return 0;
        outgoing_free(g_queue_pop_head(&link->outgoing));
    }
    update(link);
    return result;
}

void fs_link_listen(FsLink *link, bool listen)
{
    if (link->deaf == !listen)
        return;
    link->deaf = !listen;
    update(link);
}
