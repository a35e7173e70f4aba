/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The guests of one SOURCE, and their engines.
 *
 * Theory of operation. uefivarsfs has one thread that does everything, in one GMainContext: FUSE
 * requests, engines' sockets, listening sockets, timers, inotify. Nothing in it ever waits: what
 * needs an engine is parked in that guest's queue with a continuation and goes on when the reply is
 * there, when the kernel interrupts it, or when its deadline passes. So there are no locks, and a
 * stopped engine stalls nothing but its own guest's requests. (Directory entries are invalidated
 * from one more thread that touches nothing here: notify.h.)
 *
 * The fleet knows files, sockets and processes; it knows no FUSE but the opaque request pointer of
 * a parked call. Variable contents pass through it unread.
 */

#include "options.h"
#include "replica.h"

#include <sys/stat.h>

typedef struct FsFleet FsFleet;
typedef struct FsGuest FsGuest;

typedef enum {
    FS_STORE_NONE, /* a guest with only a config.json or an empty folder */
    FS_STORE_FILE,
} FsStoreKind;

typedef struct {
    uint64_t total_bytes, remaining_bytes, largest_bytes;
} FsUsage;

/* What an engine is started for; the later, the more. */
typedef enum {
    FS_START_READ,
    FS_START_WRITE,
    FS_START_GUEST,
} FsStart;

typedef enum {
    FS_ENTRY_APPEARED,
    FS_ENTRY_CHANGED,
    FS_ENTRY_REMOVED,
} FsEntryEvent;

/* What the tree is told; called from the main loop, never from inside a call into the fleet. */
typedef struct {
    /* A guest is new in, or gone from, guests/. */
    void (*guest_added)(FsGuest *guest, void *data);
    void (*guest_removed)(FsGuest *guest, void *data); /* the pointer is dead afterwards */
    /* Of one entry of vars/; the replica is up to date already. */
    void (*entry_changed)(FsGuest *guest, const char *name, FsEntryEvent event, void *data);
    /*
     * An engine is about to be started (this one may be called from inside a call into the fleet).
     * Appends the options that the guest's config.json asks for (`arguments` owns its strings:
     * --size, --force-secure-boot, --disable-custom-mode); for a guest without a store and more
     * than reading, may make the store first (template). false: the guest can't have an engine now;
     * with G_IO_ERROR_PENDING it can when fs_guest_prepared() is called.
     */
    bool (*engine_starting)(FsGuest *guest, FsStart why, GPtrArray *arguments, void *data,
                            GError **error);
} FsFleetEvents;

/*
 * SOURCE is opened, checked (second mount, MOUNTPOINT below it), scanned; sockets follow in the
 * background from `context`. For a file SOURCE there is one guest, whose name is "".
 */
FsFleet *fs_fleet_new(const FsOptions *options, GMainContext *context, GError **error);
void fs_fleet_set_events(FsFleet *fleet, const FsFleetEvents *events, void *data);
/* After daemonizing and mounting: watches, sockets, adoption of engines that outlived an earlier
 * front. */
bool fs_fleet_start(FsFleet *fleet, GError **error);
/* A clean unmount: ends the engines without a guest, their stores complete; iterates the context
 * for it. */
void fs_fleet_stop(FsFleet *fleet);
void fs_fleet_free(FsFleet *fleet);
/* When the fleet has something to do by itself (monotonic; -1: not before something happens). Told
 * for loops that serve several requests between two turns of the context: a change ends them. */
int64_t fs_fleet_next_turn(const FsFleet *fleet);
/*
 * For such a loop, around a request: when the request had come already, none of the context's
 * descriptors was ready. So no engine had said anything before it, and nothing had happened in
 * SOURCE, and neither has to be looked at again.
 */
void fs_fleet_set_quiet(FsFleet *fleet, bool quiet);
bool fs_fleet_is_file(const FsFleet *fleet);
const char *fs_fleet_source(const FsFleet *fleet);

/* Guests in a stable order: `after` is a guest's sequence (0: from the start). Starts no engine. */
FsGuest *fs_fleet_next(FsFleet *fleet, uint64_t after);
FsGuest *fs_fleet_lookup(FsFleet *fleet, const char *name); /* also makes its socket now */
/* 0 or an errno. mkdir: SOURCE/NAME/; rmdir: ENOTEMPTY (through the continuation) while NV
 * variables are there. */
int fs_fleet_make_guest(FsFleet *fleet, const char *name, FsGuest **ret_guest);

