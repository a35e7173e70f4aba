/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the files of the fleet share (fleet_sources in meson.build); no others include this.
 *
 * Who owns what: the fleet owns guests; a guest owns its FsLive (made when a request first needs
 * more of it than its name), that owns the replica, the calls and the engine. Ten thousand guests
 * that no user looks at are ten thousand FsGuest and nothing else.
 *
 * Two queues keep the callers' functions from being called inside a call of theirs: finished calls
 * and changed entries are queued, and delivered by fleet_dispatch() from the main loop.
 */

#include "engine-ahead.h"
#include "guest-sockets.h"
#include "known.h"
#include "looks.h"

#include "frame.h"

#include <string.h>

typedef struct FsEngine FsEngine;
typedef struct FsCall FsCall;
typedef struct FsViewCache FsViewCache;
typedef struct FsTrace FsTrace;
typedef struct FsUntold FsUntold;

/* One of the texts beside a store, as it was read. */
typedef struct {
    FsIdentity identity; /* of the file that it was read from; all zero: there was none */
    GBytes *bytes;       /* NULL: none, or `error` */
    int error;
    int64_t mtime_ns;
    uint32_t asked, done; /* how often it was asked for, and answered */
} FsCachedText;

typedef struct {
    FsReplica *replica;
    FsIdentity identity; /* of the store that the replica is of, as its engine reported it */
    FsCachedText texts[FS_TEXTS];
    uint64_t texts_generation;
    uint32_t holder_asked, holder_done; /* FS_NEED_STATUS */
    char *holder;
    FsUsage usage;
    FsViewCache *views;        /* NULL: nothing is kept of them */
    uint32_t views_generation; /* grows when they may be others */
    int64_t view_mtime_ns[FS_VIEWS];
    uint32_t state;          /* UV_HOST_STATE_* as last told; 0 without an engine */
    bool named;              /* the replica has all names, sizes and times */
    bool filled;             /* ... and contents */
    GBytes *status;          /* as the last engine told it at its end; NULL: not known */
    FsIdentity status_of[2]; /* ... of the store and config.json */
    uint64_t export_bytes;   /* of store.json; 0: not known */
    FsIdentity export_of;
    guint kept_hash; /* of what is kept beside the store */
    GList in_cold;   /* in fleet->cold while `cold` */
    size_t cold_bytes;
    bool cold;  /* no engine follows the replica */
    bool stale; /* an engine died over it: valid no more */
    FsEngine *engine;
    FsTrace *trace;  /* NULL: no process reads one */
    GQueue calls;    /* FsCall.of_guest: all that is not finished */
    unsigned n_sent; /* of those: wait for an engine */
    GHashTable *warnings;
    char *reason;         /* of a refusal, until who ends the operation takes it */
    FsRefusals *refusals; /* NULL: none yet */
    bool is_on_record;    /* what is being delivered, a refusal */
    GQueue untold;        /* FsUntold: refused here, for the next engine */
    uint32_t left_out;    /* more of them, before the first */
    char **shadowed;
    /* Engines that could not start. */
    char *failure;
    FsIdentity failed_store; /* what it could not start on */
    int64_t failed_at, failure_pause_us;
    int64_t death_told_at;
    bool tell_death;             /* of the last engine: the front did not ask for it */
    unsigned failures, outdated; /* outdated: its store was replaced while it started */
    /* Connections that are refused. */
    bool refusing;
    unsigned refused;  /* since the socket was watched last */
    int64_t watch_at;  /* when it is watched again; 0: it is not waited for */
    int64_t log_until; /* what the log has room for is told by how far this is ahead */
    unsigned log_left_out;
    bool queued;    /* in fleet->wanting */
    bool preparing; /* engine_starting left it pending */
    FsStart why;    /* the most that is wanted of the next engine */
} FsLive;

/* A guest's listening socket, which the monitor has. */
typedef enum {
    FS_LISTENER_NONE,
    FS_LISTENER_ASKED,
    FS_LISTENER_QUIET,   /* there, and connections are not told of */
    FS_LISTENER_WATCHED, /* a connection is told (FS_TELL_KNOCK) */
} FsListener;

