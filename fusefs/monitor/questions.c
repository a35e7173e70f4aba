/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The front's questions. What one says is checked already (its texts end, its numbers are in their
 * ranges); that a name is a guest's is for each to find out.
 *
 * A question has up to three steps: `first` is what the monitor knows; then its broker may be
 * asked (ask-broker.c), who knows SOURCE; `then` is what the monitor makes of the answer.
 */

#include "monitor-private.h"

#include "caller.h"
#include "fd.h"
#include "program.h"
#include "uv-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* Whom the socket belongs to. */
static int then_look(FsAsked *asked)
{
    FsGuestState *guest = monitor_find_guest(asked->monitor, asked->answer.guest);

    if (guest && guest->empty && asked->answer.look.flags & FS_LOOK_STORE)
        monitor_kill(guest); /* libvirt has made the store that it does not have */
    if (guest && guest->listener_fd >= 0)
        (void)monitor_listen(guest, &asked->answer.look, NULL);
    return 0;
}

static int refuse(FsAsked *asked, int result, const char *why)
{
    g_strlcpy(asked->answer.text, why, sizeof(asked->answer.text));
    return result;
}

/* The engine's host socket, and its handle if it is a child of ours. */
static int first_connect(FsAsked *asked)
{
    const FsMonitor *monitor = asked->monitor;
    const FsGuestState *guest = monitor_find_guest(monitor, asked->question->guest);
    const int fd = fs_sockdir_connect_host(monitor->sockdir, asked->question->guest);

    if (fd < 0)
        return fd == -ENOENT ? -ECONNREFUSED : fd;
    asked->answer_fds[0] = fd;
    if (guest && guest->pidfd >= 0) {
        asked->answer_fds[1] = uv_fd_copy(guest->pidfd); /* or none */
        asked->answer.number = guest->pid;
    }
    return 0;
}

static int first_start(FsAsked *asked)
{
    const uint64_t size_bytes = asked->question->start.size_bytes;

    if (size_bytes && (size_bytes < UV_STORAGE_MIN || size_bytes > UV_STORAGE_MAX))
        return refuse(asked, -EINVAL, g_strerror(EINVAL));
    FsGuestState *guest = monitor_find_guest(asked->monitor, asked->question->guest);
    if (((guest && (guest->pid != 0 || guest->lent)) ||
         g_hash_table_size(asked->monitor->engines) > 0) && /* of an earlier monitor */
        first_connect(asked) == 0)
        return 0;
    if (!guest)
        return MONITOR_GO_ON;
    if (guest->start)
        return refuse(asked, -EBUSY, "its last engine has not ended yet");
    return monitor_wait_for_end(guest, asked->question) ? MONITOR_LATER : MONITOR_GO_ON;
}

/* The store's path is for us alone. */
static char *take_path(FsAsked *asked)
{
    char *path = g_strdup(asked->answer.text);

    asked->answer.text[0] = '\0';
    return path;
}

static int start(FsAsked *asked, FsGuestState *guest, const char *path)
{
    const bool own_listener = !(asked->question->flags & FS_START_NO_LISTENER);
    const bool empty = monitor_opened_nothing(asked);
    int result = own_listener ? monitor_listen(guest, &asked->answer.look, path) : 0;

    if (result < 0)
        return refuse(asked, result, g_strerror(-result));
    result = monitor_spawn(guest, asked);
    if (result < 0) {
        g_autofree char *why =
            g_strdup_printf("%s: %s", asked->monitor->options->engine, g_strerror(-result));
        return refuse(asked, result, why);
    }
    guest->empty = empty;
    if (own_listener)
        monitor_watch(guest, false);
    return 0;
}

static int then_start(FsAsked *asked)
{
    FsGuestState *guest = monitor_guest(asked->monitor, asked->question->guest);
    g_autofree char *path = take_path(asked);
    /* Another one may have been started while a child looked. */
    const int result = guest->pid == 0 ? start(asked, guest, path) : 0;

    fs_packet_close(asked->answer_fds);
    return result < 0 ? result : first_connect(asked);
}

static FsGuestState *known_guest(const FsAsked *asked)
{
    return monitor_find_guest(asked->monitor, asked->question->guest);
}

static int first_kill(FsAsked *asked)
{
    FsGuestState *guest = known_guest(asked);

    if (guest && asked->question->flags & FS_KILL_STOPPED &&
        !(uv_child_is_stopped(guest->pidfd) && uv_process_is_gone((pid_t)asked->question->process)))
        return -EBUSY;
    return guest ? monitor_kill(guest) : -ESRCH;
}

static int then_listen(FsAsked *asked)
{
    FsGuestState *guest = monitor_guest(asked->monitor, asked->question->guest);
    g_autofree char *path = take_path(asked);
    const int result = monitor_listen(guest, &asked->answer.look, path);

    /* Also one that was there: of a guest of that name before, whose engine is on its way out. */
    if (result == 0)
        monitor_watch(guest, true);
    return result;
}

/* An engine of an earlier monitor may have had the store's socket. */
static int first_watch(FsAsked *asked)
{
    FsGuestState *guest = known_guest(asked);

    if (!guest || guest->listener_fd < 0)
        return -ENOENT;
    monitor_watch(guest, true);
    return guest->store_socket.fd < 0 ? MONITOR_GO_ON : 0;
}