FsFleet *fs_guest_fleet(const FsGuest *guest);
const char *fs_guest_name(const FsGuest *guest);
uint64_t fs_guest_sequence(const FsGuest *guest);
FsStoreKind fs_guest_store_kind(const FsGuest *guest);
/* As people would type it; where it will be if absent. */
char *fs_guest_store_path(const FsGuest *guest);
/* G/config.json or G.config.json, there or not; not for a store as SOURCE, which has none. */
char *fs_guest_config_path(const FsGuest *guest);
char *fs_guest_socket_path(const FsGuest *guest);
/* The pin of the firmware that the store was made from; NULL: none, or no store. */
char *fs_guest_read_pin(const FsGuest *guest);
/* The folder of the store (to be closed; -errno), and the store's name in it, there or not. */
int fs_guest_open_folder(const FsGuest *guest, char **ret_store);
/* The guest that had this name and sequence, if it is still the same one; NULL otherwise. */
FsGuest *fs_fleet_find(FsFleet *fleet, const char *name, uint64_t sequence);
/* Of the store, else of what stands for it (the guest's folder, SOURCE). */
void fs_guest_stat(const FsGuest *guest, struct stat *ret_stat);
void fs_guest_owner(const FsGuest *guest, uid_t *ret_uid, gid_t *ret_gid);
/* Losers of the naming rules, for status.json: paths, NULL terminated; borrowed. */
const char *const *fs_guest_shadowed(const FsGuest *guest);
/* A per-guest place for the tree's own state (nodes, staging files); freed with the guest. */
void fs_guest_set_tree(FsGuest *guest, void *tree, GDestroyNotify destroy);
void *fs_guest_tree(const FsGuest *guest);
/* A line for status.json's warnings, kept until the next of the same `topic`; NULL clears it. */
void fs_guest_set_warning(FsGuest *guest, const char *topic, const char *text);
/* Appends the front's own members of status.json (a JSON object text, no trailing newline). */
char *fs_guest_status_object(FsGuest *guest);

/*
 * Parked work. The continuation is called exactly once: at once (before the function returns) when
 * nothing has to be waited for, else from the main loop, with 0 or an errno: EIO (deadline, or the
 * engine died twice), EINTR (interrupted), EAGAIN never. `guest` is NULL if it went away meanwhile
 * (errno ENOENT). `request` is the fuse_req_t, for interrupts; NULL for none. At most 64 are parked
 * for a guest: EBUSY.
 */
typedef void (*FsContinue)(FsGuest *guest, int error, void *data);
/* Until the replica is what the store holds: drains the engine's socket, starts an engine if need
 * be. */
void fs_guest_need_replica(FsGuest *guest, void *request, FsContinue go_on, void *data);
FsReplica *fs_guest_replica(const FsGuest *guest); /* valid inside that continuation */
const FsUsage *fs_guest_usage(const FsGuest *guest);
uint32_t fs_guest_state(const FsGuest *guest); /* UV_HOST_STATE_*; 0 without an engine */

/*
 * The kernel interrupted `request`: what is parked with it goes on with EINTR, now or from the main
 * loop. The tree calls this (the fleet asks FUSE nothing); a request that is not parked is ignored.
 */
void fs_fleet_interrupt(FsFleet *fleet, void *request);

/* A host-socket request (UV_HOST_*) and its reply; `reply` is NULL with an error. */
typedef void (*FsReply)(FsGuest *guest, int error, GBytes *reply, void *data);
void fs_guest_call(FsGuest *guest, void *request, uint16_t type, GBytes *payload /* nullable */,
                   FsReply go_on, void *data);
/* SET, TOUCH and IMPORT: the reply's outcome as an errno of the efivarfs table (0: done). */
void fs_guest_set(FsGuest *guest, void *request, const char *name, GBytes *content, uint32_t flags,
                  int64_t mtime_ns, FsContinue go_on, void *data);
void fs_guest_touch(FsGuest *guest, void *request, const char *name, int64_t mtime_ns,
                    FsContinue go_on, void *data);
/* store.json: replaces the whole store. */
void fs_guest_import(FsGuest *guest, void *request, GBytes *json, FsContinue go_on, void *data);
/* What engine_starting left pending is done, or failed for that reason: the engine is wanted again.
 */
void fs_guest_prepared(FsGuest *guest, const GError *failure);
/* The store was made or replaced from here (instantiate, a template): an engine looks again. */
void fs_guest_store_changed(FsGuest *guest);
/* rmdir: ENOTEMPTY, EBUSY (a guest is connected), or the guest is gone. */
void fs_guest_remove(FsGuest *guest, void *request, FsContinue go_on, void *data);
/* Something was refused here, before an engine was asked. */
void fs_guest_refused(FsGuest *guest, const char *reason);
/* Reason of the last refusal (SET, IMPORT), for status.json and the log; borrowed, may be NULL. */
const char *fs_guest_last_reason(const FsGuest *guest);
/* Why the last engine could not start; borrowed, NULL if none failed. */
const char *fs_guest_failure(const FsGuest *guest);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsFleet, fs_fleet_free)