struct FsGuest {
    FsFleet *fleet;
    char *name;
    uint64_t sequence;
    FsLive *live;
    void *data[FS_ROOMS];
    GDestroyNotify destroy[FS_ROOMS];
    FsGuestLook look;
    char *file;                     /* in SOURCE: by which it is a guest; a key of fleet->by_file */
    char *store_name;               /* in its folder */
    char *domains_store;            /* where libvirt says that it is; NULL: not known */
    int64_t looked_at;              /* monotonic, when that was asked for; 0: never */
    uint32_t look_asked, look_done; /* counted; unequal: one is under way */
    uint32_t list_number;           /* of the last list that named it */
    unsigned holds;                 /* fs_guest_hold() */
    uint8_t listener;               /* FsListener */
    bool look_stale;                /* something happened to it since the last look was asked for */
    bool look_again;                /* in fleet->again */
    bool gone;                      /* not among the fleet's guests any more, freed soon */
    bool retired;                   /* and that was delivered */
    bool follows_record;            /* an engine tells when it grows, once */
    bool away;                      /* an adopted engine has the listener and was asked for it */
};

typedef enum {
    FS_ENGINE_STARTING, /* HELLO and SNAPSHOT are under way */
    FS_ENGINE_READY,
    FS_ENGINE_ENDING, /* END is under way */
} FsEngineState;

struct FsEngine {
    FsFleet *fleet;
    FsGuest *guest;    /* NULL: it is gone, the engine is on its way out */
    char *name;        /* the guest's */
    uint32_t uid;      /* of the store, when it was started */
    FsIdentity config; /* of config.json, as it was started with */
    FsEngineState state;
    UvFrameIo *io; /* NULL: the connection is lost, the process may be alive */
    FsWatch watch;
    bool watching_output;
    bool asked; /* START or CONNECT is under way */
    bool freed; /* its memory is there for that answer only */
    pid_t pid;  /* 0: not told yet; only shown */
    bool child; /* started for this mount, not adopted */
    int pidfd;  /* -1: none */
    FsWatch pid_watch;
    FsEngineWish wish; /* as it was asked for */
    FsStart why;
    int64_t start_at; /* it is asked for again then; 0: not */
    int64_t watch_at; /* its guest's socket is watched from then on; 0: it is, or need not be */
    int64_t kill_at;  /* see engine-stopped.c; 0: not yet asked for */
    uint32_t guest_process; /* as it tells; 0: not known */
    bool knocked;           /* a process connected as the guest, since it answered last */
    unsigned start_tries;
    bool wants_listener;
    bool no_socket;    /* the guest has none: there are no descriptors for it */
    bool has_listener; /* the guest's listening socket, not a dummy */
    bool ended;        /* END was granted: the replica stays good */
    bool served;       /* it has been READY: it did start */
    uint64_t next_cookie;
    int64_t connected_at, last_used, asked_to_end_at;
    int64_t waiting_since; /* of the oldest unanswered frame; 0: none */
    int64_t silent_since;  /* the same of the connection before */
    char *build;
    char *failure;  /* an ERROR reply's text while it was starting */
    GList in_fleet; /* in fleet->engines */
    GList in_lru;   /* in fleet->lru while `listed` */
    bool listed;
};

struct FsFleet {
    const FsFleetOptions *options;
    GMainContext *context;
    FsSource *source;
    uint16_t reach; /* of 0777: what SOURCE lets whom do in it, as last told */
    FsPoll *poll;
    FsFleetEvents events;
    void *events_data;
    GPtrArray *guests;   /* by sequence */
    GHashTable *by_name; /* FsGuest.name -> FsGuest */
    GHashTable *by_file; /* FsGuest.file -> FsGuest */
    uint64_t last_sequence;
    struct FsActors *actors; /* actors.c */
    bool started, stopping, lost, no_more_sockets;

    GQueue engines; /* FsEngine.in_fleet */
    GQueue lru;     /* FsEngine.in_lru: ready and without a guest, least recently used first */
    GQueue cold;    /* FsGuest: replicas without an engine, least recently used first */
    size_t cold_bytes;
    GQueue views; /* FsViewCache, the one that grew last at the tail */
    size_t views_bytes;
    GQueue wanting; /* FsGuest: wait for room under the cap */
    FsWalk walk;
    GQueue traces; /* FsTrace.in_fleet */

