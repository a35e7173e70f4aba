/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The guests' sockets and engines. A guest's listening socket is made once and kept by the monitor,
 * whichever process accepts from it: while an engine lives the monitor just does not watch it, and
 * what connects in between, or while an engine is being replaced, waits in the backlog.
 */

#include "monitor-private.h"

#include "fd.h"
#include "fds.h"
#include "guest-name.h"
#include "program.h"
#include "unix-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What sockets leave free of the limit, so that all else goes on: handles of the engines that live
 * without a guest (64, unless engines= says else), and what starting one takes. */
#define RESERVED_FDS 128

FsGuestState *monitor_find_guest(const FsMonitor *monitor, const char *name)
{
    return g_hash_table_lookup(monitor->guests, name);
}

FsGuestState *monitor_guest(FsMonitor *monitor, const char *name)
{
    FsGuestState *guest = monitor_find_guest(monitor, name);

    if (guest)
        return guest;
    guest = g_new0(FsGuestState, 1);
    guest->monitor = monitor;
    guest->name = g_strdup(name);
    guest->listener_fd = guest->pidfd = guest->store_socket.fd = guest->bridge_pidfd = -1;
    g_hash_table_insert(monitor->guests, guest->name, guest);
    return guest;
}

void monitor_free_guest(void *data)
{
    FsGuestState *guest = data;

    fs_watch_remove(&guest->listener);
    fs_watch_remove(&guest->store_listener);
    fs_watch_remove(&guest->engine_end);
    fs_watch_remove(&guest->bridge_end);
    uv_fd_clear(&guest->bridge_pidfd);
    fs_sockdir_close_store(&guest->store_socket, false);
    uv_fd_clear(&guest->listener_fd);
    uv_fd_clear(&guest->pidfd);
    g_free(guest->ending);
    g_free(guest->start);
    g_free(guest->gone_store);
    g_free(guest->name);
    g_free(guest);
}

static void on_connection(void *data, uint32_t events)
{
    const FsGuestState *guest = data;
    FsAnswer knock = {.kind = FS_TELL_KNOCK};

    monitor_watch(data, false);
    g_strlcpy(knock.guest, guest->name, sizeof(knock.guest));
    monitor_tell(guest->monitor, &knock, NULL, 0);
}

static void watch_one(FsGuestState *guest, FsWatch *listener, int fd, bool watch)
{
    if (!watch)
        fs_watch_remove(listener);
    else if (fd >= 0 && !listener->poll && !guest->monitor->unmounted)
        fs_watch_add(listener, guest->monitor->poll, fd, EPOLLIN, on_connection, guest);
}

void monitor_watch(FsGuestState *guest, bool watch)
{
    watch_one(guest, &guest->listener, guest->listener_fd, watch);
    watch_one(guest, &guest->store_listener, guest->store_socket.fd, watch);
}

void monitor_listen_store(FsGuestState *guest, const char *path)
{
    if (guest->store_socket.fd >= 0 || guest->store_lent || !path || !*path)
        return;
    monitor_domains_serve(guest->monitor, path);
    if (fs_sockdir_listen_store(guest->monitor->sockdir, path, &guest->store_socket) == 0 &&
        uv_fd_is_last(guest->store_socket.fd, RESERVED_FDS))
        fs_sockdir_close_store(&guest->store_socket, true);
}

static int make_listener(FsGuestState *guest, const FsLook *look, const char *store_path)
{
    const FsSockdir *sockdir = guest->monitor->sockdir;
    uv_autofd int fd = fs_sockdir_listen_guest(sockdir, guest->name, look->uid, look->gid);

    if (fd < 0)
        return fd;
    if (uv_fd_is_last(fd, RESERVED_FDS)) {
        fs_sockdir_unlink(sockdir, guest->name, FS_SOCKDIR_GUEST);
        return -EMFILE;
    }
    monitor_listen_store(guest, store_path);
    guest->listener_fd = uv_fd_steal(&fd);
    guest->uid = look->uid;
    guest->gid = look->gid;
    return 0;
}

/*
 * The store has another owner now. What the old one has queued there is gone with the socket; one
 * that an engine has is that guest's still, and just its name is given to the new owner.
 */
