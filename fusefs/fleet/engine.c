/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * An engine's life as the front sees it.
 *
 * STARTING: spawned or found in the sockdir, HELLO and SNAPSHOT are sent. READY: the replica is
 * filled and follows. ENDING: END is sent; it answers no, and is READY again, or goes. An engine
 * whose connection is lost while the process lives has cut us off (we did not read): we connect
 * again and take a new snapshot. It is gone when its process is.
 */

#include "fleet-private.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* An engine of another version is asked that often whether it is still there. */
#define FOREIGN_US (5 * G_USEC_PER_SEC)
#define STARTS_MAX 2
/* The deaths of one guest's engines are told of that often. */
#define DEATHS_US (10 * G_USEC_PER_SEC)

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
    engine->state = FS_ENGINE_ENDING;
    engine->asked_to_end_at = g_get_monotonic_time();
    engine_send(engine, UV_HOST_END, NULL);
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

int64_t engine_silent_us(const FsEngine *engine)
{
    return engine->waiting_since ? g_get_monotonic_time() - engine->waiting_since : 0;
}

void engine_cut(FsEngine *engine)
{
    int64_t silent_since = engine->waiting_since;
    FsFleet *fleet = engine->fleet;

    /* What it has told already is heard, so the replica is good until it tells more. */
    if (engine->state != FS_ENGINE_READY || !engine->io || !engine_receive(engine))
        return;
    drop_connection(engine);
    if (!engine_connect(engine))
        fleet_due(fleet, engine->connected_at + RECONNECT_US);
    engine->waiting_since = silent_since;
}

bool engine_is_foreign(const FsEngine *engine)
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
    if (!ends && !soon && engine_connect(engine))
        return;
    if (engine->pidfd < 0 && (ends || !soon))
        engine_gone(engine);
    else
        fleet_due(engine->fleet, now + RECONNECT_US);
}

/* Reaps it; a death that nobody asked for is told of, not too often. */
static void note_death(const FsEngine *engine)
{
    FsLive *live = engine->guest ? engine->guest->live : NULL;
    int64_t now = g_get_monotonic_time();
    int status;

    if (!engine->child || waitpid(engine->pid, &status, WNOHANG) != engine->pid)
        return;
    if (!live || engine->ended || engine->state == FS_ENGINE_STARTING || engine->fleet->stopping ||
        (live->death_told_at && now - live->death_told_at < DEATHS_US))
        return;
    live->death_told_at = now;
    if (WIFSIGNALED(status))
        g_message("guest %s: its engine was killed by signal %d (%s)", engine->guest->name,
                  WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        g_message("guest %s: its engine ended by itself with status %d", engine->guest->name,
                  WEXITSTATUS(status));
}

void engine_free(FsEngine *engine)
{
    note_death(engine);
    fs_watch_remove(&engine->watch);
    fs_watch_remove(&engine->pid_watch);
    g_clear_pointer(&engine->io, uv_frame_io_free);
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
    if (ended || fs_sockdir_session_is_empty(guest->fleet->sockdir, guest_hash(guest)))
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

void engines_reconnect(FsFleet *fleet, int64_t now)
{
    for (GList *link = fleet->engines.head, *next; link; link = next) {
        FsEngine *engine = link->data;
        next = link->next;
        if (engine->io || !engine->guest)
            continue;
        if (engine->ended || (engine->child && engine->failure))
            continue; /* its process is on its way out */
        int64_t pause = engine_is_foreign(engine) ? FOREIGN_US : RECONNECT_US;
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

void engines_receive_buffered(FsFleet *fleet)
{
    for (GList *link = fleet->engines.head, *next; link; link = next) {
        FsEngine *engine = link->data;
        next = link->next;
        if (engine->io && uv_frame_io_has_buffered(engine->io))
            engine_receive(engine);
    }
}