    GQueue deadlines[2];   /* FsCall.by_deadline: of 10 s, of 1 s */
    GQueue done;           /* FsCall */
    GQueue changes;        /* FsEntryChange */
    GQueue added, retired; /* FsGuest */
    GQueue unwatched;      /* FsGuest: live->watch_at is set */
    GQueue again;          /* FsGuest: to be looked at when some time has passed */
    GSource *clock;        /* ready when it is woken, or something is due */
    bool woken;            /* a queue above is not empty */
    int64_t due_at;        /* the next deadline, INT64_MAX: none */
    guint background_at;   /* sockets were asked for of the guests before */
    unsigned background_asked;
    unsigned looking; /* looks that are under way */
    unsigned untold;  /* FsUntold of all guests */
    unsigned keeping; /* of so many what is kept beside their stores is on its way there */

    /* Changes of SOURCE. */
    char *detached; /* FS_TELL_DETACHED's; NULL: SOURCE is as it is said to be */
    int inotify_fd;
    FsWatch inotify;
    GHashTable *folders; /* watch -> name of the guest, "" for SOURCE */
    GHashTable *files;   /* FsFileReview.name -> FsFileReview: what was asked about */
    GQueue files_asked;  /* FsFileReview, by number */
    uint64_t last_file;  /* FsFileReview.number */
    GQueue searches;     /* FsSearch */
    uint32_t leaves_asked, leaves_done; /* of guests that went away: what they left is kept */
    uint32_t list_number;               /* of the list that was asked for last */
    bool listing;                       /* ... and is not complete yet */
    bool listed, many;                  /* one was complete; it is known to be long */
    bool list_stale;                    /* events were lost since it was asked for */
    int64_t listed_at;                  /* when it was asked for */
    uint64_t ahead_sequence;            /* of the guest that was looked at last by who needs it */
    uint64_t ahead_half;                /* from this one on to that others are to be looked at */
    int64_t ahead_at;                   /* when those after it were looked at */
    unsigned walked; /* looks for who goes on to the next one, since the last list */
};

/* Of the text FS_TEXT_STORE: what says what a store is. */
#define FS_STORE_HEAD_BYTES 4096u

#define CALL_DEADLINE_US (10 * G_USEC_PER_SEC)
/* What inotify does not tell shows that late where it is only shown (owner, times, config.json). */
#define SHOWN_US G_USEC_PER_SEC
#define BRIEF_DEADLINE_US (1 * G_USEC_PER_SEC)
#define CALLS_MAX 64
/* So many engines of a guest in a row that die at their start: its start has failed. */
#define STARTS_MAX 2
/* An engine that owes an answer for so long is not counted under the cap. */
#define SILENT_US (2 * G_USEC_PER_SEC)
#define RECONNECT_US (G_USEC_PER_SEC / 10)
/* An engine may refuse to end: a process connected that may be a guest. */
#define END_AGAIN_US (200 * 1000)

/* registry.c */
/* A look of the source at `name`: adds, changes or retires the guest. NULL: it is none now. */
FsGuest *fleet_take_look(FsFleet *fleet, const char *name, int error, const FsLook *look);
/* SOURCE's, from a look. */
void fleet_take_reach(FsFleet *fleet, uint16_t reach);
FsGuest *fleet_guest(const FsFleet *fleet, const char *name);
/* The index of the first guest with a sequence above `after`. */
guint fleet_index_after(const FsFleet *fleet, uint64_t after);
void fleet_retire(FsGuest *guest);
/* A guest's session is alive in its engine. */
bool guest_connected(const FsGuest *guest);

/* looks.c, what is not in looks.h */
bool guest_text_current(const FsGuest *guest, FsText text);
void guest_ask_text(FsGuest *guest, FsText text);
uint32_t guest_next_text(FsGuest *guest, FsText text); /* as guest_next_look() */
void guest_ask_holder(FsGuest *guest);
/* Takes the look in an answer, and who lost to the guest by the naming rules. */
void fleet_take_answer(FsFleet *fleet, const char *name, const FsAnswer *answer);
void guest_texts_clear(FsLive *live);
/* The answer to a question about a guest, which may be gone, but lives until this returns. */
typedef void (*FsGuestAnswered)(FsGuest *guest, const FsAnswer *answer, int fds[FS_QUESTION_FDS],
                                void *data);
/* Otherwise as fs_source_ask(). */
void guest_ask(FsGuest *guest, const FsQuestion *question, int *fds, size_t n_fds,
               FsGuestAnswered answered, void *data);

