/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Shared by the files of the server only.
 *
 *   server.c          life: listeners, timers, signals
 *   server-store.c    the store: read, followed, made complete, let go
 *   server-conn.c     one connection: frames, deadlines, back pressure
 *   server-guest.c    the guest socket's frames
 *   server-session.c  whose session it is: begin, resume, takeover, loss, end
 *   server-migrate.c  SAVE, LOAD, ACQUIRE
 *   server-proof.c    who may be the guest of the store's socket
 *   server-saved.c    that a saved state exists
 *   server-hold.c     which host has the store, on shared storage
 *   server-host.c     the host socket's frames; server-host-set.c, server-host-store.c
 *   server-events.c   what subscribed host connections are told
 *   server-status.c   STATUS
 *   server-record.c   who acts, and what of it is recorded; server-log.c tells the log of it
 *   server-outside.c  what another program did while no engine was there
 *   server-trace.c    TRACE: what the guest does, told while it does it
 *
 * Session states:
 *
 *   none --HELLO--> alive, connected --connection lost--> alive, lost --30 s--> none
 *                        ^  |  BYE: none                      |
 *                        |  +--HELLO, other id: refused       |
 *                        +-------HELLO, same id---------------+   HELLO, other id: cold start
 *
 * and, orthogonal to it, UvSessionMode: SERVING, INCOMING until LOAD, RELEASED until ACQUIRE.
 */

#include "counters.h"
#include "frame.h"
#include "log.h"
#include "record.h"
#include "server.h"
#include "trace-line.h"

typedef struct UvTrace UvTrace;
typedef struct UvConn UvConn;

typedef enum {
    UV_CONN_PENDING, /* on the guest socket, before HELLO: not the guest */
    UV_CONN_GUEST,
    UV_CONN_HOST,
} UvConnKind;

struct UvConn {
    UvServer *server;
    UvConnKind kind;
    UvFrameIo *io;
    GSource *source;
    void *tag;
    GIOCondition watched;
    int64_t since_us; /* accepted; or, when closing, since then */
    bool in_dispatch; /* its source is armed when that ends: each change wakes the loop up */
    bool closing;     /* goes when its last bytes are sent */
    bool closed;      /* gone; the struct lives until its dispatch is over */
    bool must_prove;  /* came over the store's socket: HELLO must come with the store */
    bool greeted;     /* host: HELLO was there */
    bool subscribed;  /* host: wants events */
    UvActor actor;    /* host: who asks for the next change */
    UvTrace *trace;   /* host: it is told what the guest does; NULL: it is not */
    /* host: what the record had when it was told that it grew, and whether it wants to be */
    uint64_t told_record_bytes;
    bool knows_record, follows_record;
};

struct UvServer {
    UvServerSetup setup;
    UvService *service;
    UvStore *store;
    uid_t store_uid; /* the store's owner, when it was opened; (uid_t)-1: there was no store */

    GMainLoop *loop;
    int exit_status;
    int signal_fd;
    GSource *timer;
    int64_t alone_since_us; /* spawned: neither guest nor host; 0: not so */

    GQueue pending;   /* of UvConn, oldest first */
    UvConn *guest;    /* the connection, or NULL */
    GPtrArray *hosts; /* of UvConn */

    UvSessionFile *session_file;
    bool session_alive;
    UvSessionHead session;
    bool session_resumed, session_failed_closed;
    pid_t guest_process;   /* who connected for it last; 0: not known here */
    int64_t lost_since_us; /* alive, but without its connection; 0: not so */
    uint32_t buffer_size;  /* as agreed in HELLO */
    int64_t
        saved_ns; /* realtime of the SAVE whose state exists, see server-saved.c; 0: none does */
    bool changed_when_resumed; /* RELEASED, and the store is another than the one let go */

    bool holds_store;    /* something was written, or ACQUIREd: the store may have a lock for us */
    uint32_t told_state; /* what hosts were told last */
    pid_t told_process;
    UvRecord *record;            /* NULL: none */
    UvActor actor;               /* of what is done just now */
    unsigned traces;             /* hosts with a trace */
    int64_t trace_due_us;        /* monotonic, when they get what was collected; 0: nothing was */
    int64_t trace_awaited_to_us; /* guests are let in then, if no trace came first; 0: they are */
    bool is_boot_work;
    bool is_recorded; /* a refusal of the frame at hand is */
    bool takes_over;  /* what is found in the store is no change, or on record already */
    UvCounters counters;
    UvLogRate refusals, changes, troubles, events;
};

/* server.c */
void uv_server_rearm(UvServer *server);
void uv_server_stop(UvServer *server, int exit_status);
/* The store is another by now: hosts are told so, and ask the next engine what they asked. */
void uv_server_leave(UvServer *server);
/* The store was given to another user: this engine can't complete it. A successor, which runs as
 * that user, has what is in the journal. */
bool uv_server_is_outlived(UvServer *server);
/* Guests are accepted from now on. */
void uv_server_admit_guests(UvServer *server);

