/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The front's questions, one function each. What a question says is checked already (its texts end,
 * its numbers are in their ranges); that a name is a guest's is for each to find out. */

#include "questions-private.h"

#include "caller.h"
#include "edit.h"
#include "fd.h"
#include "texts.h"
#include "tidy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int monitor_open_place(const FsAsked *asked, FsPlace *ret_place)
{
    return fs_place_open(asked->monitor->source, asked->question->guest, ret_place);
}

static void fill_look(FsAsked *asked, const FsPlace *place, const char *guest)
{
    fs_place_look(asked->monitor->source, place, guest,
                  monitor_watches(asked->monitor, place->rule == FS_RULE_FOLDER ? guest : NULL),
                  &asked->answer.look);
}

static int ask_list(FsAsked *asked)
{
    asked->later = true;
    monitor_list(asked->monitor, asked->question->id);
    return 0;
}

static void add_shadowed(FsAsked *asked, const char *guest)
{
    g_auto(GStrv) shadowed = NULL;
    FsRule rule;

    if (!fs_local_find(asked->monitor->source, guest, &rule, &shadowed) || !shadowed)
        return;
    g_autofree char *text = g_strjoinv("\n", shadowed);
    g_strlcpy(asked->answer.text, text, sizeof(asked->answer.text));
}

static int look_at(FsAsked *asked, const char *guest)
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

static int ask_look(FsAsked *asked)
{
    return look_at(asked, asked->question->guest);
}

/* A file of SOURCE that something happened to. */
static int ask_file(FsAsked *asked)
{
    const char *file = asked->question->guest;
    g_autofree char *guest = fs_local_guest_of(asked->monitor->source, file);

    /* A folder, or a link to one, is the guest of its whole name. */
    monitor_forget_folder(asked->monitor, file);
    if (fs_local_valid_name(asked->monitor->source, file) && look_at(asked, file) == 0)
        return 0;
    if (guest)
        return look_at(asked, guest);
    asked->answer.guest[0] = '\0';
    if (fs_local_valid_name(asked->monitor->source, file))
        g_strlcpy(asked->answer.guest, file, sizeof(asked->answer.guest));
    return -ENOENT;
}

static int ask_follow(FsAsked *asked)
{
    int fd = monitor_follow(asked->monitor);

    if (fd >= 0)
        asked->answer_fds[0] = fd;
    return MIN(fd, 0);
}