static int follow_owner(FsGuestState *guest, const FsLook *look, const char *store_path)
{
    if (guest->uid == look->uid && guest->gid == look->gid)
        return 0;
    /* Taken over from an engine: its group is not known, the owner is who it was. */
    const bool unknown = guest->gid == (gid_t)-1 && (guest->uid == look->uid || geteuid() != 0);
    if (guest->pid != 0 || unknown) {
        guest->uid = look->uid;
        guest->gid = look->gid;
        return fs_sockdir_give_guest(guest->monitor->sockdir, guest->name, look->uid, look->gid);
    }
    const bool watched = guest->listener.poll != NULL;
    monitor_watch(guest, false);
    int before = uv_fd_steal(&guest->listener_fd);
    const int result = make_listener(guest, look, store_path);
    uv_fd_clear(&before);
    monitor_watch(guest, watched);
    return result;
}

int monitor_listen(FsGuestState *guest, const FsLook *look, const char *store_path)
{
    if (guest->lent)
        return -EAGAIN;
    return guest->listener_fd >= 0 ? follow_owner(guest, look, store_path)
                                   : make_listener(guest, look, store_path);
}

int monitor_accept(FsAsked *asked)
{
    const FsGuestState *guest = monitor_find_guest(asked->monitor, asked->question->guest);

    if (!guest || guest->listener_fd < 0)
        return -EAGAIN;
    int fd = accept4(guest->listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && guest->store_socket.fd >= 0)
        fd = accept4(guest->store_socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    asked->answer_fds[0] = fd;
    return fd < 0 ? -errno : 0;
}

/* Only a socket that listens under this guest's name. */
int monitor_take_listener(FsAsked *asked)
{
    const FsSockdir *sockdir = asked->monitor->sockdir;
    FsGuestState *guest = monitor_find_guest(asked->monitor, asked->question->guest);
    const int fd = asked->fds[0];

    if (!guest)
        return -ENOENT;
    if (guest->listener_fd >= 0)
        return -EEXIST;
    if (!uv_unix_is_listening(fd) || !fs_sockdir_is_guest(sockdir, guest->name, fd))
        return -EINVAL;
    guest->listener_fd = uv_fd_steal(&asked->fds[0]);
    guest->lent = false;
    guest->uid = fs_sockdir_guest_owner(sockdir, guest->name);
    guest->gid = (gid_t)-1; /* not known: the next look gives it the store's */
    return 0;
}

/* Reaps it; false: it lives. */
static bool reap(FsGuestState *guest)
{
    siginfo_t info;

    if (guest->pidfd < 0)
        return true;
    if (!uv_child_reap(guest->pidfd, &info))
        return false;
    fs_watch_remove(&guest->engine_end);
    uv_fd_clear(&guest->pidfd);
    guest->pid = 0;
    g_clear_pointer(&guest->ending, g_free);
    if (guest->killed)
        return true;
    if (info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED)
        guest->ending = g_strdup_printf("was killed by signal %d (%s)", info.si_status,
                                        strsignal(info.si_status));
    else if (info.si_status != 0)
        guest->ending = g_strdup_printf("ended by itself with status %d", info.si_status);
    return true;
}

/* Asks what waited for the end of the last engine. */
static void start_next(FsGuestState *guest)
{
    g_autofree FsQuestion *start = g_steal_pointer(&guest->start);
    int fds[FS_QUESTION_FDS] = {-1, -1, -1};

    if (!start)
        return;
    guest->monitor->waiting--;
    monitor_ask(guest->monitor, start, fds);
}

static void on_engine_end(void *data, uint32_t events)
{
    if (reap(data))
        start_next(data);
}

bool monitor_wait_for_end(FsGuestState *guest, const FsQuestion *start)
{
    if (reap(guest))
        return false;
    guest->start = g_memdup2(start, sizeof(*start));
    guest->monitor->waiting++;
    return true;
}

void monitor_engine_started(FsGuestState *guest, pid_t pid, int pidfd)
{
    guest->pid = pid;
    guest->pidfd = pidfd;
    guest->killed = false;
    fs_watch_add(&guest->engine_end, guest->monitor->poll, pidfd, EPOLLIN, on_engine_end, guest);
}

static void on_bridge_end(void *data, uint32_t events)
{
    FsGuestState *guest = data;
    siginfo_t info;

    (void)uv_child_reap(guest->bridge_pidfd, &info);
    fs_watch_remove(&guest->bridge_end);
    uv_fd_clear(&guest->bridge_pidfd);
}

void monitor_bridge_started(FsGuestState *guest, int pidfd)
{
    if (guest->bridge_pidfd >= 0) /* the last one's end has had no turn yet */
        on_bridge_end(guest, 0);
    guest->bridge_pidfd = pidfd;
    fs_watch_add(&guest->bridge_end, guest->monitor->poll, pidfd, EPOLLIN, on_bridge_end, guest);
}

int monitor_kill(FsGuestState *guest)
{
    if (guest->pidfd < 0)
        return -ESRCH;
    guest->killed = true;
    return syscall(SYS_pidfd_send_signal, guest->pidfd, SIGKILL, NULL, 0) < 0 ? -errno : 0;
}

static void drop_socket(FsGuestState *guest)
{
    fs_sockdir_unlink(guest->monitor->sockdir, guest->name, FS_SOCKDIR_GUEST);
    fs_watch_remove(&guest->store_listener);
    fs_sockdir_close_store(&guest->store_socket, true);
}

void monitor_drop_sockets(FsMonitor *monitor)
{
    GHashTableIter iter;
    void *data;

    g_hash_table_iter_init(&iter, monitor->guests);
    while (g_hash_table_iter_next(&iter, NULL, &data)) {
        FsGuestState *guest = data;
        monitor_watch(guest, false);
        if (guest->listener_fd >= 0 && reap(guest) && !guest->lent)
            drop_socket(guest);
    }
}

int monitor_clean(FsAsked *asked)
{
    FsMonitor *monitor = asked->monitor;
    const char *name = asked->question->guest;

    if (*name && !uv_guest_name_valid(monitor->options->libvirts, name))
        return -EINVAL;
    FsGuestState *guest = monitor_guest(monitor, name);
    if (!reap(guest)) /* its end may not have had its turn yet */
        return -EBUSY;
    guest->lent = guest->store_lent = false;
    fs_sockdir_unlink(monitor->sockdir, name, FS_SOCKDIR_HOST);
    if (asked->question->flags & FS_CLEAN_SESSION ||
        fs_sockdir_session_is_empty(monitor->sockdir, guest->name))
        fs_sockdir_unlink(monitor->sockdir, guest->name, FS_SOCKDIR_SESSION);
    if (guest->gone_store)
        monitor_domain_clear(monitor, guest->name, guest->gone_store);
    g_clear_pointer(&guest->gone_store, g_free);
    start_next(guest);
    return MONITOR_GO_ON;
}

int monitor_clean_guest(FsAsked *asked)
{
    const char *name = asked->question->guest;
    FsGuestState *guest = monitor_find_guest(asked->monitor, name);

    if (!guest)
        return 0;
    if (guest->ending)
        g_strlcpy(asked->answer.text, guest->ending, sizeof(asked->answer.text));
    g_clear_pointer(&guest->ending, g_free);
    /* Another engine may have been started meanwhile. */
    if (!asked->answer.number || guest->pid != 0 || guest->start)
        return 0;
    drop_socket(guest);
    g_hash_table_remove(asked->monitor->guests, name);
    return 0;
}

static void note_engine(uint64_t hash, const char *name, void *data)
{
    FsMonitor *monitor = data;

    if (g_str_has_suffix(name, FS_SOCKDIR_HOST))
        g_hash_table_add(monitor->engines, g_memdup2(&hash, sizeof(hash)));
}

/* Sockets that no guest can have. */
static void drop_stale(uint64_t hash, const char *name, void *data)
{
    const FsMonitor *monitor = data;

    if (g_str_has_suffix(name, FS_SOCKDIR_NEW) || (g_str_has_suffix(name, FS_SOCKDIR_GUEST) &&
                                                   !g_hash_table_contains(monitor->engines, &hash)))
        unlinkat(monitor->sockdir->fd, name, 0);
}

void monitor_find_engines(FsMonitor *monitor)
{
    fs_sockdir_each(monitor->sockdir, note_engine, monitor);
    fs_sockdir_each(monitor->sockdir, drop_stale, monitor);
}

void monitor_tell_engine(FsMonitor *monitor, const char *name)
{
    FsAnswer found = {.kind = FS_TELL_FOUND};
    FsGuestState *guest;
    uint64_t hash;
    int fd;

    if (g_hash_table_size(monitor->engines) == 0)
        return;
    hash = fs_sockdir_hash(name);
    if (!g_hash_table_remove(monitor->engines, &hash))
        return;
    fd = fs_sockdir_connect_host(monitor->sockdir, name);
    if (fd < 0) { /* no engine there: an ordinary start when it is wanted */
        fs_sockdir_unlink(monitor->sockdir, name, FS_SOCKDIR_HOST);
        return;
    }
    guest = monitor_guest(monitor, name);
    guest->lent = guest->store_lent = true;
    g_strlcpy(found.guest, name, sizeof(found.guest));
    monitor_tell(monitor, &found, &fd, 1);
}
