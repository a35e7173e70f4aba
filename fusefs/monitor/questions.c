/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The front's questions, one function each. What a question says is checked already (its texts end,
 * its numbers are in their ranges); that a name is a guest's is for each to find out. */

#include "monitor-private.h"

#include "caller.h"
#include "edit.h"
#include "fd.h"
#include "sidecars.h"
#include "texts.h"
#include "uv-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    FsMonitor *monitor;
    const FsQuestion *question;
    int *fds;
    FsAnswer answer; /* sent when the function has returned, unless it is `later` */
    int answer_fds[FS_QUESTION_FDS];
    bool later;
} Asked;

static int open_place(const Asked *asked, FsPlace *ret_place)
{
    return fs_place_open(asked->monitor->source, asked->question->guest, ret_place);
}

static void fill_look(Asked *asked, const FsPlace *place, const char *guest)
{
    fs_place_look(asked->monitor->source, place, guest,
                  monitor_watches(asked->monitor, place->rule == FS_RULE_FOLDER ? guest : NULL),
                  &asked->answer.look);
}

static int ask_list(Asked *asked)
{
    asked->later = true;
    monitor_list(asked->monitor, asked->question->id);
    return 0;
}

static void add_shadowed(Asked *asked, const char *guest)
{
    g_auto(GStrv) shadowed = NULL;
    FsRule rule;

    if (!fs_local_find(asked->monitor->source, guest, &rule, &shadowed) || !shadowed)
        return;
    g_autofree char *text = g_strjoinv("\n", shadowed);
    g_strlcpy(asked->answer.text, text, sizeof(asked->answer.text));
}

static int look_at(Asked *asked, const char *guest)
{
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    FsMonitor *monitor = asked->monitor;
    int result;

    g_strlcpy(asked->answer.guest, guest, sizeof(asked->answer.guest));
    if (*guest)
        monitor_watch_folder(monitor, guest);
    result = fs_place_open(monitor->source, guest, &place);
    if (result < 0)
        return result;
    fill_look(asked, &place, guest);
    FsGuestState *state = monitor_find_guest(monitor, guest);
    if (state && state->listener_fd >= 0)
        (void)monitor_listen_for(state, &place,
                                 &asked->answer.look); /* whom the socket belongs to */
    if (asked->question->flags & FS_LOOK_SHADOWED)
        add_shadowed(asked, guest);
    return 0;
}

static int ask_look(Asked *asked)
{
    return look_at(asked, asked->question->guest);
}

/* A file of SOURCE that something happened to. */
static int ask_file(Asked *asked)
{
    const char *file = asked->question->guest;
    g_autofree char *guest = fs_local_guest_of(file);

    /* A folder, or a link to one, is the guest of its whole name. */
    monitor_forget_folder(asked->monitor, file);
    if (fs_local_valid_name(file) && look_at(asked, file) == 0)
        return 0;
    if (guest)
        return look_at(asked, guest);
    asked->answer.guest[0] = '\0';
    if (fs_local_valid_name(file))
        g_strlcpy(asked->answer.guest, file, sizeof(asked->answer.guest));
    return -ENOENT;
}

static int ask_follow(Asked *asked)
{
    int fd = monitor_follow(asked->monitor);

    if (fd >= 0)
        asked->answer_fds[0] = fd;
    return MIN(fd, 0);
}

static int ask_read(Asked *asked)
{
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    FsIdentity identity;
    int result = open_place(asked, &place);
    int fd = result < 0 ? result : fs_beside_open(&place, asked->question->text, &identity);

    if (fd < 0)
        return fd;
    asked->answer_fds[0] = fd;
    fill_look(asked, &place, asked->question->guest);
    FsLook *look = &asked->answer.look;
    FsIdentity *const of_text[FS_TEXTS] = {
        [FS_TEXT_CONFIG] = &look->config,
        [FS_TEXT_PIN] = &look->pin,
        [FS_TEXT_HINT] = &look->hint,
        [FS_TEXT_STORE] = &look->store,
    };
    if (of_text[asked->question->text])
        *of_text[asked->question->text] = identity; /* of what was opened */
    return 0;
}

static int ask_write(Asked *asked)
{
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    int result = asked->monitor->options->read_only ? -EROFS : open_place(asked, &place);

    if (result == 0)
        result = fs_beside_write(&place, asked->question->text, asked->fds[0]);
    if (result == 0)
        fill_look(asked, &place, asked->question->guest);
    return result;
}

static int ask_make(Asked *asked)
{
    const FsMonitor *monitor = asked->monitor;
    const char *guest = asked->question->guest;
    FsRule rule;
    int result;

    if (monitor->options->read_only)
        return -EROFS;
    if (!fs_local_valid_name(guest) || !fs_local_fits(monitor->source, FS_RULE_FOLDER, guest))
        return -EINVAL;
    if (fs_local_find(monitor->source, guest, &rule, NULL))
        return -EEXIST;
    result = fs_edit_make(monitor->source, guest);
    return result < 0 ? result : look_at(asked, guest);
}

