/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the files of the fleet share (fleet_sources in meson.build); no others include this.
 *
 * Who owns what: the fleet owns guests; a guest owns its FsLive (made when somebody first needs
 * more of it than its name), that owns the replica, the calls and the engine. Ten thousand guests
 * that nobody looks at are ten thousand FsGuest and nothing else.
 *
 * Two queues keep the callers' functions from being called inside a call of theirs: finished calls
 * and changed entries are queued, and delivered by fleet_dispatch() from the main loop.
 */

#include "fleet.h"
#include "local.h"
#include "poll-set.h"
#include "sockets.h"

#include "frame.h"

typedef struct FsEngine FsEngine;
typedef struct FsCall FsCall;

/* As reported by engines (wire.h, "identity"). All zero: no file. */
typedef struct {
    uint64_t device, inode, size_bytes;
    int64_t mtime_ns, ctime_ns;
} FsIdentity;

typedef struct {
    FsReplica *replica;
    FsIdentity identity; /* of the store that the replica is of */
    char *quick_path;    /* where it was seen last, and its journal would be; NULL: see source.h */
    char *quick_journal;
    uint64_t seen_epoch; /* fleet->epoch when the file was last looked at, and ... */
    int64_t seen_at;     /* ... the time */
    bool seen_watched;   /* a change of it would have been told by inotify */
    FsUsage usage;
    uint32_t state; /* UV_HOST_STATE_* as last told; 0 without an engine */
    bool filled;    /* the replica was, once */
    GList in_cold;  /* in fleet->cold while `cold` */
    size_t cold_bytes;
    bool cold;  /* no engine follows the replica */
    bool stale; /* an engine died over it: valid no more */
    FsEngine *engine;
    GQueue calls; /* FsCall.of_guest: all that is not finished */
    GHashTable *warnings;
    char *last_reason;
    char **shadowed;
    bool shadowed_known;
    /* Engines that could not start. */
    char *failure;
    int64_t failed_at;
    int64_t death_told_at;
    unsigned failures;
    bool queued;    /* in fleet->wanting */
    bool preparing; /* engine_starting left it pending */
    FsStart why;    /* the most that is wanted of the next engine */
} FsLive;

struct FsGuest {
    FsFleet *fleet;
    char *name;
    uint64_t sequence;
    uint64_t hash; /* of the name, see sockets.h; 0: not computed yet */
    FsLive *live;
    void *tree;
    GDestroyNotify tree_destroy;
    FsWatch listener;
    int listener_fd; /* -1: not made yet */
    uint8_t rule;
    bool gone; /* not among the fleet's guests any more, freed soon */
    bool away; /* an adopted engine has the listener and was asked for it */
};

typedef enum {
    FS_ENGINE_STARTING, /* HELLO and SNAPSHOT are under way */
    FS_ENGINE_READY,
    FS_ENGINE_ENDING, /* END is under way */
} FsEngineState;

struct FsEngine {
    FsFleet *fleet;
    FsGuest *guest;
    FsEngineState state;
    UvFrameIo *io; /* NULL: the connection is lost, the process may be alive */
    FsWatch watch;
    bool watching_output;
    pid_t pid; /* 0: adopted, not told yet */
    bool child;
    int pidfd; /* -1: none */
    FsWatch pid_watch;
    bool has_listener; /* the guest's listening socket, not a dummy */
    bool ended;        /* END was granted: the replica stays good */
    uint64_t next_cookie;
    int64_t connected_at, last_used, asked_to_end_at;
    int64_t waiting_since; /* of the oldest unanswered frame; 0: none */
    char *build;
    char *failure;  /* an ERROR reply's text while it was starting */
    GList in_fleet; /* in fleet->engines */
    GList in_lru;   /* in fleet->lru while `listed` */
    bool listed;
};

struct FsFleet {
    FsOptions const *options;
    GMainContext *context;
    FsLocal *source;
    FsSockdir *sockdir;
    FsPoll *poll;
    FsFleetEvents events;
    void *events_data;
    GPtrArray *guests;   /* by sequence */
    GHashTable *by_name; /* FsGuest.name -> FsGuest */
    GHashTable *by_hash; /* &FsGuest.hash -> FsGuest; those whose hash is known */
    uint64_t last_sequence;
    uid_t engine_uid; /* (uid_t)-1: the store's owner */
    gid_t engine_gid;
    char *program; /* uefivarsd's path */
    bool started, stopping;

    GQueue engines; /* FsEngine.in_fleet */
    GQueue lru;     /* FsEngine.in_lru: ready and without a guest, least recently used first */
    GQueue cold;    /* FsGuest: replicas without an engine, least recently used first */
    size_t cold_bytes;
    GQueue wanting; /* FsGuest: wait for room under the cap */

    GQueue deadlines[2];   /* FsCall.by_deadline: of 10 s, of 1 s */
    GQueue done;           /* FsCall */
    GQueue changes;        /* FsEntryChange */
    GQueue added, retired; /* FsGuest */
    GSource *dispatcher;   /* ready when a queue above is not empty */
    GSource *timer;        /* ready at the next deadline */
    GSource *background;   /* makes sockets and watches, a batch at a time */
    guint background_at;
    bool no_more_fds;

