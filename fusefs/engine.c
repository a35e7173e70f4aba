/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * An engine's life as the front sees it.
 *
 * STARTING: spawned or found in the sockdir, HELLO and SNAPSHOT are sent. READY: the replica is
 * filled and follows. ENDING: END is sent; it answers no, and is READY again, or goes. An engine
 * whose connection is lost while the process lives has cut us off (we did not read): we connect
 * again and take a new snapshot. It is gone when its process is.
 *
 * The cap counts engines without a guest that answer: those whose guest is connected, and hung
 * ones, are not ours to end. Over it, the least recently used one is asked to end and whoever wants
 * one waits in fleet->wanting.
 */

#include "fleet-private.h"

#include <errno.h>
#include <gio/gio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECONNECT_US G_USEC_PER_SEC
/* An engine of another version is asked that often whether it is still there. */
#define FOREIGN_US (5 * G_USEC_PER_SEC)
/* After a failed start nobody gets another one for this long. */
#define FAILURE_US G_USEC_PER_SEC
#define STARTS_MAX 2
/* Engines unused for so long go early when the cap comes near. */
#define RECENT_US (100 * 1000)

static bool has_guest(const FsLive *live)
{
    return live->state & (UV_HOST_STATE_GUEST | UV_HOST_STATE_CONNECTED);
}

static bool is_silent(const FsEngine *engine, int64_t now)
{
    return engine->waiting_since && now - engine->waiting_since > SILENT_US;
}