static int ask_remove(Asked *asked)
{
    return asked->monitor->options->read_only
               ? -EROFS
               : fs_edit_remove(asked->monitor->source, asked->question->guest);
}

static int ask_rename(Asked *asked)
{
    return asked->monitor->options->read_only
               ? -EROFS
               : fs_edit_rename(asked->monitor->source, asked->question->guest,
                                asked->question->to);
}

static int ask_set_aside(Asked *asked)
{
    g_autofree char *path = NULL;
    int result = asked->monitor->options->read_only
                     ? -EROFS
                     : fs_edit_set_aside(asked->monitor->source, asked->question->guest,
                                         asked->question->to, &path);

    if (path)
        g_strlcpy(asked->answer.text, path, sizeof(asked->answer.text));
    return result;
}

static int ask_instantiate(Asked *asked)
{
    if (asked->monitor->options->read_only)
        return -EROFS;
    asked->later = true;
    monitor_make_store(asked->monitor, asked->question, asked->fds);
    return 0;
}

static int ask_image(Asked *asked)
{
    const FsMonitorOptions *options = asked->monitor->options;
    int fd = fs_image_open(asked->question->path, options->front_uid, options->front_gid);

    if (fd >= 0)
        asked->answer_fds[0] = fd;
    return MIN(fd, 0);
}

static int ask_holder(Asked *asked)
{
    asked->later = true;
    monitor_tell_holder(asked->monitor, asked->question);
    return 0;
}

/* The engine's host socket, and its handle if it is a child of ours. */
static int connect_host(Asked *asked)
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

static int ask_connect(Asked *asked)
{
    return connect_host(asked);
}

static int refuse_start(Asked *asked, int result, const char *why)
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

/* The sidecars' folder where its engine could not make it: beside those of other owners' stores. */
static void make_sidecars(const FsMonitor *monitor, const FsPlace *place, const FsStoreFile *file)
{
    if (geteuid() != 0 || monitor->options->read_only ||
        uv_sidecars_may_make(place->folder_fd, place->store, file->uid, file->gid))
        return;
    uv_autofd int fd = fs_place_make_sidecars(place);
    if (fd < 0)
        g_message("%s: the folder of its sidecars: %s", place->store, g_strerror(-fd));
}

static int start_with(Asked *asked, FsGuestState *guest, const FsPlace *place,
                      const FsStoreFile *file)
{
    const bool own_listener = !(asked->question->flags & FS_START_NO_LISTENER);
    int pidfd = -1, result = own_listener ? monitor_listen(guest, place) : 0;
    pid_t pid = 0;

    if (result < 0)
        return refuse_start(asked, result, NULL);
    make_sidecars(asked->monitor, place, file);
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
    return connect_host(asked);
}

static int ask_start(Asked *asked)
{
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    const FsMonitorOptions *options = asked->monitor->options;
    g_autofree char *why = NULL;
    FsStoreFile file = {.fd = -1};
    int result = check_wish(&asked->question->start);

    if (result == 0)
        result = open_place(asked, &place);
    if (result < 0)
        return refuse_start(asked, result, NULL);
    if (connect_host(asked) == 0)
        return 0;
    FsGuestState *guest = monitor_guest(asked->monitor, asked->question->guest);
    if (guest->start)
        return refuse_start(asked, -EBUSY, "its last engine has not ended yet");
    asked->later = monitor_wait_for_end(guest, asked->question);
    if (asked->later)
        return 0;
    result = fs_place_open_store(&place, options->read_only || asked->question->start.stateless,
                                 options->engine_uid, options->engine_gid, &file, &why);
    if (result == 0)
        result = start_with(asked, guest, &place, &file);
    else
        refuse_start(asked, result, why);
    uv_fd_clear(&file.fd);
    return result;
}

static FsGuestState *known_guest(const Asked *asked)
{
    return monitor_find_guest(asked->monitor, asked->question->guest);
}

static int ask_kill(Asked *asked)
{
    FsGuestState *guest = known_guest(asked);

    return guest ? monitor_kill(guest) : -ESRCH;
}

static int ask_clean(Asked *asked)
{
    FsMonitor *monitor = asked->monitor;
    const char *name = asked->question->guest;
    g_autofree char *ending = NULL;

    if (*name && !fs_local_valid_name(name))
        return -EINVAL;
    int result = monitor_clean(monitor_guest(monitor, name),
                               asked->question->flags & FS_CLEAN_SESSION, &ending);
    if (ending)
        g_strlcpy(asked->answer.text, ending, sizeof(asked->answer.text));
    return result;
}

