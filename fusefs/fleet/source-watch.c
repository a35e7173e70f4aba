/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * SOURCE by inotify: the source gives the descriptor and says which folder each watch stands for;
 * its events are the kernel's, and read here. Whatever happens to a name, what the name means is
 * asked anew; nothing is concluded from the kind of event, but that a change of content makes or
 * ends no guest. When the kernel lost events, everything is looked at again.
 *
 * A turn takes what can have been queued when it began (fs.inotify.max_queued_events), and no more.
 */

#include "fleet-private.h"

#include "fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#define BYTES_A_TURN (1024u * 1024)
#define CONTENT_EVENTS (IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE)

static void file_changed(FsFleet *fleet, const char *file, bool content)
{
    FsGuest *guest = g_hash_table_lookup(fleet->by_file, file);

    if (file[0] == '.' && !fleet->source->facts.any_name)
        return; /* never a guest's, and other programs' temporary files mostly */
    if (guest)
        guest_is_stale(guest);
    if (!guest || !content)
        fleet_ask_file(fleet, file);
}

/* Its engine may have been started with what config.json said before. */
static bool concerns_engine(const FsGuest *guest, const char *file)
{
    return guest->live && guest->live->engine && g_str_has_suffix(file, "config.json");
}

static void folder_changed(FsFleet *fleet, const char *name, const char *file, bool content)
{
    FsGuest *guest = fleet_guest(fleet, name);

    if (!guest)
        fleet_ask_file(fleet, name); /* a folder that may have become one */
    else if (content && !concerns_engine(guest, file))
        guest_is_stale(guest);
    else
        guest_look_again(guest);
}

static void handle_event(FsFleet *fleet, const struct inotify_event *event)
{
    bool content = !(event->mask & ~(uint32_t)(CONTENT_EVENTS | IN_ISDIR));
    const char *name;

    if (event->mask & IN_Q_OVERFLOW) {
        fleet_list_is_stale(fleet);
        return;
    }
    name = g_hash_table_lookup(fleet->folders, GINT_TO_POINTER(event->wd));
    if (!name)
        return; /* its watch is not told yet: who tells it looks after that */
    if (*name)
        folder_changed(fleet, name, event->len > 0 ? event->name : "", content);
    else if (event->len > 0)
        file_changed(fleet, event->name, content);
    else if (event->mask & IN_ATTRIB)
        fleet_list_is_stale(fleet); /* SOURCE: who may come to what is in it */
    if (event->mask & IN_IGNORED)
        g_hash_table_remove(fleet->folders, GINT_TO_POINTER(event->wd));
}

static void handle_events(FsFleet *fleet, const char *bytes, size_t size)
{
    size_t at = 0;

    while (size - at >= sizeof(struct inotify_event)) {
        const struct inotify_event *event = (const void *)(bytes + at);

        if (event->len > size - at - sizeof(*event))
            return;
        handle_event(fleet, event);
        at += sizeof(*event) + event->len;
    }
}

static void take_events(FsFleet *fleet)
{
    char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    size_t taken = 0;
    ssize_t size;

    while (fleet->inotify_fd >= 0 && taken < BYTES_A_TURN &&
           (size = read(fleet->inotify_fd, buffer, sizeof(buffer))) > 0) {
        handle_events(fleet, buffer, (size_t)size);
        taken += (size_t)size;
    }
}

static void on_inotify(void *data, uint32_t events)
{
    take_events(data);
    fleet_dispatch(data);
}

static void on_follow(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    FsFleet *fleet = data;

    if (answer->error == -ECANCELED || answer->error == -EOPNOTSUPP)
        return;
    if (answer->error < 0 || fds[0] < 0) {
        g_warning("%s: changes are not told, and show when they are looked at: %s",
                  fleet->source->facts.path,
                  *answer->text ? answer->text : g_strerror(-answer->error));
        return;
    }
    fleet->inotify_fd = uv_fd_steal(&fds[0]);
    fs_watch_add(&fleet->inotify, fleet->poll, fleet->inotify_fd, EPOLLIN, on_inotify, fleet);
}

void follow_start(FsFleet *fleet)
{
    FsQuestion question = fs_question(FS_ASK_FOLLOW, NULL);

    if (fs_fleet_is_shared(fleet)) /* it tells of this host's doing alone */
        return;
    fs_source_ask(fleet->source, &question, NULL, 0, on_follow, fleet);
}

void follow_folder(FsFleet *fleet, const FsAnswer *tell)
{
    FsGuest *guest = fleet_guest(fleet, tell->guest);
    void *watch = GINT_TO_POINTER((int)tell->number);
    bool known = g_strcmp0(g_hash_table_lookup(fleet->folders, watch), tell->guest) == 0;

    g_hash_table_insert(fleet->folders, watch, g_strdup(tell->guest));
    /* What happened before the watch, or before it was told, was not seen. */
    if (guest)
        guest_is_stale(guest);
    else if (*tell->guest && !known)
        fleet_ask_file(fleet, tell->guest);
}

void follow_stop(FsFleet *fleet)
{
    fs_watch_remove(&fleet->inotify);
    uv_fd_clear(&fleet->inotify_fd);
}
