/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "notify.h"

#define FUSE_USE_VERSION 312
#include <fuse3/fuse_lowlevel.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define STOP_WAIT_US (200 * G_TIME_SPAN_MILLISECOND)

struct FsNotify {
    struct fuse_session *session;
    GThread *thread;
    GMutex lock;
    GCond changed;
    GQueue names;  /* guarded by lock */
    bool stop;     /* guarded by lock */
    bool finished; /* guarded by lock */
};

typedef struct {
    uint64_t parent_id;
    char name[];
} Name;

static void *run(void *data)
{
    FsNotify *notify = data;

    g_mutex_lock(&notify->lock);
    while (!notify->stop) {
        Name *name = g_queue_pop_head(&notify->names);
        if (!name) {
            g_cond_wait(&notify->changed, &notify->lock);
            continue;
        }
        g_mutex_unlock(&notify->lock);
        fuse_lowlevel_notify_inval_entry(notify->session, name->parent_id, name->name,
                                         strlen(name->name));
        g_free(name);
        g_mutex_lock(&notify->lock);
    }
    notify->finished = true;
    g_cond_broadcast(&notify->changed);
    g_mutex_unlock(&notify->lock);
    return NULL;
}

FsNotify *fs_notify_new(struct fuse_session *session)
{
    FsNotify *notify = g_new0(FsNotify, 1);
    notify->session = session;
    g_mutex_init(&notify->lock);
    g_cond_init(&notify->changed);
    g_queue_init(&notify->names);
    notify->thread = g_thread_new("notify", run, notify);
    return notify;
}

void fs_notify_forget_name(FsNotify *notify, uint64_t parent_id, const char *text)
{
    size_t size = strlen(text) + 1;
    Name *name = g_malloc(sizeof(*name) + size);

    name->parent_id = parent_id;
    memcpy(name->name, text, size);
    g_mutex_lock(&notify->lock);
    g_queue_push_tail(&notify->names, name);
    g_cond_broadcast(&notify->changed);
    g_mutex_unlock(&notify->lock);
}

void fs_notify_free(FsNotify *notify)
{
    gint64 until = g_get_monotonic_time() + STOP_WAIT_US;

    g_mutex_lock(&notify->lock);
    notify->stop = true;
    g_cond_broadcast(&notify->changed);
    while (!notify->finished && g_cond_wait_until(&notify->changed, &notify->lock, until)) {
    }
    if (!notify->finished) {
        g_mutex_unlock(&notify->lock);
        return;
    }
    g_mutex_unlock(&notify->lock);
    g_thread_join(notify->thread);
    g_queue_clear_full(&notify->names, g_free);
    g_mutex_clear(&notify->lock);
    g_cond_clear(&notify->changed);
    g_free(notify);
}