static int ask_listen(Asked *asked)
{
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    int result = open_place(asked, &place);

    if (result < 0)
        return result;
    FsGuestState *guest = monitor_guest(asked->monitor, asked->question->guest);
    const bool is_new = guest->listener_fd < 0;
    result = monitor_listen(guest, &place);
    if (result == 0 && is_new)
        monitor_watch(guest, true);
    return result;
}

static int ask_watch(Asked *asked)
{
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    FsGuestState *guest = known_guest(asked);

    if (!guest || guest->listener_fd < 0)
        return -ENOENT;
    /* An engine of an earlier monitor may have had it. */
    if (guest->store_socket.fd < 0 && open_place(asked, &place) == 0)
        monitor_listen_store(guest, &place);
    monitor_watch(guest, true);
    return 0;
}

static int ask_accept(Asked *asked)
{
    FsGuestState *guest = known_guest(asked);
    int fd = guest ? monitor_accept(guest) : -EAGAIN;

    if (fd >= 0)
        asked->answer_fds[0] = fd;
    return MIN(fd, 0);
}

static int ask_listener(Asked *asked)
{
    FsGuestState *guest = known_guest(asked);

    return guest ? monitor_take_listener(guest, asked->fds[0]) : -ENOENT;
}

static int ask_caller(Asked *asked)
{
    asked->answer.number = fs_caller_makes_name(asked->question->flags);
    return 0;
}

static int ask_unmount(Asked *asked)
{
    monitor_unmount(asked->monitor);
    return 0;
}

static int ask_ready(Asked *asked)
{
    FsMonitor *monitor = asked->monitor;

    if (monitor->ready)
        return -EALREADY;
    monitor->ready = true;
    if (monitor->hooks->ready)
        monitor->hooks->ready(monitor->hooks->data);
    return 0;
}

static int ask_name(Asked *asked)
{
    return monitor_name_process(asked->question->process, asked->answer.text,
                                sizeof(asked->answer.text));
}

static const struct {
    int (*ask)(Asked *asked);
    size_t least_fds, most_fds;
} table[FS_ASKS] = {
    [FS_ASK_LIST] = {ask_list, 0, 0},
    [FS_ASK_LOOK] = {ask_look, 0, 0},
    [FS_ASK_FILE] = {ask_file, 0, 0},
    [FS_ASK_FOLLOW] = {ask_follow, 0, 0},
    [FS_ASK_READ] = {ask_read, 0, 0},
    [FS_ASK_WRITE] = {ask_write, 1, 1},
    [FS_ASK_MAKE] = {ask_make, 0, 0},
    [FS_ASK_REMOVE] = {ask_remove, 0, 0},
    [FS_ASK_RENAME] = {ask_rename, 0, 0},
    [FS_ASK_SET_ASIDE] = {ask_set_aside, 0, 0},
    [FS_ASK_INSTANTIATE] = {ask_instantiate, 0, 2},
    [FS_ASK_IMAGE] = {ask_image, 0, 0},
    [FS_ASK_HOLDER] = {ask_holder, 0, 0},
    [FS_ASK_START] = {ask_start, 0, 0},
    [FS_ASK_CONNECT] = {ask_connect, 0, 0},
    [FS_ASK_KILL] = {ask_kill, 0, 0},
    [FS_ASK_CLEAN] = {ask_clean, 0, 0},
    [FS_ASK_LISTEN] = {ask_listen, 0, 0},
    [FS_ASK_WATCH] = {ask_watch, 0, 0},
    [FS_ASK_ACCEPT] = {ask_accept, 0, 0},
    [FS_ASK_LISTENER] = {ask_listener, 1, 1},
    [FS_ASK_CALLER] = {ask_caller, 0, 0},
    [FS_ASK_UNMOUNT] = {ask_unmount, 0, 0},
    [FS_ASK_READY] = {ask_ready, 0, 0},
    [FS_ASK_NAME] = {ask_name, 0, 0},
};

static size_t count_fds(const int fds[FS_QUESTION_FDS])
{
    size_t n = 0;

    while (n < FS_QUESTION_FDS && fds[n] >= 0)
        n++;
    return n;
}

void monitor_ask(FsMonitor *monitor, const FsQuestion *question, int fds[FS_QUESTION_FDS])
{
    const size_t n_fds = count_fds(fds);
    Asked asked = {
        .monitor = monitor,
        .question = question,
        .fds = fds,
        .answer = {.kind = FS_TELL_ANSWER, .id = question->id},
        .answer_fds = {-1, -1, -1},
    };
    int result = -EINVAL;

    if (monitor->deferred >= FS_QUESTIONS_MAX)
        result = -EBUSY;
    else if (n_fds >= table[question->kind].least_fds && n_fds <= table[question->kind].most_fds)
        result = table[question->kind].ask(&asked);
    fs_packet_close(fds);
    if (asked.later)
        return;
    asked.answer.error = result;
    monitor_tell(monitor, &asked.answer, asked.answer_fds, count_fds(asked.answer_fds));
    fs_packet_close(asked.answer_fds);
}