FsEngine *engine_new(FsGuest *guest)
{
    FsEngine *engine = g_new0(FsEngine, 1);
    engine->fleet = guest->fleet;
    engine->guest = guest;
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

uint64_t engine_send(FsEngine *engine, uint16_t type, GBytes *payload)
{
    uint64_t cookie = ++engine->next_cookie;
    UvFrameResult result = uv_frame_io_send(engine->io, type, cookie, payload, -1);

    if (result == UV_FRAME_CLOSED)
        return 0; /* the watch will tell */
    watch_output(engine, result != UV_FRAME_READY);
    if (!engine->waiting_since)
        engine->waiting_since = g_get_monotonic_time();
    return cookie;
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

bool engine_connect(FsEngine *engine)
{
    FsFleet *fleet = engine->fleet;
    g_auto(UvWriter) writer = {0};

    engine->connected_at = g_get_monotonic_time();
    int fd = fs_sockdir_connect_host(fleet->sockdir, guest_hash(engine->guest));
    if (fd < 0)
        return false;
    engine->io = uv_frame_io_new(fd, host_frame_cap, NULL);
    if (fs_watch_add(&engine->watch, fleet->poll, fd, EPOLLIN, on_engine_ready, engine) < 0) {
        g_clear_pointer(&engine->io, uv_frame_io_free);
        return false;
    }
    engine->watching_output = false;
    engine->state = FS_ENGINE_STARTING;
    engine->waiting_since = 0;
    uv_writer_init(&writer, 64);
    uv_write_u32(&writer, UV_WIRE_VERSION);
    uv_write_bytes(&writer, "uefivarsfs " UV_VERSION, strlen("uefivarsfs " UV_VERSION));
    g_autoptr(GBytes) hello = uv_writer_steal(&writer);
    engine_send(engine, UV_HOST_HELLO, hello);
    engine_send(engine, UV_HOST_SNAPSHOT, NULL);
    if (engine->guest->listener_fd < 0)
        engine_send(engine, UV_HOST_LISTENER, NULL);
    return true;
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

void engine_attach_pid(FsEngine *engine, pid_t pid, bool child)
{
    engine->pid = pid;
    engine->child = child;
    engine->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (engine->pidfd >= 0)
        fs_watch_add(&engine->pid_watch, engine->fleet->poll, engine->pidfd, EPOLLIN,
                     on_process_gone, engine);
}

void engine_relist(FsEngine *engine)
{
    FsFleet *fleet = engine->fleet;
    bool idle = engine->guest && engine->io && engine->state == FS_ENGINE_READY &&
                !has_guest(engine->guest->live);

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
    engine->state = FS_ENGINE_ENDING;
    engine->asked_to_end_at = g_get_monotonic_time();
    engine->end_cookie = engine_send(engine, UV_HOST_END, NULL);
    engine_relist(engine);
}

void engine_kill(FsEngine *engine)
{
    /* An adopted one told us its process id itself: we do not shoot where a stranger points. */
    if (engine->child && engine->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, engine->pidfd, SIGKILL, NULL, 0);
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

/* One that we found and can't speak with: its guest is left alone, and not served here. */
static bool is_foreign(const FsEngine *engine)
{
    return engine->failure && !engine->child;
}

static void tell_of_foreign(FsEngine *engine)
{
    FsGuest *guest = engine->guest;

    if (g_strcmp0(guest->live->failure, engine->failure) != 0) {
        g_warning("guest %s: %s: it is left alone", guest->name, engine->failure);
        g_free(guest->live->failure);
        guest->live->failure = g_strdup(engine->failure);
    }
    fs_guest_set_warning(guest, "engine", engine->failure);
    guest_fail_calls(guest, EIO);
}

void engine_lost_connection(FsEngine *engine)
{
    int64_t now = g_get_monotonic_time();
    bool ends = engine->ended || (engine->child && engine->failure);
    bool soon = is_foreign(engine) || now - engine->connected_at < RECONNECT_US;

    drop_connection(engine);
    if (process_gone(engine)) {
        engine_gone(engine);
        return;
    }
    if (is_foreign(engine))
        tell_of_foreign(engine);
    if (!ends && !soon && engine_connect(engine))
        return;
    if (engine->pidfd < 0 && (ends || !soon))
        engine_gone(engine);
    else
        fleet_due(engine->fleet, now + RECONNECT_US);
}

static void engine_free(FsEngine *engine)
{
    if (engine->child)
        waitpid(engine->pid, NULL, WNOHANG);
    fs_watch_remove(&engine->pid_watch);
    if (engine->pidfd >= 0)
        close(engine->pidfd);
    g_queue_unlink(&engine->fleet->engines, &engine->in_fleet);
    g_free(engine->build);
    g_free(engine->failure);
    g_free(engine);
}

static void clean_up_after(FsGuest *guest, bool ended)
{
    fs_sockdir_unlink(guest->fleet->sockdir, guest_hash(guest), ".host");
    if (ended)
        fs_sockdir_unlink(guest->fleet->sockdir, guest_hash(guest), ".session");
}

void engine_gone(FsEngine *engine)
{
    FsFleet *fleet = engine->fleet;
    FsGuest *guest = engine->guest;
    bool ended = engine->ended, child = engine->child;
    bool started = engine->state != FS_ENGINE_STARTING;
    g_autofree char *failure = g_steal_pointer(&engine->failure);

    drop_connection(engine);
    engine_free(engine);
    if (!guest) {
        engines_make_room(fleet);
        return;
    }
    FsLive *live = guest->live;
    live->engine = NULL;
    live->state = 0;
    live->stale = live->stale || !ended;
    guest->away = false;
    clean_up_after(guest, ended);
    replica_cold(guest);
    if (!child)
        g_clear_pointer(&live->failure, g_free);
    else if (failure)
        guest_start_failed(guest, failure);
    else if (!started && ++live->failures >= STARTS_MAX)
        guest_start_failed(guest, "the engine died while it was starting");
    fleet_review(fleet, guest->name);
    if (!guest->gone) {
        guest_watch_listener(guest, true);
        guest_pump(guest);
    }
    engines_make_room(fleet);
}

void guest_start_failed(FsGuest *guest, const char *text)
{
    FsLive *live = guest_live(guest);

    if (g_strcmp0(live->failure, text) != 0)
        g_warning("guest %s: no engine: %s", guest->name, text);
    char *kept = g_strdup(text);
    g_free(live->failure);
    live->failure = kept;
    live->failed_at = g_get_monotonic_time();
    live->failures = 0;
    live->why = FS_START_READ;
    fs_guest_set_warning(guest, "engine", text);
    guest_fail_calls(guest, EIO);
    guest_refuse_connections(guest, text);
}

static void start_engine(FsGuest *guest)
{
    FsLive *live = guest_live(guest);
    g_autoptr(GError) error = NULL;
    FsStart why = live->why;
    pid_t pid;
    bool has_listener;

    if (!engine_spawn(guest, why, &pid, &has_listener, &error)) {
        live->preparing = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_PENDING);
        if (live->preparing)
            guest_watch_listener(guest, false);
        else
            guest_start_failed(guest, error->message);
        return;
    }
    live->why = FS_START_READ;
    FsEngine *engine = engine_new(guest);
    engine->has_listener = has_listener;
    engine_attach_pid(engine, pid, true);
    if (has_listener)
        guest_watch_listener(guest, false);
    if (!engine_connect(engine))
        fleet_due(guest->fleet, engine->connected_at + RECONNECT_US);
}

void fs_guest_prepared(FsGuest *guest, const GError *failure)
{
    FsLive *live = guest_live(guest);

    live->preparing = false;
    fleet_review(guest->fleet, guest->name);
    if (guest->gone)
        return;
    guest_watch_listener(guest, true);
    if (failure)
        guest_start_failed(guest, failure->message);
    else
        engine_want(guest, live->why);
    fleet_dispatch(guest->fleet);
}

static unsigned count_idle(const FsFleet *fleet, unsigned *ret_ending)
{
    int64_t now = g_get_monotonic_time();
    unsigned idle = 0;

    *ret_ending = 0;
    for (GList *link = fleet->engines.head; link; link = link->next) {
        const FsEngine *engine = link->data;
        if (!engine->guest || has_guest(engine->guest->live) || is_silent(engine, now))
            continue;
        idle++;
        *ret_ending += engine->state == FS_ENGINE_ENDING;
    }
    return idle;
}

/* Asks up to `count` engines to end, the least recently used first. */
static void end_oldest(FsFleet *fleet, unsigned count, int64_t used_before)
{
    for (GList *link = fleet->lru.head, *next; link && count > 0; link = next) {
        FsEngine *engine = link->data;
        next = link->next;
        if (engine->last_used > used_before)
            break;
        if (engine->guest->live->calls.head)
            continue;
        engine_end(engine);
        count--;
    }
}

void engines_make_room(FsFleet *fleet)
{
    unsigned cap = MAX(fleet->options->engines, 1), ending;
    unsigned alive = count_idle(fleet, &ending);
    int64_t now = g_get_monotonic_time();

    while (fleet->wanting.head && alive < cap) {
        FsGuest *guest = g_queue_pop_head(&fleet->wanting);
        guest->live->queued = false;
        if (guest->live->engine || !guest->live->calls.head)
            continue;
        start_engine(guest);
        alive += guest->live->engine != NULL;
    }
    unsigned wanted = fleet->wanting.length;
    if (wanted > ending)
        end_oldest(fleet, wanted - ending, now);
    else if (alive - ending > cap - cap / 4)
        end_oldest(fleet, alive - ending - (cap - cap / 4), now - RECENT_US);
    if (wanted > 0)
        fleet_due(fleet, now + RECONNECT_US);
}

void engine_want(FsGuest *guest, FsStart why)
{
    FsFleet *fleet = guest->fleet;
    FsLive *live = guest_live(guest);

    live->why = MAX(live->why, why);
    if (live->preparing)
        return;
    if (live->engine) {
        if (why == FS_START_GUEST && !live->engine->has_listener &&
            live->engine->state == FS_ENGINE_READY)
            engine_end(live->engine);
        return;
    }
    if (live->failure && g_get_monotonic_time() - live->failed_at < FAILURE_US) {
        guest_fail_calls(guest, EIO);
        guest_refuse_connections(guest, live->failure);
        return;
    }
    if (fleet->stopping || guest->gone) {
        guest_fail_calls(guest, EIO);
        return;
    }
    if (live->why == FS_START_GUEST) { /* it will not be one without a guest */
        start_engine(guest);
        return;
    }
    if (!live->queued)
        g_queue_push_tail(&fleet->wanting, guest);
    live->queued = true;
    engines_make_room(fleet);
}

static void end_idle(FsFleet *fleet, int64_t now)
{
    int64_t idle_us = fleet->options->idle_s * G_USEC_PER_SEC;

    for (GList *link = fleet->lru.head, *next; link; link = next) {
        FsEngine *engine = link->data;
        next = link->next;
        if (now - engine->last_used < idle_us) {
            fleet_due(fleet, engine->last_used + idle_us);
            return;
        }
        if (engine->guest->live->calls.head)
            engine_used(engine);
        else
            engine_end(engine);
    }
}

static void reconnect_lost(FsFleet *fleet, int64_t now)
{
    for (GList *link = fleet->engines.head, *next; link; link = next) {
        FsEngine *engine = link->data;
        next = link->next;
        if (engine->io || !engine->guest)
            continue;
        if (engine->ended || (engine->child && engine->failure))
            continue; /* its process is on its way out */
        int64_t pause = is_foreign(engine) ? FOREIGN_US : RECONNECT_US;
        if (now - engine->connected_at < pause)
            fleet_due(fleet, engine->connected_at + pause);
        else if (engine_connect(engine))
            continue;
        else if (engine->pidfd < 0)
            engine_gone(engine);
        else
            fleet_due(fleet, now + RECONNECT_US);
    }
}

static void receive_buffered(FsFleet *fleet)
{
    for (GList *link = fleet->engines.head, *next; link; link = next) {
        FsEngine *engine = link->data;
        next = link->next;
        if (engine->io && uv_frame_io_has_buffered(engine->io))
            engine_receive(engine);
    }
}

void engines_tick(FsFleet *fleet, int64_t now)
{
    receive_buffered(fleet);
    end_idle(fleet, now);
    reconnect_lost(fleet, now);
    if (fleet->wanting.head)
        engines_make_room(fleet);
}
