/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Whose session it is (server-internal.h draws the states). */

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>

#include "next-boot.h"
#include "server-internal.h"
#include "uv-limits.h"

static bool same_id(const UvServer *server, const UvHello *hello)
{
    return server->session_alive && memcmp(server->session.id, hello->id, sizeof(hello->id)) == 0;
}

/* The peer has closed, and we have not come to read that yet. */
static bool is_dead(const UvConn *conn)
{
    struct pollfd poll_fd = {uv_frame_io_fd(conn->io), POLLRDHUP, 0};

    return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

void uv_session_persist(UvServer *server)
{
    g_autoptr(GError) error = NULL;

    if (!server->session_file || !server->session_alive)
        return;
    uv_service_write_session(server->service,
                             uv_session_file_begin(server->session_file, &server->session));
    if (uv_session_file_commit(server->session_file, &error))
        return;
    /* An old state must not come back: without a file a RESUME is treated as closed. */
    uv_session_file_clear(server->session_file);
    uv_log_limited(&server->troubles, LOG_WARNING, "the session can't be kept: %s", error->message);
}

static void boot(UvServer *server)
{
    uv_next_boot_apply(server);
    server->is_boot_work = true;
    const EfiStatus status = uv_service_cold_start(server->service);
    server->is_boot_work = false;

    if (status != EFI_SUCCESS)
        uv_log_limited(&server->events, LOG_WARNING,
                       "boot initialisation: status 0x%" G_GINT64_MODIFIER "x", status);
    server->session_failed_closed = false;
    uv_session_persist(server);
    uv_events_state_changed(server);
}

void uv_session_cold_start(UvServer *server)
{
    uv_server_refresh_at_boot(server);
    boot(server);
}

static bool is_same_file(const UvStoreIdentity *a, const UvStoreIdentity *b)
{
    return a->device == b->device && a->inode == b->inode;
}

/* What is loaded is of the file that came with HELLO, or none had to come. */
static bool is_loaded(const UvServer *server, const UvHello *hello)
{
    const UvStoreIdentity *store = &server->store->identity;

    return hello->shown.inode == 0 || is_same_file(&hello->shown, store);
}

/* What the store's name means may be another file by now than when its guest showed it. */
static bool refresh(UvServer *server, const UvHello *hello, GError **error)
{
    const UvStoreIdentity *store = &server->store->identity;
    const bool was_loaded = is_loaded(server, hello);

    if (server->session_alive)
        uv_session_end(server); /* makes it complete, which may be a file of its own */
    const UvStoreIdentity before = *store;
    uv_server_refresh(server);
    if (is_loaded(server, hello) || (was_loaded && is_same_file(store, &before)))
        return true;
    return uv_fail(error, UV_STORE_ERROR, UV_STORE_ERROR_CHANGED,
                   "the store was replaced just now");
}

/* Nothing of another session is left behind. false: the guest is on another host. */
static bool start_over(UvServer *server, const UvHello *hello, GError **error)
{
    if (!refresh(server, hello, error))
        return false;
    /* Of an incoming one the source may still write. */
    if (!(hello->flags & UV_WIRE_HELLO_INCOMING) && !uv_hold_take(server, true, error))
        return false;
    server->session = (UvSessionHead){0};
    memcpy(server->session.id, hello->id, sizeof(hello->id));
    memcpy(server->session.name, hello->name, sizeof(hello->name));
    server->session_alive = true;
    server->session_failed_closed = false;
    return true;
}

static bool begin(UvServer *server, const UvHello *hello, GError **error)
{
    if (!start_over(server, hello, error))
        return false;
    if (hello->flags & UV_WIRE_HELLO_INCOMING) {
        uv_server_let_go(server);
        server->session.mode = UV_SESSION_INCOMING;
    } else if (hello->flags & UV_WIRE_HELLO_RESUME) {
        uv_service_fail_closed(server->service);
        server->session_failed_closed = true;
        uv_log_limited(&server->events, LOG_WARNING,
                       "the guest resumes a session that is not known here: closed until "
                       "its reset");
    } else {
        uv_saved_end(server);
        boot(server);
    }
    return true;
}

/* Who has the store's lock, on shared storage, may go on. */
static bool resume(UvServer *server, GError **error)
{
    return server->session.mode != UV_SESSION_SERVING || uv_hold_take(server, false, error);
}

/* 0: it is one that we can't see. */
static pid_t peer_process(const UvConn *conn)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(uv_frame_io_fd(conn->io), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0
               ? peer.pid
               : 0;
}

static void take_place(UvServer *server, UvConn *conn, const UvHello *hello)
{
    UvConn *old = server->guest;

    g_queue_remove(&server->pending, conn);
    conn->kind = UV_CONN_GUEST;
    uv_frame_io_read_ahead(conn->io, UV_WIRE_HEADER_BYTES + UV_WIRE_MM_MAX);
    server->guest = conn;
    if (old)
        uv_conn_close(old);
    server->guest_process = peer_process(conn);
    server->lost_since_us = 0;
    memcpy(server->session.name, hello->name, sizeof(hello->name));
}

bool uv_session_hello(UvServer *server, UvConn *conn, const UvHello *hello, char **ret_text)
{
    const bool resumes = same_id(server, hello);
    g_autoptr(GError) error = NULL;

    if (server->guest && !resumes && is_dead(server->guest))
        uv_conn_close(server->guest);
    if (server->guest && !resumes) {
        *ret_text = g_strdup_printf("the guest is connected already: %s",
                                    *server->session.name ? server->session.name : "(no name)");
        return false;
    }
    /* An incoming guest starts from its blob, whatever was here under that id. */
    if (!resumes || (hello->flags & UV_WIRE_HELLO_INCOMING) ? !begin(server, hello, &error)
                                                            : !resume(server, &error)) {
        *ret_text = g_strdup(error->message);
        return false;
    }
    server->session_resumed = resumes;
    take_place(server, conn, hello);
    uv_trace_event(server, resumes ? "session-resumed" : "session-begun");
    uv_session_persist(server);
    uv_events_state_changed(server);
    g_autofree char *name = uv_log_escape(hello->name);
    uv_log_limited(&server->events, LOG_INFO, "guest connected: %s%s", name,
                   resumes ? " (resumed)" : "");
    return true;
}

void uv_session_restore(UvServer *server)
{
    g_autoptr(GBytes) state = NULL;
    UvSessionHead head;

    if (!server->session_file || !uv_session_file_read(server->session_file, &head, &state))
        return;
    UvReader reader = uv_reader_of(state);
    if (!uv_service_read_session(server->service, &reader) || reader.left > 0) {
        uv_log_limited(&server->events, LOG_WARNING,
                       "the session file is not one of this version: left aside");
        uv_service_end_session(server->service);
        return;
    }
    server->session = head;
    server->session_alive = true;
    server->session_resumed = true;
    server->lost_since_us = g_get_monotonic_time();
    server->changed_when_resumed =
        head.mode == UV_SESSION_RELEASED && server->store &&
        memcmp(&head.identity, &server->store->identity, sizeof(head.identity)) != 0;
    uv_log_limited(&server->events, LOG_NOTICE, "a session goes on");
    g_autoptr(GError) error = NULL;
    if (!resume(server, &error))
        uv_log_limited(&server->events, LOG_WARNING, "it can change nothing: %s", error->message);
}

void uv_session_lost(UvServer *server)
{
    if (!server->session_alive)
        return;
    server->lost_since_us = g_get_monotonic_time();
    uv_trace_event(server, "session-lost");
    uv_log_limited(&server->events, LOG_INFO, "guest disconnected");
    if (!uv_hold_stays(server))
        uv_server_let_go(server);
    uv_events_state_changed(server);
    uv_server_rearm(server);
}

void uv_session_end(UvServer *server)
{
    if (!server->session_alive)
        return;
    const bool apart = server->session.mode != UV_SESSION_SERVING;
    uv_trace_event(server, "session-ended");
    server->session_alive = false;
    server->guest_process = 0;
    server->session = (UvSessionHead){0};
    server->session_resumed = server->session_failed_closed = false;
    server->changed_when_resumed = false;
    server->lost_since_us = 0;
    if (server->session_file)
        uv_session_file_clear(server->session_file);
    server->is_boot_work = true;
    uv_service_end_session(server->service);
    server->is_boot_work = false;
    if (apart)
        uv_server_refresh(server);
    else
        uv_server_compact(server); /* also what an engine before left in the journal */
    uv_server_let_go(server);
    uv_log_limited(&server->events, LOG_INFO, "session ended");
    uv_events_state_changed(server);
    uv_server_rearm(server);
}
