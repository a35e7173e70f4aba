/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The life of the server: listeners, timers, signals. */

#include "server-internal.h"

#include "fd.h"
#include "listen.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

/* Connections before HELLO: beyond this the oldest goes. A client says HELLO at once. */
#define PENDING_MAX 16
#define HOSTS_MAX 8
/* Connections accepted before the others get their turn: two turns fit into those before HELLO, so
 * that one which has said it is heard before others can take its place. */
#define TURN_ACCEPTS (PENDING_MAX / 2)
/* Of the store's socket, where strangers can knock: HELLO of one that came before them is read
 * first, and the guest does not wait for them. */
#define TURN_STRANGERS 4
/* Of those that are turned away at once, and cost next to nothing. */
#define TURN_AWAY 64
/* While the guest is connected, strangers have their turn that often: each costs it some time. */
#define STRANGERS_PAUSE_MS 20
#define LOST_US (30 * G_USEC_PER_SEC)
#define ALONE_US (10 * G_USEC_PER_SEC)
/* A front that wants a trace asks for it as soon as it is connected. */
#define TRACE_AWAITED_US (1 * G_USEC_PER_SEC)
/* Lines in the log. */
#define REFUSALS_AT_ONCE 10
#define TROUBLES_AT_ONCE 5
#define EVENTS_AT_ONCE 50

/* ---- timers ---- */

static bool is_alone(UvServer *server)
{
    return server->setup.spawned && !server->session_alive && server->hosts->len == 0 &&
           g_queue_is_empty(&server->pending);
}

static int64_t next_deadline(UvServer *server)
{
    int64_t at = G_MAXINT64;

    if (server->session.mode == UV_SESSION_SERVING) {
        const int64_t due = server->store->ops->due(server->store);
        if (due != 0)
            at = due;
    }
    if (server->session_alive && server->lost_since_us != 0)
        at = MIN(at, server->lost_since_us + LOST_US);
    if (server->alone_since_us != 0)
        at = MIN(at, server->alone_since_us + ALONE_US);
    if (server->trace_due_us != 0)
        at = MIN(at, server->trace_due_us);
    if (server->trace_awaited_to_us != 0)
        at = MIN(at, server->trace_awaited_to_us);
    return at == G_MAXINT64 ? -1 : at;
}

void uv_server_rearm(UvServer *server)
{
    if (!is_alone(server))
        server->alone_since_us = 0;
    else if (server->alone_since_us == 0)
        server->alone_since_us = g_get_monotonic_time();

    /* A deadline that moved away is found out when the old one comes: no wake-up is spent on it. */
    const int64_t at = next_deadline(server);
    const int64_t set = g_source_get_ready_time(server->timer);
    if (at >= 0 && (set < 0 || at < set))
        g_source_set_ready_time(server->timer, at);
}

static gboolean on_timer(GSource *source, GSourceFunc callback, gpointer data)
{
    UvServer *server = data;
    const int64_t now = g_get_monotonic_time();

    uv_server_tick_store(server, now);
    uv_trace_tick(server, now);
    if (server->trace_awaited_to_us != 0 && now >= server->trace_awaited_to_us)
        uv_server_admit_guests(server);
    if (server->session_alive && server->lost_since_us != 0 &&
        now >= server->lost_since_us + LOST_US)
        uv_session_end(server);
    if (is_alone(server) && server->alone_since_us != 0 &&
        now >= server->alone_since_us + ALONE_US) {
        uv_server_compact(server);
        uv_server_stop(server, 0);
    }
    g_source_set_ready_time(source, -1);
    uv_server_rearm(server);
    return G_SOURCE_CONTINUE;
}

static GSource *timer_new(UvServer *server)
{
    static GSourceFuncs funcs = {.dispatch = on_timer};
    GSource *source = g_source_new(&funcs, sizeof(GSource));

    g_source_set_callback(source, NULL, server, NULL);
    g_source_attach(source, NULL);
    return source;
}

/* ---- listeners and signals ---- */

static bool peer_is_allowed(const UvServer *server, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || peer.uid == server->setup.owner);
}

static void add_guest(UvServer *server, int fd, bool must_prove)
{
    if (g_queue_get_length(&server->pending) >= PENDING_MAX)
        uv_conn_close(g_queue_peek_head(&server->pending));
    g_queue_push_tail(&server->pending, uv_conn_new(server, fd, UV_CONN_PENDING, must_prove));
}

