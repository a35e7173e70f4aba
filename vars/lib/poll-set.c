/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "poll-set.h"

#include "fd.h"

#include <errno.h>
#include <glib-unix.h>
#include <sys/epoll.h>
#include <unistd.h>

struct FsPoll {
    int fd;
    GSource *source;
    int watches;               /* that there are */
    struct epoll_event *batch; /* data.ptr is NULL once the watch was removed */
    int size, count, at;
};

typedef struct {
    GSource base;
    FsPoll *poll;
} PollSource;

static gboolean poll_dispatch(GSource *base, GSourceFunc callback, gpointer data)
{
    FsPoll *poll = ((PollSource *)base)->poll;

    g_source_ref(base);
    if (poll->size < poll->watches) {
        poll->size = 2 * poll->watches;
        poll->batch = g_renew(struct epoll_event, poll->batch, poll->size);
    }
    poll->count = epoll_wait(poll->fd, poll->batch, poll->size, 0);
    for (poll->at = 0; poll->at < poll->count; poll->at++) {
        FsWatch *watch = poll->batch[poll->at].data.ptr;
        if (watch)
            watch->ready(watch->data, poll->batch[poll->at].events);
        if (g_source_is_destroyed(base))
            break;
    }
    if (!g_source_is_destroyed(base))
        poll->count = 0;
    g_source_unref(base);
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs poll_funcs = {.dispatch = poll_dispatch};

FsPoll *fs_poll_new(GMainContext *context, GError **error)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "epoll_create1: %s",
                    g_strerror(errno));
        return NULL;
    }
    FsPoll *poll = g_new0(FsPoll, 1);
    poll->fd = fd;
    poll->source = g_source_new(&poll_funcs, sizeof(PollSource));
    ((PollSource *)poll->source)->poll = poll;
    g_source_set_static_name(poll->source, "fleet");
    /* No function that it calls runs a loop; but else GLib takes its descriptor out meanwhile, and
     * wakes itself up for that. */
    g_source_set_can_recurse(poll->source, TRUE);
    g_source_add_unix_fd(poll->source, fd, G_IO_IN);
    g_source_attach(poll->source, context);
    return poll;
}

void fs_poll_free(FsPoll *poll)
{
    if (!poll)
        return;
    g_source_destroy(poll->source);
    g_source_unref(poll->source);
    uv_fd_clear(&poll->fd);
    g_free(poll->batch);
    g_free(poll);
}

static gboolean on_aside(int fd, GIOCondition condition, void *data)
{
    const FsWatch *watch = data;

    watch->ready(watch->data, condition);
    return G_SOURCE_CONTINUE;
}

/* Poll's bits are epoll's. */
static void watch_aside(FsWatch *watch, uint32_t events)
{
    GSource *source = g_unix_fd_source_new(watch->fd, (GIOCondition)events);

    g_source_set_callback(source, G_SOURCE_FUNC(on_aside), watch, NULL);
    g_source_attach(source, g_source_get_context(watch->poll->source));
    watch->aside = source;
}

static void drop_aside(FsWatch *watch)
{
    g_source_destroy(watch->aside);
    g_clear_pointer(&watch->aside, g_source_unref);
}

void fs_watch_add(FsWatch *watch, FsPoll *poll, int fd, uint32_t events, FsReady ready, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    g_assert(!watch->poll);
    *watch = (FsWatch){.poll = poll, .ready = ready, .data = data, .fd = fd};
    if (epoll_ctl(poll->fd, EPOLL_CTL_ADD, fd, &event) < 0)
        watch_aside(watch, events);
    poll->watches++;
}

void fs_watch_modify(FsWatch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};

    if (!watch->aside) {
        epoll_ctl(watch->poll->fd, EPOLL_CTL_MOD, watch->fd, &event);
        return;
    }
    drop_aside(watch);
    watch_aside(watch, events);
}

void fs_watch_remove(FsWatch *watch)
{
    FsPoll *poll = watch->poll;
    if (!poll)
        return;
    for (int i = poll->at; i < poll->count; i++)
        if (poll->batch[i].data.ptr == watch)
            poll->batch[i].data.ptr = NULL;
    if (watch->aside)
        drop_aside(watch);
    else
        epoll_ctl(poll->fd, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->poll = NULL;
    poll->watches--;
}