/* search.c */
void fleet_ask_list(FsFleet *fleet);
void fleet_ask_file(FsFleet *fleet, const char *file);
/* Events were lost: nothing is known for sure. */
void fleet_list_is_stale(FsFleet *fleet);
void fleet_list_guests(FsFleet *fleet, const FsAnswer *tell, int fd);
/* Those go on that have what they wait for. */
void searches_go_on(FsFleet *fleet);
void searches_tick(FsFleet *fleet, int64_t now);
bool searches_interrupt(FsFleet *fleet, const void *request);
void searches_stop(FsFleet *fleet);

/* dispatch.c */
void deliver_start(FsFleet *fleet);
void deliver_stop(FsFleet *fleet); /* what is queued and finished is delivered still */
/* Delivers what is queued; main loop only. */
void fleet_dispatch(FsFleet *fleet);
void fleet_wake(FsFleet *fleet);                   /* ... in the next turn */
void fleet_due(FsFleet *fleet, int64_t monotonic); /* the clock is ready then at the latest */
void fleet_entry_changed(FsGuest *guest, const char *name, FsEntryEvent event);

/* guest.c */
FsLive *guest_live(FsGuest *guest);
void guest_free(FsGuest *guest);
/* The store's file is what the replica is of, as of the last look. With an engine a journal is
 * nothing unusual. */
bool guest_replica_valid(const FsGuest *guest);
/* It was asked to: what it knows of its store it says then. */
bool guest_engine_ends(const FsGuest *guest);

/* holder.c: EROFS, and told, where another host has the guest; at once where there is none */
void guest_need_here(FsGuest *guest, FsContinue go_on, void *data);

/* replica-cache.c: what replicas without an engine may take, all together */
void replica_cold(FsGuest *guest); /* no engine follows it now, or: it was used again */
void replica_warm(FsGuest *guest);

/* calls.c */
struct FsCall {
    FsGuest *guest;
    void *request;
    unsigned needs;  /* FsNeeds that are not there yet */
    bool for_engine; /* waits for an engine, and for nothing else */
    bool socket_asked;
    uint32_t look_number;                           /* see guest_next_look() */
    uint32_t text_numbers[FS_TEXTS], holder_number; /* what must be answered; 0: not asked yet */
    uint16_t type;                                  /* 0: waits for the replica only */
    FsStart why; /* what its engine has to be able to, beside changes */
    GBytes *payload;
    void (*finish)(FsCall *call, FsGuest *guest); /* guest NULL: gone */
    void (*go_on)(void);                          /* FsContinue or FsReply, as finish knows */
    void *data;
    char *reason;    /* of an error, as the engine told it; NULL: it did not */
    uint64_t cookie; /* 0: not sent */
    FsActor actor;
    uint64_t actor_asked; /* its name is asked for, by this number; 0: it is not waited for */
    bool actor_known, retried;
    FsUntold *untold; /* refused here; its process waits until its name is known */
    bool once;        /* not to be sent a second time */
    bool lenient;     /* at the deadline what is known serves */
    bool brief;       /* has the shorter deadline */
    bool own;         /* the fleet's: not counted among the 64 */
    int64_t deadline;
    int error;
    GBytes *reply;
    GList of_guest, by_deadline, in_done;
};
FsCall *call_new(FsGuest *guest, void *request, uint16_t type, GBytes *payload);
/* u16 size and the text, as far as that is not more than `bytes_max`. */
void host_write_text(UvWriter *writer, const char *text, size_t bytes_max);
/* What UV_HOST_HELLO says of the front. */
GBytes *host_hello(void);
void call_submit(FsCall *call);
void deliver_continue(FsCall *call, FsGuest *guest);
/* A change, whose reply is an outcome; `writer` is emptied. `once`: see FsCall. */
void call_submit_outcome(FsGuest *guest, void *request, uint16_t type, UvWriter *writer, bool once,
                         FsContinue go_on, void *data);
/* It needs nothing more of the source; false: too many wait already. `lenient`: see there. */
bool call_wants_engine(FsCall *call, bool lenient);
void call_finish(FsCall *call, int error, GBytes *reply /* nullable, a new reference is taken */);
void call_deliver(FsCall *call); /* and frees it */
void guest_fail_calls(FsGuest *guest, int error);
void guest_fail_engine_calls(FsGuest *guest, int error); /* those that wait for nothing else */
/* The engine has ended, and the store is known: who only reads may need no other one. */
void guest_reconsider_calls(FsGuest *guest);
/* Asks for what is needed, sends what waits, or completes it, or gets an engine for it. */
void guest_pump(FsGuest *guest);
FsCall *guest_find_call(FsGuest *guest, uint64_t cookie);
void calls_expire(FsFleet *fleet, int64_t now);

