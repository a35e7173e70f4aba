/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The front's questions. What one says is checked already (its texts end, its numbers are in their
 * ranges); that a name is a guest's is for each to find out.
 *
 * A question has up to three steps: `first` is what the monitor knows; `files` is what files say,
 * in a child where that may take its time (files.c, work.c); `then` is what the monitor makes of
 * it.
 */

#include "monitor-private.h"

#include "caller.h"
#include "fd.h"
#include "program.h"
#include "uv-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static int first_look(FsAsked *asked)
{
    if (*asked->question->guest)
        monitor_watch_folder(asked->monitor, asked->question->guest);
    return MONITOR_GO_ON;
}

/* Something happened to it: it may be another folder now. */
static int first_file(FsAsked *asked)
{
    monitor_forget_folder(asked->monitor, asked->question->guest);
    return first_look(asked);
}

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

static int first_instantiate(FsAsked *asked)
{
    if (!asked->monitor->source->is_domains)
        return MONITOR_GO_ON;
    return refuse(asked, -EROFS, FS_PLACE_NOT_STARTED);
}

static int then_make(FsAsked *asked)
{
    monitor_watch_folder(asked->monitor, asked->question->guest);
    return 0;
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
    return 0;
}

static int first_name(FsAsked *asked)
{
    g_autofree char *path = g_strdup_printf("/proc/%u/comm", asked->question->process);

    asked->answer_fds[0] = open(path, O_RDONLY | O_CLOEXEC);
    return asked->answer_fds[0] < 0 ? -errno : 0;
}

/* Bits of a row. */
#define WRITES 1 /* refused on a read-only mount */
#define SLOW 2   /* always done by a child, one after the other for each guest */
#define EDITS 4  /* only of a folder's guests */

static const struct {
    int (*first)(FsAsked *asked);
    FsFilesWork files;
    int (*then)(FsAsked *asked);
    uint8_t bits, least_fds, most_fds;
} table[FS_ASKS] = {
    [FS_ASK_LIST] = {.first = monitor_list},
    [FS_ASK_LOOK] = {.first = first_look, .files = monitor_files_look, .then = then_look},
    [FS_ASK_FILE] = {.first = first_file, .files = monitor_files_file, .then = then_look},
    [FS_ASK_FOLLOW] = {.first = monitor_follow},
    [FS_ASK_READ] = {.files = monitor_files_read},
    [FS_ASK_WRITE] = {.files = monitor_files_write,
                      .bits = WRITES | SLOW,
                      .least_fds = 1,
                      .most_fds = 1},
    [FS_ASK_MAKE] = {.files = monitor_files_make, .then = then_make, .bits = WRITES | SLOW | EDITS},
    [FS_ASK_REMOVE] = {.files = monitor_files_remove, .bits = WRITES | SLOW | EDITS},
    [FS_ASK_RENAME] = {.files = monitor_files_rename, .bits = WRITES | SLOW | EDITS},
    [FS_ASK_SET_ASIDE] = {.files = monitor_files_set_aside, .bits = WRITES | SLOW},
    [FS_ASK_INSTANTIATE] = {.first = first_instantiate,
                            .files = monitor_files_instantiate,
                            .bits = WRITES | SLOW,
                            .most_fds = 2},
    [FS_ASK_IMAGE] = {.files = monitor_files_image},
    [FS_ASK_HOLDER] = {.files = monitor_files_holder, .bits = SLOW},
    [FS_ASK_START] = {.first = first_start, .files = monitor_files_start, .then = then_start},
    [FS_ASK_CONNECT] = {.first = first_connect},
    [FS_ASK_KILL] = {.first = first_kill},
    [FS_ASK_CLEAN] = {.first = monitor_clean},
    [FS_ASK_LISTEN] = {.files = monitor_files_listen, .then = then_listen},
    [FS_ASK_WATCH] = {.first = first_watch, .files = monitor_files_listen, .then = then_watch},
    [FS_ASK_ACCEPT] = {.first = monitor_accept},
    [FS_ASK_LISTENER] = {.first = monitor_take_listener, .least_fds = 1, .most_fds = 1},
    [FS_ASK_CALLER] = {.first = first_caller},
    [FS_ASK_UNMOUNT] = {.first = first_unmount},
    [FS_ASK_READY] = {.first = first_ready},
    [FS_ASK_NAME] = {.first = first_name},
    [FS_ASK_LOOKS] = {.files = monitor_files_looks},
};

static int ask(FsAsked *asked)
{
    const FsAsk kind = asked->question->kind;
    const FsLocal *source = asked->monitor->source;
    const size_t n_fds = fs_packet_count(asked->fds);
    int result = MONITOR_GO_ON;

    if (n_fds < table[kind].least_fds || n_fds > table[kind].most_fds)
        return -EINVAL;
    if (table[kind].bits & WRITES && asked->monitor->options->read_only)
        return -EROFS;
    if (table[kind].bits & EDITS && (source->store || source->is_domains))
        return -EPERM;
    if (table[kind].first)
        result = table[kind].first(asked);
    if (result != MONITOR_GO_ON)
        return result;
    /* What is kept lazily is written at once, where there is a folder for it. */
    const bool slow =
        table[kind].bits & SLOW && !(kind == FS_ASK_WRITE && asked->question->text == FS_TEXT_HINT);
    result = slow ? 0 : table[kind].files(asked);
    const bool far = slow ? monitor_files_are_far(asked) : result == -EXDEV;
    if (slow || far) {
        fs_packet_close(asked->answer_fds);
        result = monitor_work(asked, table[kind].files, slow, far);
        return result == 0 ? MONITOR_LATER : result;
    }
    return result == 0 && table[kind].then ? table[kind].then(asked) : result;
}

static void answer(FsAsked *asked, int result)
{
    asked->answer.error = result;
    monitor_tell(asked->monitor, &asked->answer, asked->answer_fds,
                 fs_packet_count(asked->answer_fds));
    fs_packet_close(asked->answer_fds);
}

void monitor_conclude(FsAsked *asked, int result)
{
    const FsAsk kind = asked->question->kind;

    if (asked->question->id == 0) {
        fs_packet_close(asked->answer_fds);
        return;
    }
    answer(asked, result == 0 && table[kind].then ? table[kind].then(asked) : result);
}

void monitor_ask(FsMonitor *monitor, const FsQuestion *question, int fds[FS_QUESTION_FDS])
{
    FsAsked asked = monitor_asked(monitor, question, fds);
    const int result = monitor->deferred >= FS_QUESTIONS_MAX ? -EBUSY : ask(&asked);

    fs_packet_close(fds);
    if (result != MONITOR_LATER)
        answer(&asked, result);
}
