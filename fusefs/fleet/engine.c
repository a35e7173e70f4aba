/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * An engine's life as the front sees it.
 *
 * STARTING: asked for or found running; when it is connected, HELLO and SNAPSHOT are sent. READY:
 * the replica is filled and follows. ENDING: END is sent; it answers no, and is READY again, or
 * goes. An engine whose connection is lost while the process lives has cut us off (we did not
 * read): we connect again and take a new snapshot. It is gone when its process is.
 */

#include "engine-stopped.h"
#include "fleet-record.h"

#include "fd.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* An engine of another version is asked that often whether it is still there. */
#define FOREIGN_US (5 * G_USEC_PER_SEC)
/* The deaths of one guest's engines are told of that often. */
#define DEATHS_US (10 * G_USEC_PER_SEC)

FsEngine *engine_new(FsGuest *guest)
{
    FsEngine *engine = g_new0(FsEngine, 1);
    engine->fleet = guest->fleet;
    engine->guest = guest;
    engine->name = g_strdup(guest->name);
    engine->pidfd = -1;
    engine->in_fleet.data = engine->in_lru.data = engine;
    engine->last_used = g_get_monotonic_time();
    g_queue_push_tail_link(&guest->fleet->engines, &engine->in_fleet);
    guest_live(guest)->engine = engine;
    replica_warm(guest);
    return engine;
}

static void watch_output(FsEngine *engine, bool output)
{
    if (engine->watching_output == output)
        return;
    engine->watching_output = output;
    fs_watch_modify(&engine->watch, EPOLLIN | (output ? EPOLLOUT : 0));
}

uint64_t engine_tell(FsEngine *engine, uint16_t type, GBytes *payload)
{
    uint64_t cookie = ++engine->next_cookie;
    UvFrameResult result = uv_frame_io_send(engine->io, type, cookie, payload, -1);

    if (result == UV_FRAME_CLOSED)
        return 0; /* the watch will tell */
    watch_output(engine, result != UV_FRAME_READY);
    return cookie;
}

uint64_t engine_send(FsEngine *engine, uint16_t type, GBytes *payload)
{
    const uint64_t cookie = engine_tell(engine, type, payload);

    if (cookie && !engine->waiting_since) {
        engine->waiting_since = g_get_monotonic_time();
        fleet_due(engine->fleet, engine->waiting_since + STOPPED_US);
    }
    return cookie;
}

bool engine_release(FsEngine *engine)
{
    UvFrameResult result = uv_frame_io_hold(engine->io, false);

    if (result == UV_FRAME_CLOSED)
        return false;
    watch_output(engine, result != UV_FRAME_READY);
    return true;
}

static void on_engine_ready(void *data, uint32_t events)
{
    FsEngine *engine = data;
    FsFleet *fleet = engine->fleet;

    if (events & EPOLLOUT)
        watch_output(engine, uv_frame_io_flush(engine->io) == UV_FRAME_NONE);
    engine_receive(engine);
    fleet_dispatch(fleet);
}

void engine_connected(FsEngine *engine, int fd)
{
    engine->connected_at = g_get_monotonic_time();
    engine->io = uv_frame_io_new(fd, host_frame_cap, NULL);
    uv_frame_io_expect_listener(engine->io, engine->guest->away);
    fs_watch_add(&engine->watch, engine->fleet->poll, fd, EPOLLIN, on_engine_ready, engine);
    engine->watching_output = false;
    engine->state = FS_ENGINE_STARTING;
    engine->waiting_since = 0;
    g_autoptr(GBytes) hello = host_hello();
    engine_send(engine, UV_HOST_HELLO, hello);
    engine_send(engine, UV_HOST_SNAPSHOT, NULL);
    if (engine->guest->away)
        engine_send(engine, UV_HOST_LISTENER, NULL);
    engine_follow_record(engine);
    if (engine->silent_since)
        engine->waiting_since = engine->silent_since;
    engine->silent_since = 0;
    trace_engine_connected(engine->guest);
}

bool engine_answered(FsEngine *engine)
{
    engine->asked = false;
    if (!engine->freed)
        return true;
    g_free(engine->name);
    g_free(engine);
    return false;
}

static void on_connected(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    FsEngine *engine = data;

    if (!engine_answered(engine) || answer->error == -ECANCELED)
        return;
    if (!engine->guest) {
        if (engine->pidfd < 0)
            engine_gone(engine);
        return;
    }
    if (engine->pidfd < 0 && fds[1] >= 0)
        engine_attach_process(engine, uv_fd_steal(&fds[1]), (pid_t)answer->number, true);
    if (answer->error == 0 && fds[0] >= 0)
        engine_connected(engine, uv_fd_steal(&fds[0]));
    else if (engine->pidfd < 0)
        engine_gone(engine);
    else
        fleet_due(engine->fleet, g_get_monotonic_time() + RECONNECT_US);
}

