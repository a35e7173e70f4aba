/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * SOURCE by inotify: guests that appear and go away. Whatever happens to a name, the guest that the
 * name means is looked at again; nothing is concluded from the kind of event. Subfolders are
 * watched too, those that are guests and those that may become one. When the kernel lost events, or
 * has no watches left, SOURCE is read anew, or looked at on each lookup.
 */

#include "fleet-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#define EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW)
/* Of the files in SOURCE itself: a store is not what it was. */
#define CONTENT_EVENTS (IN_MODIFY | IN_ATTRIB)

static void review_file(FsFleet *fleet, const char *file, bool folder)
{
    char guest[256];
    size_t size;
    FsRule rule;

    if (!fs_local_classify(file, folder, &rule, &size) || size >= sizeof(guest))
        return;
    memcpy(guest, file, size);
    guest[size] = '\0';
    fleet_review(fleet, guest);
}

static void handle_event(FsFleet *fleet, const struct inotify_event *event)
{
    fleet->epoch++;
    if (event->mask & CONTENT_EVENTS)
        return;
    if (event->mask & IN_Q_OVERFLOW) {
        fleet->rescan = true;
        return;
    }
    if (event->wd != fleet->source_wd) {
        const char *folder = g_hash_table_lookup(fleet->folders, GINT_TO_POINTER(event->wd));
        g_autofree char *name = g_strdup(folder);
        if (event->mask & IN_IGNORED)
            g_hash_table_remove(fleet->folders, GINT_TO_POINTER(event->wd));
        if (name)
            fleet_review(fleet, name);
        return;
    }
    if (event->len == 0 || event->name[0] == '.')
        return;
    if ((event->mask & IN_ISDIR) && (event->mask & (IN_CREATE | IN_MOVED_TO)))
        follow_folder(fleet, event->name);
    review_file(fleet, event->name, event->mask & IN_ISDIR);
    /* A link may mean a folder, and its event does not say so. */
    if (!(event->mask & IN_ISDIR) && fs_local_valid_name(event->name))
        fleet_review(fleet, event->name);
}

void follow_drain(FsFleet *fleet)
{
    char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t size;

    while (fleet->inotify_fd >= 0 && (size = read(fleet->inotify_fd, buffer, sizeof(buffer))) > 0) {
        for (char *at = buffer; at < buffer + size;) {
            const struct inotify_event *event = (const void *)at;
            at += sizeof(*event) + event->len;
            handle_event(fleet, event);
        }
    }
    if (fleet->rescan) {
        fleet->rescan = false;
        fleet_rescan(fleet);
    }
}

static void on_inotify(void *data, uint32_t events)
{
    follow_drain(data);
    fleet_dispatch(data);
}

void follow_folder(FsFleet *fleet, const char *name)
{
    char path[64];

    if (fleet->inotify_fd < 0 || fleet->no_watches)
        return;
    int fd = fs_local_openat(fleet->source, name, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return;
    g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int wd = inotify_add_watch(fleet->inotify_fd, path, EVENTS & ~(uint32_t)IN_DONT_FOLLOW);
    int saved = errno;
    close(fd);
    if (wd >= 0) {
        g_hash_table_insert(fleet->folders, GINT_TO_POINTER(wd), g_strdup(name));
        return;
    }
    if (saved == ENOSPC) {
        fleet->no_watches = true;
        g_warning("%s: no more inotify watches (fs.inotify.max_user_watches): changes inside "
                  "subfolders show when they are looked up",
                  fleet->source->path);
    }
}

bool follow_start(FsFleet *fleet, GError **error)
{
    if (fleet->source->store)
        return true;
    fleet->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fleet->source->fd);
    if (fleet->inotify_fd >= 0)
        fleet->source_wd = inotify_add_watch(fleet->inotify_fd, path,
                                             (EVENTS | CONTENT_EVENTS) & ~(uint32_t)IN_DONT_FOLLOW);
    if (fleet->inotify_fd < 0 || fleet->source_wd < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s: can't watch it: %s",
                    fleet->source->path, g_strerror(errno));
        return false;
    }
    fs_watch_add(&fleet->inotify, fleet->poll, fleet->inotify_fd, EPOLLIN, on_inotify, fleet);
    fleet->rescan = true; /* what came between the scan and the watch */
    return true;
}

void follow_stop(FsFleet *fleet)
{
    fs_watch_remove(&fleet->inotify);
    if (fleet->inotify_fd >= 0)
        close(fleet->inotify_fd);
    fleet->inotify_fd = -1;
}
