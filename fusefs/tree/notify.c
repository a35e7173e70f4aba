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
    GQueue names;   /* guarded by lock */
    GQueue waiting; /* guarded by lock: the thread is through with what was before these */
    bool running;   /* guarded by lock: a thread is there, and will look at `names` again */
    bool stop;      /* guarded by lock */
};

/* A name to forget, or who waits until those before it are forgotten. */
typedef struct {
    void (*told)(void *data); /* NULL: a name */
    void *data;
    uint64_t parent_id;
    char name[];
} Name;

static void tell(Name *waiting)
{
    waiting->told(waiting->data);
    g_free(waiting);
}

/* In the main loop. */
static gboolean on_forgotten(void *data)
{
    FsNotify *notify = data;
    Name *waiting;

    do {
        g_mutex_lock(&notify->lock);
        waiting = g_queue_pop_head(&notify->waiting);
        g_mutex_unlock(&notify->lock);
        if (waiting)
            tell(waiting);
    } while (waiting);
    return G_SOURCE_REMOVE;
}

/* With the lock, in the thread. */
static void wake_loop(FsNotify *notify, Name *waiting)
{
    GSource *source = g_idle_source_new();

    g_queue_push_tail(&notify->waiting, waiting);
    g_source_set_priority(source, G_PRIORITY_DEFAULT);
    g_source_set_callback(source, on_forgotten, notify, NULL);
    g_source_attach(source, NULL);
    g_source_unref(source);
}

static void *run(void *data)
{
    FsNotify *notify = data;
    Name *name;

    g_mutex_lock(&notify->lock);
    while (!notify->stop && (name = g_queue_pop_head(&notify->names))) {
        if (name->told) {
            wake_loop(notify, name);
            continue;
        }
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
    g_queue_init(&notify->waiting);
    g_mutex_init(&notify->lock);
    g_cond_init(&notify->finished);
    g_queue_init(&notify->names);
    return notify;
}

static Name *new_name(const char *text)
{
    size_t size = strlen(text) + 1;
    Name *name = g_malloc0(sizeof(*name) + size);

    memcpy(name->name, text, size);
    return name;
}

void fs_notify_forget_name(FsNotify *notify, uint64_t parent_id, const char *text)
{
    Name *name = new_name(text);

    name->parent_id = parent_id;
    g_mutex_lock(&notify->lock);
    g_queue_push_tail(&notify->names, name);
    if (!notify->running) {
        GThread *thread = g_thread_try_new("notify", run, notify, NULL);
        notify->running = thread != NULL;
        g_clear_pointer(&thread, g_thread_unref);
    }
    g_mutex_unlock(&notify->lock);
}

void fs_notify_when_forgotten(FsNotify *notify, void (*told)(void *data), void *data)
{
    bool wait;

    g_mutex_lock(&notify->lock);
    wait = notify->running && !notify->stop;
    if (wait) {
        Name *waiting = new_name("");
        waiting->told = told;
        waiting->data = data;
        g_queue_push_tail(&notify->names, waiting);
    }
    g_mutex_unlock(&notify->lock);
    if (!wait)
        told(data);
}

/* Who waits goes on; the names are not of interest any more. */
static void drop_names(FsNotify *notify)
{
    Name *name;

    while ((name = g_queue_pop_head(&notify->names))) {
        if (name->told)
            tell(name);
        else
            g_free(name);
    }
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
    if (stuck)
        return;
    while (g_source_remove_by_user_data(notify)) {
    }
    on_forgotten(notify);
    drop_names(notify);
    g_mutex_clear(&notify->lock);
    g_cond_clear(&notify->finished);
    g_free(notify);
}
