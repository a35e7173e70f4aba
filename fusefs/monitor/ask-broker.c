/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is asked of SOURCE, and what is told of it. What the monitor makes nothing of goes through
 * to the front as it is. */

#include "monitor-private.h"

#include "fd.h"
#include "fds.h"
#include "told.h"

#include <errno.h>
#include <sys/epoll.h>

#define ANSWERS_A_TURN 16

typedef struct {
    uint64_t id; /* at the broker */
    FsQuestion question;
} Asked;

void monitor_ask_broker(FsMonitor *monitor, const FsQuestion *question, int fds[FS_QUESTION_FDS])
{
    const FsGuestState *guest = monitor_find_guest(monitor, question->guest);
    Asked *asked = g_new(Asked, 1);
    FsQuestion to_broker = *question;

    *asked = (Asked){.id = ++monitor->last_id, .question = *question};
    g_hash_table_insert(monitor->asked, &asked->id, asked);
    to_broker.id = asked->id;
    to_broker.process = guest ? (uint32_t)guest->pid : 0; /* it is not to be taken for another */
    if (fs_link_send(&monitor->broker, &to_broker, sizeof(to_broker), fds, fs_packet_count(fds)) <
        0)
        monitor->ended = true;
}

/* Of the guests that the descriptor tells of those that an earlier monitor's engines have. */
static void tell_engines(FsMonitor *monitor, int fd)
{
    g_autofree FsTold *told = g_new(FsTold, FS_TOLD_MAX);
    const unsigned n = fs_told_read(fd, told, FS_TOLD_MAX);

    for (unsigned i = 0; i < n; i++)
        monitor_tell_engine(monitor, told[i].guest);
}

/* Some of a list: with the id that the front gave it. false: it asked for none. */
static bool pass_guests(FsMonitor *monitor, FsAnswer *told, int fds[FS_QUESTION_FDS])
{
    const Asked *asked = g_hash_table_lookup(monitor->asked, &told->id);
    const bool adopts = g_hash_table_size(monitor->engines) > 0;
    uv_autofd int list = adopts && fds[0] >= 0 ? uv_fd_copy(fds[0]) : -1;

    if (told->id != 0 && !asked)
        return false;
    told->id = asked ? asked->question.id : 0;
    monitor_tell(monitor, told, fds, fs_packet_count(fds));
    if (list >= 0)
        tell_engines(monitor, list);
    return true;
}

/* false: there was no such question. */
static bool take_answer(FsMonitor *monitor, FsAnswer *answer, int fds[FS_QUESTION_FDS])
{
    const uint64_t id = answer->id;
    g_autofree Asked *asked = g_hash_table_lookup(monitor->asked, &id);

    if (!asked)
        return false;
    g_hash_table_steal(monitor->asked, &id);
    if (asked->question.kind == FS_ASK_LIST) /* of each guest a socket, and that to its engine */
        uv_fd_limit_raise(2 * (unsigned long)answer->number + MONITOR_OTHER_FDS);
    answer->id = asked->question.id;
    monitor_conclude(monitor, &asked->question, answer, fds);
    return true;
}

/* false: no broker says that. */
static bool take(FsMonitor *monitor, FsAnswer *told, int fds[FS_QUESTION_FDS])
{
    switch (told->kind) {
    case FS_TELL_ANSWER:
        return take_answer(monitor, told, fds);
    case FS_TELL_GUESTS:
        return pass_guests(monitor, told, fds);
    case FS_TELL_WATCH:
    case FS_TELL_DETACHED:
        monitor_tell(monitor, told, NULL, 0);
        return true;
    case FS_TELL_DOMAIN:
        monitor_domain_is(monitor, told);
        return true;
    case FS_TELL_GONE:
        monitor_domain_gone(monitor, told);
        return true;
    case FS_TELL_LOST:
        monitor_helper_lost(monitor);
        return true;
    default:
        return false;
    }
}

void monitor_hear_broker(void *data, uint32_t events)
{
    FsMonitor *monitor = data;
    FsAnswer told;
    int fds[FS_QUESTION_FDS];

    if (events & EPOLLOUT && fs_link_flush(&monitor->broker) < 0)
        monitor->ended = true;
    for (int i = 0; i < ANSWERS_A_TURN && !monitor->ended && !fs_link_is_congested(&monitor->front);
         i++) {
        const int result = fs_packet_receive(monitor->broker.fd, &told, sizeof(told), fds);
        if (result == -EAGAIN)
            return;
        if (result < 0 || !fs_answer_valid(&told) || !take(monitor, &told, fds)) {
            g_warning("the process that knows SOURCE %s: the mount ends",
                      result == -EPIPE ? "has ended" : "said what it never says");
            monitor->ended = true;
        }
        fs_packet_close(fds);
    }
}
