/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Questions under way and their answers; see source.h. */

#include "source.h"

#include "fd.h"
#include "packet.h"

#include <errno.h>
#include <string.h>

typedef struct {
    FsQuestion question;
    int fds[FS_QUESTION_FDS];
    size_t n_fds;
    FsAnswered answered;
    void *data;
} Pending;

static void pending_free(Pending *pending)
{
    fs_packet_close(pending->fds);
    g_free(pending);
}

void fs_source_init(FsSource *source, const FsSourceClass *class, const FsSourceFacts *facts)
{
    source->class = class;
    source->facts = *facts;
    source->facts.path = g_strdup(facts->path);
    source->facts.sockdir = g_strdup(facts->sockdir);
    source->under_way = g_hash_table_new(g_int64_hash, g_int64_equal);
}

/* Ends a question that the monitor will not answer. */
static void fail_pending(Pending *pending, int error)
{
    const FsAnswer answer = {.kind = FS_TELL_ANSWER, .error = error, .id = pending->question.id};
    int none[FS_QUESTION_FDS] = {-1, -1, -1};

    if (pending->answered)
        pending->answered(&answer, none, pending->data);
    pending_free(pending);
}

static void fail_all(FsSource *source, int error)
{
    g_autoptr(GList) under_way = g_hash_table_get_values(source->under_way);
    Pending *pending;

    g_hash_table_remove_all(source->under_way);
    for (GList *link = under_way; link; link = link->next)
        fail_pending(link->data, error);
    while ((pending = g_queue_pop_head(&source->waiting)))
        fail_pending(pending, error);
}

void fs_source_lose(FsSource *source)
{
    if (source->lost)
        return;
    source->lost = true;
    fail_all(source, -EIO);
    if (source->events.lost)
        source->events.lost(source->events_data);
}

int fs_source_start(FsSource *source, FsPoll *poll, const FsSourceEvents *events, void *data)
{
    source->events = *events;
    source->events_data = data;
    return source->class->start(source, poll);
}

void fs_source_free(FsSource *source)
{
    if (!source)
        return;
    source->lost = true;
    fail_all(source, -ECANCELED);
    g_hash_table_unref(source->under_way);
    g_free(source->facts.path);
    g_free(source->facts.sockdir);
    source->class->free(source);
}

FsQuestion fs_question(FsAsk kind, const char *guest)
{
    FsQuestion question = {.kind = kind};

    if (guest)
        g_strlcpy(question.guest, guest, sizeof(question.guest));
    return question;
}

/* false: it has to wait. */
static bool send_pending(FsSource *source, Pending *pending)
{
    int result;

    if (g_hash_table_size(source->under_way) >= FS_QUESTIONS_MAX)
        return false;
    result = source->class->send(source, &pending->question, pending->fds, pending->n_fds);
    if (result == -EAGAIN)
        return false;
    fs_packet_close(pending->fds);
    pending->n_fds = 0;
    /* Of a connection that is gone its descriptor tells, from the main loop. */
    g_hash_table_insert(source->under_way, &pending->question.id, pending);
    return true;
}

void fs_source_flush(FsSource *source)
{
    while (source->waiting.head && send_pending(source, source->waiting.head->data))
        g_queue_pop_head(&source->waiting);
}

void fs_source_ask(FsSource *source, const FsQuestion *question, int *fds, size_t n_fds,
                   FsAnswered answered, void *data)
{
    Pending *pending = g_new(Pending, 1);

    *pending = (Pending){.question = *question,
                         .fds = {-1, -1, -1},
                         .n_fds = n_fds,
                         .answered = answered,
                         .data = data};
    pending->question.id = ++source->last_id;
    for (size_t i = 0; i < n_fds; i++)
        pending->fds[i] = uv_fd_steal(&fds[i]);
    /* Also where the monitor is gone: an answer never comes from inside the question. */
    if (source->waiting.head || !send_pending(source, pending))
        g_queue_push_tail(&source->waiting, pending);
}

static void hand_answer(FsSource *source, const FsAnswer *answer, int fds[FS_QUESTION_FDS])
{
    Pending *pending = g_hash_table_lookup(source->under_way, &answer->id);

    if (!pending)
        return; /* to no question of ours: a mistake, without harm */
    g_hash_table_remove(source->under_way, &answer->id);
    if (pending->answered)
        pending->answered(answer, fds, pending->data);
    pending_free(pending);
}

void fs_source_deliver(FsSource *source, FsAnswer *packet, int fds[FS_QUESTION_FDS])
{
    /* The monitor is trusted; a mistake of either side must not become one of memory. */
    if (!fs_answer_valid(packet)) {
        fs_packet_close(fds);
        g_warning("the monitor said what can't be (%u): it is not believed any more", packet->kind);
        fs_source_lose(source);
        return;
    }
    if (packet->kind == FS_TELL_ANSWER)
        hand_answer(source, packet, fds);
    else if (source->events.told)
        source->events.told(packet, fds, source->events_data);
    fs_packet_close(fds);
    fs_source_flush(source);
}