/* server-store.c */
/* The store complete in its own format; false is logged. */
bool uv_server_compact(UvServer *server);
/* No write is expected: the store is complete, and free for another engine. The next write takes it
 * back, or finds that it changed. */
void uv_server_let_go(UvServer *server);
/* Without a session: takes over what another program made of the store. */
void uv_server_refresh(UvServer *server);
/* The same at a cold start, also with a session: a guest that boots starts from what there is. */
void uv_server_refresh_at_boot(UvServer *server);
/* The store, for the first time, which says how it was left (store->left); or again. */
bool uv_server_read_store(UvServer *server, GError **error);
bool uv_server_reload(UvServer *server, GError **error);
bool uv_server_is_read_only(const UvServer *server);
uint64_t uv_server_storage_bytes(const UvServer *server);
/* What is due by then (monotonic). */
void uv_server_tick_store(UvServer *server, int64_t now);

/* server-conn.c */
/* `must_prove`: of a pending connection, as in UvConn. */
UvConn *uv_conn_new(UvServer *server, int fd, UvConnKind kind, bool must_prove);
/* At once; tells the server. */
void uv_conn_close(UvConn *conn);
/* `payload` is taken, and may be NULL. */
void uv_conn_reply(UvConn *conn, const UvFrame *request, GBytes *payload);
void uv_conn_reply_mm(UvConn *conn, const UvFrame *request, uint32_t device_status, GBytes *buffer);
void uv_conn_reply_fd(UvConn *conn, const UvFrame *request, int fd);
/* Without a cookie; what does not go at once is queued. false: it is closed, and no more there for
 * who holds no reference. */
bool uv_conn_send_event(UvConn *conn, uint16_t type, GBytes *payload);
void uv_conn_error(UvConn *conn, uint64_t cookie, uint32_t code, const char *text);
/* ERROR, then the connection goes. */
void uv_conn_refuse(UvConn *conn, uint64_t cookie, uint32_t code, const char *text);
/* As a reply, then the connection goes. */
void uv_conn_finish(UvConn *conn);

/* server-guest.c */
uint32_t uv_guest_frame_cap(uint16_t type, void *conn);
/* Closes the frame's descriptor, if it has one. */
void uv_guest_frame(UvConn *conn, UvFrame *frame);

/* server-proof.c */
/* Whether the client at `socket_fd` could have opened the store, which `store` is. */
bool uv_proof_can_have(const struct stat *store, int socket_fd);
/* Why the client that sent `fd` (-1: nothing) with HELLO may not be the guest; NULL: it may, and
 * `ret_store` is what it showed (device and inode alone). */
const char *uv_proof_refusal(const UvServer *server, int fd, UvStoreIdentity *ret_store);

/* server-session.c */
typedef struct {
    uint32_t lowest, highest, features, flags, buffer_size;
    uint8_t id[UV_WIRE_SESSION_ID_BYTES];
    char name[UV_WIRE_NAME_MAX + 1];
    UvStoreIdentity shown; /* device and inode of the file that came with it; 0: none had to */
} UvHello;
/* Makes `conn` the guest, or returns false: occupied, `ret_text` says by whom. */
bool uv_session_hello(UvServer *server, UvConn *conn, const UvHello *hello, char **ret_text);
void uv_session_restore(UvServer *server);
void uv_session_lost(UvServer *server);
void uv_session_end(UvServer *server);
/* Reset of the machine: the same session, from its start. */
void uv_session_cold_start(UvServer *server);
/* Before every reply that may have changed it. */
void uv_session_persist(UvServer *server);

/* server-migrate.c */
/* No LOAD that the storage could hold is larger. */
uint32_t uv_migrate_load_cap(const UvServer *server);
void uv_migrate_save(UvConn *conn, const UvFrame *frame);
void uv_migrate_load(UvConn *conn, const UvFrame *frame);
void uv_migrate_acquire(UvConn *conn, const UvFrame *frame);

/* server-saved.c */
void uv_saved_begin(UvServer *server);
void uv_saved_end(UvServer *server);
/* Also of one that another host saved since this engine read the store. */
void uv_saved_end_elsewhere(UvServer *server);
/* When the store was read. */
void uv_saved_restore(UvServer *server);
/* The host has changed something; does nothing without a saved state. */
void uv_saved_warn(UvServer *server);
bool uv_saved_refuses(const UvServer *server);
/* Its time as text, or NULL; allocated. */
char *uv_saved_since(const UvServer *server);

/* server-hold.c */
bool uv_hold_is_shared(const UvServer *server);
/* The lock is not let go of: the guest is here, and on no other host. */
bool uv_hold_stays(const UvServer *server);
/* For a machine that comes: what keeps it out may be over in a moment. */
void uv_hold_wait(UvServer *server);
/* For the session that begins or goes on here; always true elsewhere than on shared storage. With
 * `may_reload` a store that was changed meanwhile is read again. */