void engine_connect(FsEngine *engine)
{
    FsQuestion question = fs_question(FS_ASK_CONNECT, engine->guest->name);

    engine->connected_at = g_get_monotonic_time();
    engine->asked = true;
    fs_source_ask(engine->fleet->source, &question, NULL, 0, on_connected, engine);
}

static bool process_gone(const FsEngine *engine)
{
    struct pollfd poll_fd = {.fd = engine->pidfd, .events = POLLIN};
    return engine->pidfd >= 0 && poll(&poll_fd, 1, 0) > 0;
}

static void on_process_gone(void *data, uint32_t events)
{
    FsEngine *engine = data;
    FsFleet *fleet = engine->fleet;

    /* What it still said counts: why it could not start, that its store is complete. */
    if (engine->io && engine->guest && !engine_receive(engine)) {
        fleet_dispatch(fleet);
        return;
    }
    engine_gone(engine);
    fleet_dispatch(fleet);
}

void engine_attach_process(FsEngine *engine, int pidfd, pid_t pid, bool child)
{
    engine->pid = pid;
    engine->child = child;
    engine->pidfd = pidfd;
    if (pidfd >= 0)
        fs_watch_add(&engine->pid_watch, engine->fleet->poll, pidfd, EPOLLIN, on_process_gone,
                     engine);
}

void engine_relist(FsEngine *engine)
{
    FsFleet *fleet = engine->fleet;
    bool idle = engine->guest && engine->io && engine->state == FS_ENGINE_READY &&
                !guest_connected(engine->guest);

    if (idle == engine->listed)
        return;
    engine->listed = idle;
    if (!idle) {
        g_queue_unlink(&fleet->lru, &engine->in_lru);
        return;
    }
    engine->last_used = g_get_monotonic_time();
    g_queue_push_tail_link(&fleet->lru, &engine->in_lru);
    fleet_due(fleet, engine->last_used + fleet->options->idle_s * G_USEC_PER_SEC);
}

void engine_used(FsEngine *engine)
{
    engine->last_used = g_get_monotonic_time();
    if (engine->listed) {
        g_queue_unlink(&engine->fleet->lru, &engine->in_lru);
        g_queue_push_tail_link(&engine->fleet->lru, &engine->in_lru);
    }
}

void engine_end(FsEngine *engine)
{
    if (engine->state != FS_ENGINE_READY || !engine->io)
        return;
    engine->state = FS_ENGINE_ENDING;
    engine->asked_to_end_at = g_get_monotonic_time();
    engine_send(engine, UV_HOST_END, NULL);
    engine_relist(engine);
}

void engine_kill(FsEngine *engine)
{
    FsQuestion question = fs_question(FS_ASK_KILL, engine->name);

    /* An adopted one is not ours to shoot. */
    if (engine->child && !engine->fleet->lost)
        fs_source_ask(engine->fleet->source, &question, NULL, 0, NULL, NULL);
}

/* What was sent and not answered is sent once more, if that is the same as once. */
static void unsend_calls(FsGuest *guest)
{
    for (GList *link = guest->live->calls.head, *next; link; link = next) {
        FsCall *call = link->data;
        next = link->next;
        if (!call->cookie)
            continue;
        if (call->once || call->retried)
            call_finish(call, EIO, NULL);
        call->cookie = 0;
        call->retried = true;
    }
}

static void drop_connection(FsEngine *engine)
{
    fs_watch_remove(&engine->watch);
    g_clear_pointer(&engine->io, uv_frame_io_free);
    engine->waiting_since = 0;
    if (engine->guest)
        unsend_calls(engine->guest);
    engine_relist(engine);
}

int64_t engine_silent_us(const FsEngine *engine)
{
    int64_t since = engine->waiting_since ? engine->waiting_since : engine->silent_since;

    return since ? g_get_monotonic_time() - since : 0;
}

void engine_cut(FsEngine *engine)
{
    int64_t silent_since = engine->waiting_since;

    /* What it has told already is heard, so the replica is good until it tells more. */
    if (engine->state != FS_ENGINE_READY || !engine->io || !engine_receive(engine))
        return;
    drop_connection(engine);
    engine->silent_since = silent_since;
    engine_connect(engine);
}

bool engine_is_foreign(const FsEngine *engine)
{
    return engine->failure && !engine->child;
}

bool engine_only_looks(const FsEngine *engine)
{
    return !engine->has_listener && !engine->no_socket;
}

static void tell_of_foreign(FsEngine *engine)
{
    FsGuest *guest = engine->guest;

    if (g_strcmp0(guest->live->failure, engine->failure) != 0) {
        fs_guest_log(guest, "%s: it is left alone", engine->failure);
        g_free(guest->live->failure);
        guest->live->failure = g_strdup(engine->failure);
    }
    fs_guest_set_warning(guest, "engine", engine->failure);
    guest_fail_engine_calls(guest, EIO);
}