static void add_host(UvServer *server, int fd)
{
    uv_autofd int owned = fd;

    if (server->hosts->len < HOSTS_MAX && peer_is_allowed(server, owned))
        g_ptr_array_add(server->hosts,
                        uv_conn_new(server, uv_fd_steal(&owned), UV_CONN_HOST, false));
}

static uid_t store_owner(UvServer *server)
{
    struct stat st;

    return uv_folder_stat(server->store->folder, UV_FILE_STORE, &st, NULL) ? st.st_uid : (uid_t)-1;
}

bool uv_server_is_outlived(UvServer *server)
{
    return server->setup.spawned && !server->session_alive && server->store_uid != (uid_t)-1 &&
           store_owner(server) != server->store_uid;
}

static gboolean on_listener(gint listener, GIOCondition condition, gpointer data);

static gboolean on_pause_over(gpointer data)
{
    UvServer *server = data;

    g_unix_fd_add(server->setup.store_listener, G_IO_IN, on_listener, server);
    return G_SOURCE_REMOVE;
}

/* Of the store's socket. */
static void admit_strangers(UvServer *server)
{
    unsigned taken = 0;
    struct stat st;
    const bool there = uv_folder_stat(server->store->folder, UV_FILE_STORE, &st, NULL);

    for (unsigned i = 0; i < TURN_AWAY && taken < TURN_STRANGERS; i++) {
        const int fd =
            accept4(server->setup.store_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (there && uv_proof_can_have(&st, fd)) {
            add_guest(server, fd, true);
            taken++;
        } else {
            uv_turn_away(fd, UV_WIRE_E_PROOF,
                         "this socket is for who has the store open: by its owner, group and mode "
                         "you can't");
        }
    }
}

static void admit(UvServer *server, int listener)
{
    for (unsigned i = 0; i < TURN_ACCEPTS; i++) {
        const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (listener == server->setup.host_listener)
            add_host(server, fd);
        else
            add_guest(server, fd, false);
    }
}

static gboolean on_listener(gint listener, GIOCondition condition, gpointer data)
{
    UvServer *server = data;

    /* Who knocks waits for the next one. */
    if (listener != server->setup.host_listener && uv_server_is_outlived(server)) {
        uv_server_stop(server, 0);
        return G_SOURCE_CONTINUE;
    }
    const bool store = listener == server->setup.store_listener;

    if (store)
        admit_strangers(server);
    else
        admit(server, listener);
    uv_server_rearm(server);
    if (!store || !server->guest)
        return G_SOURCE_CONTINUE;
    g_timeout_add(STRANGERS_PAUSE_MS, on_pause_over, server);
    return G_SOURCE_REMOVE;
}

void uv_server_stop(UvServer *server, int exit_status)
{
    server->exit_status = exit_status;
    g_main_loop_quit(server->loop);
}

void uv_server_leave(UvServer *server)
{
    while (server->hosts->len > 0) {
        UvConn *conn = server->hosts->pdata[0];
        uv_conn_error(conn, 0, UV_WIRE_E_CHANGED, "the store changes faster than engines start");
        if (server->hosts->len > 0 && server->hosts->pdata[0] == conn)
            uv_conn_close(conn);
    }
    uv_server_stop(server, 0);
}

static gboolean on_signal(gint fd, GIOCondition condition, gpointer data)
{
    UvServer *server = data;
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof(info)) != sizeof(info))
        return G_SOURCE_CONTINUE;
    uv_server_stop(server, uv_server_compact(server) ? 0 : 1);
    return G_SOURCE_CONTINUE;
}

/* Without it no journal can be begun, and nothing made complete. A successor has one; what is in
 * the journal it replays, and the guest resumes its session. */
static gboolean on_keeper_gone(gint fd, GIOCondition condition, gpointer data)
{
    uv_log(LOG_ERR, "the process that keeps the store's folder is gone: ending");
    uv_server_stop(data, 1);
    return G_SOURCE_REMOVE;
}

static int signal_fd_new(void)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    /* Without it they end the engine at once, as they would any program; its journal stays. */
    if (fd >= 0)
        sigprocmask(SIG_BLOCK, &set, NULL);
    return fd;
}

static void watch(UvServer *server, int fd, GUnixFDSourceFunc callback)
{
    if (fd >= 0)
        g_unix_fd_add(fd, G_IO_IN, callback, server);
}

