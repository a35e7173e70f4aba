/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * SOURCE by inotify. The monitor makes the watches, for only it reaches the folders; the front
 * reads what they tell. Subfolders are watched too, those that are guests and those that may become
 * one: each is told with its watch's number. When the kernel has no watches left, what happens in
 * subfolders shows when they are looked at.
 */

#include "monitor-private.h"

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

static int add_watch(FsMonitor *monitor, int folder_fd, uint32_t events)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", folder_fd);
    uv_rights_scope rights = uv_rights_take_of(folder_fd);
    int number = inotify_add_watch(monitor->inotify_fd, path, events);

    return number < 0 ? -errno : number;
}

static void tell(FsMonitor *monitor, const char *folder, int number)
{
    FsAnswer answer = {.kind = FS_TELL_WATCH, .number = number};

    g_strlcpy(answer.guest, folder, sizeof(answer.guest));
    monitor_tell(monitor, &answer, NULL, 0);
}

void monitor_forget_folder(FsMonitor *monitor, const char *folder)
{
    g_hash_table_remove(monitor->watched, folder);
}

void monitor_watch_folder(FsMonitor *monitor, const char *folder)
{
    if (monitor->inotify_fd < 0 || g_hash_table_contains(monitor->watched, folder) ||
        !uv_guest_name_valid(monitor->source->libvirts, folder))
        return;
    uv_autofd int fd = fs_beneath_open(monitor->source->fd, folder, O_PATH | O_DIRECTORY, 0);
    int number = fd < 0 ? fd : add_watch(monitor, fd, EVENTS | CONTENT_EVENTS);
    if (number == -ENOSPC)
        g_warning("%s: no more inotify watches (fs.inotify.max_user_watches): changes inside "
                  "subfolders show when they are looked up",
                  monitor->source->path);
    if (number < 0 && number != -ENOSPC)
        return;
    g_hash_table_insert(monitor->watched, g_strdup(folder), GINT_TO_POINTER(number));
    if (number >= 0)
        tell(monitor, folder, number);
}

bool monitor_watches(const FsMonitor *monitor, const char *folder)
{
    void *number;

    return monitor->inotify_fd >= 0 &&
           (!folder || (g_hash_table_lookup_extended(monitor->watched, folder, NULL, &number) &&
                        GPOINTER_TO_INT(number) >= 0));
}

static gboolean on_background(void *data)
{
    FsMonitor *monitor = data;

    for (int i = 0; i < FOLDERS_A_TURN && !monitor_is_congested(monitor); i++) {
        g_autofree char *folder = g_queue_pop_head(&monitor->unwatched);
        if (!folder) {
            g_clear_pointer(&monitor->background, g_source_unref);
            return G_SOURCE_REMOVE;
        }
        monitor_watch_folder(monitor, folder);
    }
    return G_SOURCE_CONTINUE;
}

static void go_on_in_background(FsMonitor *monitor)
{
    if (monitor->background || monitor->inotify_fd < 0 || g_queue_is_empty(&monitor->unwatched))
        return;
    monitor->background = g_idle_source_new();
    g_source_set_callback(monitor->background, on_background, monitor, NULL);
    g_source_attach(monitor->background, NULL);
}

void monitor_watch_later(FsMonitor *monitor, const char *folder)
{
    if (g_hash_table_contains(monitor->watched, folder))
        return;
    g_queue_push_tail(&monitor->unwatched, g_strdup(folder));
    go_on_in_background(monitor);
}

int monitor_follow(FsAsked *asked)
{
    FsMonitor *monitor = asked->monitor;
    int number;

    if (monitor->source->store)
        return -EOPNOTSUPP;
    if (monitor->inotify_fd >= 0)
        return -EEXIST;
    monitor->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    uv_autofd int fd = monitor->inotify_fd < 0 ? -errno : uv_fd_copy(monitor->inotify_fd);
    if (fd < 0)
        return fd;
    number = add_watch(monitor, monitor->source->fd, EVENTS | CONTENT_EVENTS);
    if (number < 0)
        return number;
    tell(monitor, "", number);
    go_on_in_background(monitor);
    asked->answer_fds[0] = uv_fd_steal(&fd);
    return 0;
}