void engine_lost_connection(FsEngine *engine)
{
    int64_t now = g_get_monotonic_time();
    bool ends = engine->ended || (engine->child && engine->failure);
    bool soon = engine_is_foreign(engine) || now - engine->connected_at < RECONNECT_US;

    drop_connection(engine);
    /* Until the next snapshot the guest may write what we are not told. */
    if (engine->guest && !engine->ended)
        engine->guest->live->stale = true;
    if (process_gone(engine)) {
        engine_gone(engine);
        return;
    }
    if (engine_is_foreign(engine))
        tell_of_foreign(engine);
    if (!ends && !soon)
        engine_connect(engine);
    else if (engine->pidfd < 0 && ends)
        engine_gone(engine);
    else
        fleet_due(engine->fleet, now + RECONNECT_US);
}

void engine_free(FsEngine *engine)
{
    fs_watch_remove(&engine->watch);
    fs_watch_remove(&engine->pid_watch);
    g_clear_pointer(&engine->io, uv_frame_io_free);
    uv_fd_clear(&engine->pidfd);
    g_queue_unlink(&engine->fleet->engines, &engine->in_fleet);
    g_free(engine->build);
    g_free(engine->failure);
    engine->freed = true;
    if (!engine->asked)
        engine_answered(engine);
}

/* A death that the front did not ask for is told of, not too often. */
static void on_cleaned(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data)
{
    int64_t now = g_get_monotonic_time();

    if (answer->error == 0 && *answer->text && !guest->gone && !guest->fleet->stopping &&
        guest->live->tell_death &&
        (!guest->live->death_told_at || now - guest->live->death_told_at >= DEATHS_US)) {
        guest->live->death_told_at = now;
        g_message("guest %s: its engine %s", guest->name, answer->text);
    }
}

static void clean_up_after(FsGuest *guest, bool ended)
{
    FsQuestion question = fs_question(FS_ASK_CLEAN, guest->name);

    if (guest->fleet->lost)
        return;
    question.flags = ended ? FS_CLEAN_SESSION : 0;
    guest_ask(guest, &question, NULL, 0, on_cleaned, NULL);
}

static void guest_after_engine(FsGuest *guest, bool started, bool ended, bool child,
                               const char *failure)
{
    FsLive *live = guest->live;

    if (!child)
        g_clear_pointer(&live->failure, g_free);
    else if (failure)
        guest_start_failed(guest, failure);
    else if (!started && ++live->failures >= STARTS_MAX)
        guest_start_failed(guest, "the engine died while it was starting");
    guest_look_again(guest); /* while it was there nothing could end the guest */
    if (ended) {
        guest_reconsider_calls(guest);
        guest_keep(guest);
    }
    guest_watch_listener(guest);
    guest_pump(guest);
}

/* Its guest went before it, and it had what no other engine could take away until now. */
static void clean_up_after_gone(FsFleet *fleet, const char *name)
{
    FsQuestion question = fs_question(FS_ASK_CLEAN, name);

    question.flags = FS_CLEAN_SESSION;
    if (!fleet->lost && !fleet_guest(fleet, name))
        fs_source_ask(fleet->source, &question, NULL, 0, NULL, NULL);
}

void engine_gone(FsEngine *engine)
{
    FsFleet *fleet = engine->fleet;
    FsGuest *guest = engine->guest;
    bool ended = engine->ended, child = engine->child;
    bool started = engine->served || engine->state != FS_ENGINE_STARTING;
    g_autofree char *failure = g_steal_pointer(&engine->failure), *name = g_strdup(engine->name);

    drop_connection(engine);
    engine_free(engine);
    if (!guest) {
        clean_up_after_gone(fleet, name);
        engines_make_room(fleet);
        return;
    }
    guest->live->engine = NULL;
    guest->live->state = 0;
    guest->live->stale = guest->live->stale || !ended || guest_is_never_known(guest);
    guest->live->tell_death = child && started && !ended;
    trace_engine_gone(guest);
    guest->away = false;
    clean_up_after(guest, ended);
    replica_cold(guest);
    guest_after_engine(guest, started, ended, child, failure);
    engines_make_room(fleet);
}

void engines_reconnect(FsFleet *fleet, int64_t now)
{
    for (GList *link = fleet->engines.head, *next; link; link = next) {
        FsEngine *engine = link->data;
        next = link->next;
        if (engine->io || !engine->guest || engine->asked || !engine->connected_at)
            continue;
        if (engine->ended || (engine->child && engine->failure))
            continue; /* its process is on its way out */
        int64_t pause = engine_is_foreign(engine) ? FOREIGN_US : RECONNECT_US;
        if (now - engine->connected_at < pause)
            fleet_due(fleet, engine->connected_at + pause);
        else
            engine_connect(engine);
    }
}

void engines_receive_buffered(FsFleet *fleet)
{
    for (GList *link = fleet->engines.head, *next; link; link = next) {
        FsEngine *engine = link->data;
        next = link->next;
        if (engine->io && uv_frame_io_has_buffered(engine->io))
            engine_receive(engine);
    }
}