    int inotify_fd;
    FsWatch inotify;
    int source_wd;
    GHashTable *folders; /* wd -> name, of subfolders */
    GQueue unwatched;    /* char *: subfolders that get their watch in the background */
    bool rescan, no_watches;
    uint64_t epoch; /* of SOURCE: counts what inotify tells */
    bool quiet;     /* see fs_fleet_set_quiet() */
};

#define CALL_DEADLINE_US (10 * G_USEC_PER_SEC)
#define BRIEF_DEADLINE_US (1 * G_USEC_PER_SEC)
#define CALLS_MAX 64
/* An engine that owes an answer for so long is not counted under the cap. */
#define SILENT_US (2 * G_USEC_PER_SEC)
#define RECONNECT_US (G_USEC_PER_SEC / 10)

/* registry.c */
bool fleet_scan(FsFleet *fleet, GError **error);
/* Looks at SOURCE again for this name: adds, changes or retires the guest. */
void fleet_review(FsFleet *fleet, const char *name);
void fleet_retire(FsGuest *guest);
void fleet_rescan(FsFleet *fleet);
FsGuest *fleet_by_hash(FsFleet *fleet, uint64_t hash);
/* A guest's session is alive in its engine. */
bool guest_connected(const FsGuest *guest);

/* deliver.c */
void deliver_start(FsFleet *fleet);
void deliver_stop(FsFleet *fleet); /* what is queued and finished is delivered still */
/* Delivers what is queued; main loop only. */
void fleet_dispatch(FsFleet *fleet);
void fleet_wake(FsFleet *fleet);                   /* ... in the next turn */
void fleet_due(FsFleet *fleet, int64_t monotonic); /* the timer fires then at the latest */
void fleet_entry_changed(FsGuest *guest, const char *name, FsEntryEvent event);

/* guest.c */
FsLive *guest_live(FsGuest *guest);
uint64_t guest_hash(FsGuest *guest);
void guest_free(FsGuest *guest);
/* The store's file is what the replica is of. With an engine a journal is nothing unusual. */
bool guest_replica_valid(FsGuest *guest);
bool guest_has_store(const FsGuest *guest);

/* memory.c: what replicas without an engine may take, all together */
void replica_cold(FsGuest *guest); /* nobody follows it now, or: it was used again */
void replica_warm(FsGuest *guest);

/* calls.c */
struct FsCall {
    FsGuest *guest;
    void *request;
    uint16_t type; /* 0: waits for the replica only */
    GBytes *payload;
    void (*finish)(FsCall *call, FsGuest *guest); /* guest NULL: gone */
    void (*go_on)(void);                          /* FsContinue or FsReply, as finish knows */
    void *data;
    uint64_t cookie; /* 0: not sent */
    bool once;       /* not to be sent a second time */
    bool retried;
    bool lenient; /* at the deadline the replica serves as it is */
    bool brief;   /* has the shorter deadline */
    int64_t deadline;
    int error;
    GBytes *reply;
    GList of_guest, by_deadline, in_done;
};
void call_finish(FsCall *call, int error, GBytes *reply /* nullable, a new reference is taken */);
void call_deliver(FsCall *call); /* and frees it */
void guest_fail_calls(FsGuest *guest, int error);
/* Sends what waits, or completes it, or gets an engine for it. */
void guest_pump(FsGuest *guest);
FsCall *guest_find_call(FsGuest *guest, uint64_t cookie);
void calls_expire(FsFleet *fleet, int64_t now);

/* supply.c */
/* Makes sure that an engine is there or on its way. */
void engine_want(FsGuest *guest, FsStart why);
void engines_tick(FsFleet *fleet, int64_t now);
void engines_make_room(FsFleet *fleet);
void guest_start_failed(FsGuest *guest, const char *text);

/* engine.c */
bool engine_connect(FsEngine *engine);
void engine_attach_pid(FsEngine *engine, pid_t pid, bool child);
uint64_t engine_send(FsEngine *engine, uint16_t type, GBytes *payload);
void engine_used(FsEngine *engine);
/* One that we found and can't speak with: its guest is left alone, and not served here. */
bool engine_is_foreign(const FsEngine *engine);
/* Moves it in or out of the idle ones, by its state. */
void engine_relist(FsEngine *engine);
void engine_end(FsEngine *engine);
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

/* frames.c: what comes from an engine */
/* Takes what is there; true while the connection is good. Queues, delivers nothing. */
bool engine_receive(FsEngine *engine);
uint32_t host_frame_cap(uint16_t type, void *data);

/* spawn.c */
bool engine_spawn(FsGuest *guest, FsStart why, pid_t *ret_pid, bool *ret_has_listener,
                  GError **error);
char *engine_find_program(void);

/* listen.c */
/* 0 or -errno; at once. */
int guest_listen(FsGuest *guest);
void guest_watch_listener(FsGuest *guest, bool watch);
/* Tells who waits on the listener why there is no engine. */
void guest_refuse_connections(FsGuest *guest, const char *text);
void listen_raise_limit(FsFleet *fleet);

/* follow.c */
bool follow_start(FsFleet *fleet, GError **error);
void follow_folder(FsFleet *fleet, const char *name);
/* Reads what inotify has queued: the registry is as SOURCE is. */
void follow_drain(FsFleet *fleet);
void follow_stop(FsFleet *fleet);

/* adopt.c */
void adopt_engines(FsFleet *fleet);