static int then_watch(FsAsked *asked)
{
    FsGuestState *guest = known_guest(asked);
    g_autofree char *path = take_path(asked);

    if (guest)
        monitor_listen_store(guest, path);
    if (guest && guest->listener.poll)
        monitor_watch(guest, true);
    return 0;
}

static int first_caller(FsAsked *asked)
{
    asked->answer.number = uv_caller_makes_name(asked->question->flags);
    return 0;
}

static int first_unmount(FsAsked *asked)
{
    monitor_unmount(asked->monitor);
    return 0;
}

static int first_ready(FsAsked *asked)
{
    FsMonitor *monitor = asked->monitor;

    if (monitor->ready)
        return -EALREADY;
    monitor->ready = true;
    if (monitor->hooks->ready)
        monitor->hooks->ready(monitor->hooks->data);
    return MONITOR_GO_ON;
}

static int first_name(FsAsked *asked)
{
    g_autofree char *path = g_strdup_printf("/proc/%u/comm", asked->question->process);

    asked->answer_fds[0] = open(path, O_RDONLY | O_CLOEXEC);
    return asked->answer_fds[0] < 0 ? -errno : 0;
}

static const struct {
    int (*first)(FsAsked *asked);
    bool broker;
    int (*then)(FsAsked *asked);
} table[FS_ASKS] = {
    [FS_ASK_LIST] = {.broker = true},
    [FS_ASK_LOOK] = {.broker = true, .then = then_look},
    [FS_ASK_FILE] = {.broker = true, .then = then_look},
    [FS_ASK_FOLLOW] = {.broker = true},
    [FS_ASK_READ] = {.broker = true},
    [FS_ASK_WRITE] = {.broker = true},
    [FS_ASK_MAKE] = {.broker = true},
    [FS_ASK_REMOVE] = {.broker = true},
    [FS_ASK_RENAME] = {.broker = true},
    [FS_ASK_SET_ASIDE] = {.broker = true},
    [FS_ASK_INSTANTIATE] = {.broker = true},
    [FS_ASK_IMAGE] = {.broker = true},
    [FS_ASK_HOLDER] = {.broker = true},
    [FS_ASK_START] = {.first = first_start, .broker = true, .then = then_start},
    [FS_ASK_CONNECT] = {.first = first_connect},
    [FS_ASK_KILL] = {.first = first_kill},
    [FS_ASK_CLEAN] = {.first = monitor_clean, .broker = true, .then = monitor_clean_guest},
    [FS_ASK_LISTEN] = {.broker = true, .then = then_listen},
    [FS_ASK_WATCH] = {.first = first_watch, .broker = true, .then = then_watch},
    [FS_ASK_ACCEPT] = {.first = monitor_accept},
    [FS_ASK_LISTENER] = {.first = monitor_take_listener},
    [FS_ASK_CALLER] = {.first = first_caller},
    [FS_ASK_UNMOUNT] = {.first = first_unmount},
    [FS_ASK_READY] = {.first = first_ready, .broker = true},
    [FS_ASK_NAME] = {.first = first_name},
    [FS_ASK_LOOKS] = {.broker = true},
};

static int ask(FsAsked *asked)
{
    const FsAsk kind = asked->question->kind;
    const bool passes_fds = table[kind].broker || kind == FS_ASK_LISTENER;
    int result = MONITOR_GO_ON;

    if (!passes_fds && fs_packet_count(asked->fds) > 0)
        return -EINVAL;
    if (table[kind].first)
        result = table[kind].first(asked);
    if (result != MONITOR_GO_ON)
        return result;
    if (!table[kind].broker) /* the monitor's own to ask */
        return -EINVAL;
    monitor_ask_broker(asked->monitor, asked->question, asked->fds);
    return MONITOR_LATER;
}

static void answer(FsAsked *asked, int result)
{
    asked->answer.error = result;
    monitor_tell(asked->monitor, &asked->answer, asked->answer_fds,
                 fs_packet_count(asked->answer_fds));
}

void monitor_conclude(FsMonitor *monitor, const FsQuestion *question, const FsAnswer *told,
                      int fds[FS_QUESTION_FDS])
{
    FsAsked asked = {.monitor = monitor, .question = question, .fds = fds, .answer = *told};

    for (int i = 0; i < FS_QUESTION_FDS; i++)
        asked.answer_fds[i] = uv_fd_steal(&fds[i]);
    if (question->id == 0)
        fs_packet_close(asked.answer_fds);
    else
        answer(&asked, told->error == 0 && table[question->kind].then
                           ? table[question->kind].then(&asked)
                           : told->error);
}

/* Those that are not answered yet. */
static unsigned count_open(const FsMonitor *monitor)
{
    return monitor->waiting + g_hash_table_size(monitor->asked);
}

void monitor_ask(FsMonitor *monitor, const FsQuestion *question, int fds[FS_QUESTION_FDS])
{
    FsAsked asked = {.monitor = monitor,
                     .question = question,
                     .fds = fds,
                     .answer = {.kind = FS_TELL_ANSWER, .id = question->id},
                     .answer_fds = {-1, -1, -1}};
    const int result = count_open(monitor) >= FS_QUESTIONS_MAX ? -EBUSY : ask(&asked);

    fs_packet_close(fds);
    if (result != MONITOR_LATER)
        answer(&asked, result);
}