bool uv_hold_take(UvServer *server, bool may_reload, GError **error);
/* The administrator made sure that the host which has it is dead. 0 or an errno. */
int uv_hold_break(UvServer *server, char **ret_reason);

/* server-host.c */
/* Why the host may change nothing now; NULL: it may, as far as this goes. */
const char *uv_host_is_held(const UvServer *server);
uint32_t uv_host_frame_cap(uint16_t type, void *conn);
void uv_host_frame(UvConn *conn, const UvFrame *frame);
/* Of a frame that was dropped: its sender gets an ERROR, and the connection stays. */
void uv_host_frame_too_large(UvConn *conn, const UvFrame *frame);
/* u16 length and a text without NUL; NULL: malformed. Allocated. */
char *uv_host_read_text(UvReader *reader);
/* `reason` may be NULL. */
void uv_host_reply_outcome(UvConn *conn, const UvFrame *frame, EfiStatus status, int error,
                           const char *reason);
void uv_host_malformed(UvConn *conn, const UvFrame *frame);
/* true: replied that the host may change nothing now. */
bool uv_host_refuse_held(UvConn *conn, const UvFrame *frame);

/* server-host-set.c */
void uv_host_set(UvConn *conn, const UvFrame *frame);
void uv_host_touch(UvConn *conn, const UvFrame *frame);

/* server-host-store.c */
void uv_host_snapshot(UvConn *conn, const UvFrame *frame);
void uv_host_export(UvConn *conn, const UvFrame *frame);
void uv_host_import(UvConn *conn, const UvFrame *frame);

/* server-record.c */
void uv_actor_said(UvConn *conn, const UvFrame *frame);
void uv_actor_of_frame(UvConn *conn);
void uv_refused_said(UvConn *conn, const UvFrame *frame);
/* What follows came this way, until uv_actor_leave() with what was returned. */
UvRecordDoor uv_actor_enter(UvServer *server, UvRecordDoor door);
void uv_actor_leave(UvServer *server, UvRecordDoor before);
/* What is recorded comes into the file, and who follows it is told. */
void uv_record_settle(UvServer *server);
void uv_record_follow(UvConn *conn);
void uv_record_observed(UvServer *server, const UvChange *change);
/* The service's UvRefusalLog. */
void uv_record_refused(const UvSetRequest *request, EfiStatus status, const UvRefusal *refusal,
                       void *server);
/* The host was refused before it came to a SetVariable; `path` is of the guest's folder. */
void uv_record_refused_path(UvServer *server, const char *path, EfiStatus status,
                            const char *reason);

/* server-outside.c */
/* When the store was read for the first time. */
void uv_outside_record(UvServer *server);

/* server-trace.c */
void uv_host_trace_frame(UvConn *conn, const UvFrame *frame);
void uv_trace_free(UvTrace *trace);
/* What a request can change that is told beside it; ends with what is told of the request itself.
 * To be asked only while server->traces is not 0. */
typedef struct {
    int64_t time_us, began_us;
    UvPhase phase;
    size_t policies;
    bool policy_locked;
} UvTraceBefore;
void uv_trace_begin(const UvServer *server, UvTraceBefore *ret_before);
/* `request` and `reply` are the communicate buffer before and after. */
void uv_trace_end(UvServer *server, const UvTraceBefore *before, GBytes *request, GBytes *reply,
                  uint32_t device_status);
/* `event` is static; these may be called at any time. */
void uv_trace_event(UvServer *server, const char *event);
void uv_trace_reset(UvServer *server);
/* Sends what was collected, where it is time to. */
void uv_trace_tick(UvServer *server, int64_t now);
void uv_trace_flush(UvServer *server);
/* The connection has sent what it had queued. */
void uv_trace_drained(UvConn *conn);

/* server-log.c */
void uv_log_changes(UvServer *server, const UvActor *actor, const UvChange *change);
void uv_log_found(UvServer *server, const UvActor *actor, const UvRecordFound *found);
void uv_log_refusal(UvServer *server, const UvActor *actor, const UvRecordRefusal *refusal);
/* A change that variable checks only told of. */
void uv_log_waived(UvServer *server, const UvActor *actor, const UvSetRequest *request,
                   const UvRefusal *refusal);

/* server-view.c */
void uv_host_view_frame(UvConn *conn, const UvFrame *frame);

/* server-events.c */
uint32_t uv_events_state(const UvServer *server);
/* State, usage and identity: what every report begins with. */
void uv_events_write_head(const UvServer *server, UvWriter *writer);
void uv_events_write_entry(const UvServer *server, UvWriter *writer, const UvVariable *variable);
void uv_events_changed(UvService *service, const UvChange *change, void *server);
/* Tells hosts if the state is another than they know. */
/* Its time was set: nothing a guest could see. */
void uv_events_touched(UvServer *server, const UvVariable *variable);
void uv_events_state_changed(UvServer *server);

/* If it follows the record, and that has grown. */
void uv_events_recorded(UvConn *conn);

/* server-status.c */
GBytes *uv_status_format(UvServer *server, bool of_engine /* with what is its process's */);