static int ask_read(FsAsked *asked)
{
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    FsIdentity identity;
    int result = monitor_open_place(asked, &place);
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

static int ask_write(FsAsked *asked)
{
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    int result = asked->monitor->options->read_only ? -EROFS : monitor_open_place(asked, &place);

    if (result == 0)
        result = fs_beside_write(&place, asked->question->text, asked->fds[0]);
    if (result == 0)
        fill_look(asked, &place, asked->question->guest);
    return result;
}

static int ask_make(FsAsked *asked)
{
    const FsMonitor *monitor = asked->monitor;
    const char *guest = asked->question->guest;
    FsRule rule;
    int result;

    if (monitor->options->read_only)
        return -EROFS;
    if (!fs_local_valid_name(monitor->source, guest) ||
        !fs_local_fits(monitor->source, FS_RULE_FOLDER, guest))
        return -EINVAL;
    if (fs_local_find(monitor->source, guest, &rule, NULL))
        return -EEXIST;
    result = fs_edit_make(monitor->source, guest);
    return result < 0 ? result : look_at(asked, guest);
}

static int ask_remove(FsAsked *asked)
{
    return asked->monitor->options->read_only
               ? -EROFS
               : fs_edit_remove(asked->monitor->source, asked->question->guest);
}

static int ask_rename(FsAsked *asked)
{
    return asked->monitor->options->read_only
               ? -EROFS
               : fs_edit_rename(asked->monitor->source, asked->question->guest,
                                asked->question->to);
}

/* Nothing stays of a guest that is none any more. */
static void tidy(const FsAsked *asked)
{
    const FsMonitor *monitor = asked->monitor;

    if (!monitor->options->read_only && !monitor->source->store)
        fs_tidy_guest(monitor->source, asked->question->guest, monitor->options->keep_days);
}

static int ask_set_aside(FsAsked *asked)
{
    g_autofree char *path = NULL;
    int result = asked->monitor->options->read_only
                     ? -EROFS
                     : fs_edit_set_aside(asked->monitor->source, asked->question->guest,
                                         asked->question->to, &path);

    if (path)
        g_strlcpy(asked->answer.text, path, sizeof(asked->answer.text));
    tidy(asked);
    return result;
}

static int ask_instantiate(FsAsked *asked)
{
    if (asked->monitor->options->read_only)
        return -EROFS;
    asked->later = true;
    monitor_make_store(asked->monitor, asked->question, asked->fds);
    return 0;
}

static int ask_image(FsAsked *asked)
{
    const FsMonitorOptions *options = asked->monitor->options;
    int fd = fs_image_open(asked->question->path, options->front_uid, options->front_gid);

    if (fd >= 0)
        asked->answer_fds[0] = fd;
    return MIN(fd, 0);
}

static int ask_holder(FsAsked *asked)
{
    asked->later = true;
    monitor_tell_holder(asked->monitor, asked->question);
    return 0;
}

static FsGuestState *known_guest(const FsAsked *asked)
{
    return monitor_find_guest(asked->monitor, asked->question->guest);
}

static int ask_kill(FsAsked *asked)
{
    FsGuestState *guest = known_guest(asked);

    return guest ? monitor_kill(guest) : -ESRCH;
}

static int ask_clean(FsAsked *asked)
{
    FsMonitor *monitor = asked->monitor;
    const char *name = asked->question->guest;
    g_autofree char *ending = NULL;

    if (*name && !fs_local_valid_name(monitor->source, name))
        return -EINVAL;
    int result = monitor_clean(monitor_guest(monitor, name),
                               asked->question->flags & FS_CLEAN_SESSION, &ending);
    if (ending)
        g_strlcpy(asked->answer.text, ending, sizeof(asked->answer.text));
    if (result == 0)
        tidy(asked); /* its engine had the lock until now */
    return result;
}

static int ask_listen(FsAsked *asked)
{
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    int result = monitor_open_place(asked, &place);

    if (result < 0)
        return result;
    FsGuestState *guest = monitor_guest(asked->monitor, asked->question->guest);
    result = monitor_listen(guest, &place);
    /* Also one that was there: of a guest of that name before, whose engine is on its way out. */
    if (result == 0)
        monitor_watch(guest, true);
    return result;
}

static int ask_watch(FsAsked *asked)
{
    g_auto(FsPlace) place = {.base_fd = -1, .folder_fd = -1};
    FsGuestState *guest = known_guest(asked);

    if (!guest || guest->listener_fd < 0)
        return -ENOENT;
    /* An engine of an earlier monitor may have had it. */
    if (guest->store_socket.fd < 0 && monitor_open_place(asked, &place) == 0)
        monitor_listen_store(guest, &place);
    monitor_watch(guest, true);
    return 0;
}

static int ask_accept(FsAsked *asked)
{
    FsGuestState *guest = known_guest(asked);
    int fd = guest ? monitor_accept(guest) : -EAGAIN;

    if (fd >= 0)
        asked->answer_fds[0] = fd;
    return MIN(fd, 0);
}

static int ask_listener(FsAsked *asked)
{
    FsGuestState *guest = known_guest(asked);

    return guest ? monitor_take_listener(guest, asked->fds[0]) : -ENOENT;
}

static int ask_caller(FsAsked *asked)
{
    asked->answer.number = fs_caller_makes_name(asked->question->flags);
    return 0;
}

static int ask_unmount(FsAsked *asked)
{
    monitor_unmount(asked->monitor);
    return 0;
}

static int ask_ready(FsAsked *asked)
{
    FsMonitor *monitor = asked->monitor;

    if (monitor->ready)
        return -EALREADY;
    monitor->ready = true;
    if (monitor->hooks->ready)
        monitor->hooks->ready(monitor->hooks->data);
    return 0;
}

static int ask_name(FsAsked *asked)
{
    return monitor_name_process(asked->question->process, asked->answer.text,
                                sizeof(asked->answer.text));
}

static const struct {
    int (*ask)(FsAsked *asked);
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
    [FS_ASK_START] = {monitor_ask_start, 0, 0},
    [FS_ASK_CONNECT] = {monitor_ask_connect, 0, 0},
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
    FsAsked asked = {
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