/* trace.c */
/* Its readers read no more. */
void guest_end_trace(FsGuest *guest);
void traces_end(FsFleet *fleet);
bool traces_interrupt(FsFleet *fleet, const void *request);
void traces_tick(FsFleet *fleet, int64_t now);

/* trace-link.c */
void trace_engine_connected(FsGuest *guest);
void trace_engine_gone(FsGuest *guest);

/* actors.c */
/* Of a change that is about to be submitted; it is not sent before its actor has a name. */
void call_find_actor(FsCall *call);
void actors_start(FsFleet *fleet);
void actors_stop(FsFleet *fleet);
void engine_send_actor(FsEngine *engine, const FsActor *actor);

/* needs.c */
extern const char guest_is_connected[]; /* why something is EBUSY */
void call_find_needs(FsCall *call);
/* fs_guest_need() of the fleet itself. */
void guest_need_own(FsGuest *guest, unsigned needs, FsContinue go_on, void *data);

/* engine-cap.c */
/* Makes sure that an engine is there or on its way. */
void engine_want(FsGuest *guest, FsStart why);
void engines_tick(FsFleet *fleet, int64_t now);
void engines_make_room(FsFleet *fleet);
void guest_start_failed(FsGuest *guest, const char *text);

/* engine.c */
/* Begins to speak on a connection (taken). */
void engine_connected(FsEngine *engine, int fd);
/* The answer to START or CONNECT is here; false: no request wants it, the engine is freed. */
bool engine_answered(FsEngine *engine);
/* Asks for a connection to it. */
void engine_connect(FsEngine *engine);
void engine_attach_process(FsEngine *engine, int pidfd /* taken */, pid_t pid, bool child);
uint64_t engine_send(FsEngine *engine, uint16_t type, GBytes *payload);
/* The same of what has no reply. */
uint64_t engine_tell(FsEngine *engine, uint16_t type, GBytes *payload);
/* After uv_frame_io_hold(): what was sent since goes; false: the connection is lost. */
bool engine_release(FsEngine *engine);
void engine_used(FsEngine *engine);
/* One that we found and can't speak with: its guest is left alone, and not served here. */
bool engine_is_foreign(const FsEngine *engine);
/* Nothing can be changed or recorded through it, and it knows the store only as it was. */
bool engine_only_looks(const FsEngine *engine);
/* Moves it in or out of the idle ones, by its state. */
void engine_relist(FsEngine *engine);
void engine_end(FsEngine *engine); /* one that is not ready and connected: when it is */
/* If config.json is another than what it was started with it ends, unless its guest is there: the
 * next guest would find the old one in force. */
void engine_check_config(FsGuest *guest);
void engine_kill(FsEngine *engine);
/* What it was sent and has not begun it drops with the connection; the next one is made at once. */
void engine_cut(FsEngine *engine);
/* For how long it has owed an answer. */
int64_t engine_silent_us(const FsEngine *engine);
void engine_lost_connection(FsEngine *engine);
void engine_gone(FsEngine *engine);
/* Connects again where a connection is lost and the process lives. */
void engines_reconnect(FsFleet *fleet, int64_t now);
void engines_receive_buffered(FsFleet *fleet);
FsEngine *engine_new(FsGuest *guest);
void engine_free(FsEngine *engine);

/* engine-receive.c: what comes from an engine */
/* Takes what is there; true while the connection is good. Queues, delivers nothing. */
bool engine_receive(FsEngine *engine);
uint32_t host_frame_cap(uint16_t type, void *data);

/* engine-start.c */
void guest_start_engine(FsGuest *guest);
/* Those whose store another process still had. */
void engines_start_again(FsFleet *fleet, int64_t now);
void fleet_adopt(FsFleet *fleet, const FsAnswer *tell, int fds[FS_QUESTION_FDS]);

/* source-watch.c */
void follow_start(FsFleet *fleet);
/* Which folder a watch stands for. */
void follow_folder(FsFleet *fleet, const FsAnswer *tell);
void follow_stop(FsFleet *fleet);
