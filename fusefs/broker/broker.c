/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The broker's beginning, its turns, and its end. */

#include "broker-private.h"

#include "beneath.h"
#include "fd.h"
#include "fds.h"
#include "sidecars-tidy.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUESTIONS_A_TURN 16
/* Who mounts, and lists what there is, goes first. */
#define TIDY_AFTER_S 1

void broker_tell(FsBroker *broker, const FsAnswer *answer, int *fds, size_t n_fds)
{
    if (fs_link_send(&broker->link, answer, sizeof(*answer), fds, n_fds) < 0)
        broker->ended = true;
}

static void on_link(void *data, uint32_t events)
{
    FsBroker *broker = data;
    FsQuestion question;
    int fds[FS_QUESTION_FDS];

    if (events & EPOLLOUT && fs_link_flush(&broker->link) < 0)
        broker->ended = true;
    for (int i = 0; i < QUESTIONS_A_TURN && !broker->ended; i++) {
        const int result = fs_packet_receive(broker->link.fd, &question, sizeof(question), fds);
        if (result == -EAGAIN)
            return;
        if (result == 0 && fs_question_valid(&question)) {
            broker_ask(broker, &question, fds);
            continue;
        }
        fs_packet_close(fds);
        broker->ended = true;
    }
}

FsBroker *fs_broker_new(const FsBrokerOptions *options, const FsLocal *local, int link_fd,
                        GError **error)
{
    g_autoptr(FsBroker) broker = g_new0(FsBroker, 1);

    broker->options = options;
    broker->local = local;
    broker->link.fd = link_fd;
    broker->inotify_fd = -1;
    broker->watched = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    broker->poll = fs_poll_new(NULL, error);
    if (!broker->poll)
        return NULL;
    fs_beneath_stay(true);
    fs_link_open(&broker->link, broker->poll, link_fd, on_link, broker);
    broker_domains_start(broker);
    return g_steal_pointer(&broker);
}

/* By a child's child: the broker need not wait for it. It may outlive the broker, and must keep no
 * lock then. */
static void tidy(const FsBroker *broker)
{
    const pid_t child = fork();
    int kept = broker->local->fd;

    if (child == 0) {
        uv_close_all_but(&kept, 1);
        if (fork() == 0)
            uv_sidecars_tidy_all(kept, broker->options->keep_days);
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
}

static gboolean on_quiet(void *data)
{
    FsBroker *broker = data;

    broker->tidy_timer = 0;
    tidy(broker);
    return G_SOURCE_REMOVE;
}

void fs_broker_run(FsBroker *broker)
{
    if (!broker->options->read_only && !broker->local->store)
        broker->tidy_timer = g_timeout_add_seconds(TIDY_AFTER_S, on_quiet, broker);
    while (!broker->ended)
        g_main_context_iteration(NULL, TRUE);
    g_clear_handle_id(&broker->tidy_timer, g_source_remove);
    broker_end_works(broker);
    broker_domains_stop(broker);
}

void fs_broker_free(FsBroker *broker)
{
    if (!broker)
        return;
    broker_end_works(broker);
    broker_free_listing(broker->listing);
    uv_names_free(broker->names);
    if (broker->background)
        g_source_destroy(broker->background);
    g_clear_pointer(&broker->background, g_source_unref);
    g_queue_clear_full(&broker->unwatched, g_free);
    fs_link_close(&broker->link);
    g_hash_table_unref(broker->watched);
    uv_fd_clear(&broker->inotify_fd);
    fs_poll_free(broker->poll);
    g_free(broker);
}
