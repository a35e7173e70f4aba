/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The questions that start an engine, and connect to one. */

#include "questions-private.h"

#include "fd.h"
#include "rights.h"
#include "sidecars.h"
#include "tidy.h"
#include "uv-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* The engine's host socket, and its handle if it is a child of ours. */
int monitor_ask_connect(FsAsked *asked)
{
    const FsMonitor *monitor = asked->monitor;
    const FsGuestState *guest = monitor_find_guest(monitor, asked->question->guest);
    int fd = fs_sockdir_connect_host(monitor->sockdir, fs_sockdir_hash(asked->question->guest));

    if (fd < 0)
        return fd == -ENOENT ? -ECONNREFUSED : fd;
    asked->answer_fds[0] = fd;
    if (guest && guest->pidfd >= 0) {
        asked->answer_fds[1] = fcntl(guest->pidfd, F_DUPFD_CLOEXEC, 0);
        asked->answer.number = guest->pid;
    }
    return 0;
}

static int refuse_start(FsAsked *asked, int result, const char *why)
{
    g_strlcpy(asked->answer.text, why ? why : g_strerror(-result), sizeof(asked->answer.text));
    return result;
}

static int check_wish(const FsEngineWish *wish)
{
    return wish->size_bytes == 0 ||
                   (wish->size_bytes >= UV_STORAGE_MIN && wish->size_bytes <= UV_STORAGE_MAX)
               ? 0
               : -EINVAL;
}

/* It stays while it is not empty: the end of another store's sidecars must not take it away. */
static void keep_folder(int sidecars_fd, const FsPlace *place, const FsStoreFile *file)
{
    g_autofree char *lock = uv_sidecar_name(place->store, "lock");
    fs_rights_scope rights = fs_rights_take(file->uid, file->gid);
    uv_autofd int fd = openat(sidecars_fd, lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 && errno != EEXIST)
        g_message("%s: its lock file: %s", place->store, g_strerror(errno));
}

/* The sidecars' folder where its engine could not make it: beside those of other owners' stores, or
 * in a folder that is not its user's to write. */
static void make_sidecars(const FsMonitor *monitor, const FsPlace *place, const FsStoreFile *file)
{
    struct stat folder;

    if (geteuid() != 0 || monitor->options->read_only || fstat(place->folder_fd, &folder) < 0 ||
        (folder.st_uid == file->uid &&
         uv_sidecars_may_make(place->folder_fd, place->store, file->uid, file->gid)))
        return;
    uv_autofd int fd = fs_place_make_sidecars(place);
    if (fd < 0)
        g_message("%s: the folder of its sidecars: %s", place->store, g_strerror(-fd));
    else
        keep_folder(fd, place, file);
}

static int start_with(FsAsked *asked, FsGuestState *guest, const FsPlace *place,
                      const FsStoreFile *file)
{
    const bool own_listener = !(asked->question->flags & FS_START_NO_LISTENER);
    int pidfd = -1, result = own_listener ? monitor_listen(guest, place) : 0;
    pid_t pid = 0;

    if (result < 0)
        return refuse_start(asked, result, NULL);
    make_sidecars(asked->monitor, place, file);
    if (!asked->monitor->options->read_only)
        fs_tidy_expire(place, asked->monitor->options->keep_days);
    const FsSpawn spawn = {place, file, &asked->question->start,
                           own_listener ? guest->listener_fd : -1,
                           own_listener ? guest->store_socket.fd : -1};
    result = monitor_spawn(guest, &spawn, &pid, &pidfd);
    if (result < 0) {
        const char *engine = asked->monitor->options->engine;
        g_autofree char *why = g_strdup_printf("%s: %s", engine, g_strerror(-result));
        return refuse_start(asked, result, why);
    }
    monitor_engine_started(guest, pid, pidfd);
    uv_fd_clear(&pidfd);
    if (own_listener)
        monitor_watch(guest, false);
    return monitor_ask_connect(asked);
}

int monitor_ask_start(FsAsked *asked)
{
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    const FsMonitorOptions *options = asked->monitor->options;
    g_autofree char *why = NULL;
    FsStoreFile file = {.fd = -1};
    int result = check_wish(&asked->question->start);

    if (result == 0)
        result = monitor_open_place(asked, &place);
    if (result < 0)
        return refuse_start(asked, result, NULL);
    if (monitor_ask_connect(asked) == 0)
        return 0;
    FsGuestState *guest = monitor_guest(asked->monitor, asked->question->guest);
    if (guest->start)
        return refuse_start(asked, -EBUSY, "its last engine has not ended yet");
    asked->later = monitor_wait_for_end(guest, asked->question);
    if (asked->later)
        return 0;
    /* The engine only looks which file it is, and on shared storage another one may be writing. */
    const bool read_only =
        options->read_only || options->shared || asked->question->start.stateless;
    result = fs_place_open_store(&place, read_only, options->engine_uid, options->engine_gid, &file,
                                 &why);
    if (result == 0)
        result = start_with(asked, guest, &place, &file);
    else
        refuse_start(asked, result, why);
    uv_fd_clear(&file.fd);
    return result;
}
