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
    GMutex lock;
    GCond finished;
    GQueue names; /* guarded by lock */
    bool running; /* guarded by lock: a thread is there, and will look at `names` again */
    bool stop;    /* guarded by lock */
};

typedef struct {
    uint64_t parent_id;
    char name[];
} Name;

static void *run(void *data)
{
    FsNotify *notify = data;
    Name *name;

    g_mutex_lock(&notify->lock);
    while (!notify->stop && (name = g_queue_pop_head(&notify->names))) {
        g_mutex_unlock(&notify->lock);
        fuse_lowlevel_notify_inval_entry(notify->session, name->parent_id, name->name,
                                         strlen(name->name));
        g_free(name);
        g_mutex_lock(&notify->lock);
    }
    notify->running = false;
    g_cond_signal(&notify->finished);
    g_mutex_unlock(&notify->lock);
    return NULL;
}

FsNotify *fs_notify_new(struct fuse_session *session)
{
    FsNotify *notify = g_new0(FsNotify, 1);
    notify->session = session;
    g_mutex_init(&notify->lock);
    g_cond_init(&notify->finished);
    g_queue_init(&notify->names);
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
    if (!notify->running) {
        GThread *thread = g_thread_try_new("notify", run, notify, NULL);
        notify->running = thread != NULL;
        g_clear_pointer(&thread, g_thread_unref);
    }
    g_mutex_unlock(&notify->lock);
}

void fs_notify_free(FsNotify *notify)
{
    gint64 until = g_get_monotonic_time() + STOP_WAIT_US;
    bool stuck;

    g_mutex_lock(&notify->lock);
    notify->stop = true;
    while (notify->running && g_cond_wait_until(&notify->finished, &notify->lock, until)) {
    }
    stuck = notify->running;
    g_mutex_unlock(&notify->lock);
    if (stuck) {
        return;
    }
    g_queue_clear_full(&notify->names, g_free);
    g_mutex_clear(&notify->lock);
    g_cond_clear(&notify->finished);
    g_free(notify);
}
