/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * SOURCE by inotify. The broker makes the watches, for only it reaches the folders; the front
 * reads what they tell. Subfolders are watched too, those that are guests and those that may become
 * one: each is told with its watch's number. When the kernel has no watches left, what happens in
 * subfolders shows when they are looked at.
 */

#include "broker-private.h"

#include "beneath.h"
#include "fd.h"
#include "rights.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>

#define EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)
/* A store or a configuration is not what it was. */
#define CONTENT_EVENTS (IN_MODIFY | IN_ATTRIB)
#define FOLDERS_A_TURN 16

static int add_watch(FsBroker *broker, int folder_fd, uint32_t events)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", folder_fd);
    uv_rights_scope rights = uv_rights_take_of(folder_fd);
    int number = inotify_add_watch(broker->inotify_fd, path, events);

    return number < 0 ? -errno : number;
}

static void tell(FsBroker *broker, const char *folder, int number)
{
    FsAnswer answer = {.kind = FS_TELL_WATCH, .number = number};

    g_strlcpy(answer.guest, folder, sizeof(answer.guest));
    broker_tell(broker, &answer, NULL, 0);
}

void broker_forget_folder(FsBroker *broker, const char *folder)
{
    g_hash_table_remove(broker->watched, folder);
}

void broker_watch_folder(FsBroker *broker, const char *folder)
{
    if (broker->inotify_fd < 0 || g_hash_table_contains(broker->watched, folder) ||
        !uv_guest_name_valid(broker->local->libvirts, folder))
        return;
    uv_autofd int fd = fs_beneath_open(broker->local->fd, folder, O_PATH | O_DIRECTORY, 0);
    int number = fd < 0 ? fd : add_watch(broker, fd, EVENTS | CONTENT_EVENTS);
    if (number == -ENOSPC)
        g_warning("%s: no more inotify watches (fs.inotify.max_user_watches): changes inside "
                  "subfolders show when they are looked up",
                  broker->local->path);
    if (number < 0 && number != -ENOSPC)
        return;
    g_hash_table_insert(broker->watched, g_strdup(folder), GINT_TO_POINTER(number));
    if (number >= 0)
        tell(broker, folder, number);
}

bool broker_watches(const FsBroker *broker, const char *folder)
{
    void *number;

    return broker->inotify_fd >= 0 &&
           (!folder || (g_hash_table_lookup_extended(broker->watched, folder, NULL, &number) &&
                        GPOINTER_TO_INT(number) >= 0));
}

static gboolean on_background(void *data)
{
    FsBroker *broker = data;

    for (int i = 0; i < FOLDERS_A_TURN && !fs_link_is_congested(&broker->link); i++) {
        g_autofree char *folder = g_queue_pop_head(&broker->unwatched);
        if (!folder) {
            g_clear_pointer(&broker->background, g_source_unref);
            return G_SOURCE_REMOVE;
        }
        broker_watch_folder(broker, folder);
    }
    return G_SOURCE_CONTINUE;
}

static void go_on_in_background(FsBroker *broker)
{
    if (broker->background || broker->inotify_fd < 0 || g_queue_is_empty(&broker->unwatched))
        return;
    broker->background = g_idle_source_new();
    g_source_set_callback(broker->background, on_background, broker, NULL);
    g_source_attach(broker->background, NULL);
}

void broker_watch_later(FsBroker *broker, const char *folder)
{
    if (g_hash_table_contains(broker->watched, folder))
        return;
    g_queue_push_tail(&broker->unwatched, g_strdup(folder));
    go_on_in_background(broker);
}

int broker_follow(FsJob *job)
{
    FsBroker *broker = job->broker;
    int number;

    if (broker->local->store)
        return -EOPNOTSUPP;
    if (broker->inotify_fd >= 0)
        return -EEXIST;
    broker->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    uv_autofd int fd = broker->inotify_fd < 0 ? -errno : uv_fd_copy(broker->inotify_fd);
    if (fd < 0)
        return fd;
    number = add_watch(broker, broker->local->fd, EVENTS | CONTENT_EVENTS);
    if (number < 0)
        return number;
    tell(broker, "", number);
    go_on_in_background(broker);
    job->answer_fds[0] = uv_fd_steal(&fd);
    return 0;
}