/* ---- life ---- */

UvServer *uv_server_new(const UvServerSetup *setup, UvStore *store, UvSessionFile *session_file)
{
    UvServer *server = g_new0(UvServer, 1);

    uv_counters_begin(&server->counters);
    if (!setup->looked_at) /* that one records nothing */
        tzset();           /* reads /etc/localtime once; gmtime_r() would later */
    server->setup = *setup;
    server->store = store;
    server->session_file = session_file;
    if (setup->traced)
        server->trace_awaited_to_us = g_get_monotonic_time() + TRACE_AWAITED_US;
    if (setup->is_saved) /* when is not known: it passed no engine */
        server->saved_ns = g_get_real_time() * 1000;
    server->hosts = g_ptr_array_new();
    g_queue_init(&server->pending);
    server->refusals = (UvLogRate){.burst = REFUSALS_AT_ONCE, .what = "refused changes"};
    server->changes = (UvLogRate){.burst = EVENTS_AT_ONCE, .what = "changes"};
    server->troubles = (UvLogRate){.burst = TROUBLES_AT_ONCE, .what = "failures"};
    server->events = (UvLogRate){.burst = EVENTS_AT_ONCE, .what = "connections and sessions"};
    server->loop = g_main_loop_new(NULL, FALSE);
    server->timer = timer_new(server);
    server->signal_fd = signal_fd_new();

    server->service = uv_service_new(server->setup.service, server->store);
    uv_service_set_observer(server->service, uv_events_changed, server);
    uv_service_set_refusal_log(server->service, uv_record_refused, server);
    return server;
}

bool uv_server_load(UvServer *server, GError **error)
{
    server->takes_over = true; /* what is read is no change */
    if (!uv_server_read_store(server, error))
        return false;
    server->store_uid = store_owner(server);
    uv_session_restore(server);
    server->takes_over = false;
    /* What another host has now may be here next. */
    const bool shared = uv_hold_is_shared(server),
               never = uv_server_is_read_only(server) && !shared;
    server->record =
        uv_record_new(server->store->folder, never ? 0 : server->setup.record_bytes, shared);
    uv_outside_record(server);
    g_clear_pointer(&server->store->left, uv_meta_free);
    uv_saved_restore(server);
    server->told_state = uv_events_state(server);
    return true;
}

static void watch_guests(UvServer *server)
{
    watch(server, server->setup.guest_listener, on_listener);
    watch(server, server->setup.store_listener, on_listener);
}

void uv_server_admit_guests(UvServer *server)
{
    if (server->trace_awaited_to_us != 0)
        watch_guests(server);
    server->trace_awaited_to_us = 0;
}

int uv_server_run(UvServer *server)
{
    const int keeper_fd = uv_folder_keeper_fd(server->store->folder);

    if (server->trace_awaited_to_us == 0)
        watch_guests(server);
    watch(server, server->setup.host_listener, on_listener);
    watch(server, server->signal_fd, on_signal);
    if (keeper_fd >= 0)
        g_unix_fd_add(keeper_fd, G_IO_HUP, on_keeper_gone, server);
    uv_server_rearm(server);
    g_main_loop_run(server->loop);
    return server->exit_status;
}

static void close_connections(UvServer *server)
{
    uv_trace_flush(server);
    server->session_alive = false; /* it stays in its file, for a successor */
    while (server->hosts->len > 0)
        uv_conn_close(server->hosts->pdata[0]);
    while (!g_queue_is_empty(&server->pending))
        uv_conn_close(g_queue_peek_head(&server->pending));
    if (server->guest)
        uv_conn_close(server->guest);
}

void uv_server_free(UvServer *server)
{
    if (!server)
        return;
    close_connections(server);
    g_source_destroy(server->timer);
    g_source_unref(server->timer);
    g_main_loop_unref(server->loop);
    g_ptr_array_unref(server->hosts);
    uv_service_free(server->service);
    uv_record_free(server->record); /* it has lines for the store's folder */
    uv_store_close(server->store);
    uv_session_file_free(server->session_file);
    uv_fd_clear(&server->setup.guest_listener);
    uv_fd_clear(&server->setup.host_listener);
    uv_fd_clear(&server->setup.store_listener);
    uv_fd_clear(&server->signal_fd);
    g_free(server);
}
