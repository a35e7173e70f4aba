/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The guests of one SOURCE, and their engines.
 *
 * Theory of operation. The front has one thread that does everything, in one GMainContext: FUSE
 * requests, engines' sockets, the source's answers, timers, inotify. Nothing in it ever waits: what
 * needs an engine or an answer of the source is parked in that guest's queue with a continuation
 * and goes on when the reply is there, when the kernel interrupts it, or when its deadline passes.
 * So there are no locks, and a stopped engine stalls nothing but its own guest's requests. The
 * context has its turn before each request (fusefs/program/fuse-session.c): what an engine or
 * SOURCE had to tell when the request came is known here then, and is not looked for again.
 * (Directory entries are invalidated from one more thread that touches nothing here: notify.h.)
 *
 * The fleet reaches no file, makes no socket and starts no process: it asks its source (source.h).
 * It knows no FUSE but the opaque request pointer of a parked call. Variable contents pass through
 * it unread.
 */

#include "claim.h"
#include "refusals.h"
#include "replica.h"
#include "source.h"

#include <string.h>

typedef struct FsFleet FsFleet;
typedef struct FsGuest FsGuest;

static inline bool fs_identity_equal(const FsIdentity *a, const FsIdentity *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

typedef struct {
    bool read_only;
    unsigned engines;    /* most engines without a guest alive at once */
    unsigned idle_s;     /* when an engine without a guest ends */
    unsigned processors; /* so many engines can start at a time */
    bool light;          /* there is uefivars-look: FS_START_READ's engines can do less */
    const UvHost *host;  /* other hosts have SOURCE, too, and this is this one; NULL: none have */
    unsigned look_s;     /* how old a look may be there */
    /* What engines tell of a store depends on it, too: what was kept with another counts no more.
     * NULL: nothing. */
    const char *known_by;
    /* For status.json: what the front has given up, and what it could not; borrowed, may be NULL.
     */
    const GPtrArray *confined, *unconfined;
} FsFleetOptions;

/* What is known of a guest's files, as of the last look. */
typedef struct {
    uint32_t flags; /* FsLookFlags */
    uint32_t uid, gid;
    uint32_t mode;
    uint16_t access; /* of 0666: what its files let whom do to the store */
    FsFormat format; /* by the store's name */
    uint64_t size_bytes;
    int64_t mtime_ns; /* of the store, else of what stands for it */
    FsIdentity store, config, pin, hint;
} FsGuestLook;

typedef struct {
    uint64_t total_bytes, remaining_bytes, largest_bytes;
} FsUsage;

/* What an engine is started for; the later, the more. */
typedef enum {
    FS_START_READ,
    FS_START_SHOW, /* to read what device paths are shown in */
    FS_START_WRITE,
    FS_START_GUEST,
} FsStart;

typedef enum {
    FS_ENTRY_APPEARED,
    FS_ENTRY_CHANGED,
    FS_ENTRY_REMOVED,
} FsEntryEvent;

#define FS_ACTOR_NAME_MAX 64u

/* Who asks for something, as the kernel tells. */
typedef struct {
    uint32_t uid, gid, pid;
    char name[FS_ACTOR_NAME_MAX + 1]; /* of the program; "": not known */
} FsActor;

/* What the tree is told; called from the main loop, never from inside a call into the fleet. */
typedef struct {
    /* A guest is new in, or gone from, guests/. */
    void (*guest_added)(FsGuest *guest, void *data);
    void (*guest_removed)(FsGuest *guest, void *data); /* the pointer is dead afterwards */
    /* Of one entry of vars/; the replica is up to date already. */
    void (*entry_changed)(FsGuest *guest, const char *name, FsEntryEvent event, void *data);
    /*
     * An engine is about to be started (this one may be called from inside a call into the fleet;
     * the guest's look, config.json and pin are current). Fills in what the guest's config.json
     * asks for; for a guest without a store and more than reading, may make the store first
     * (template). false: the guest can't have an engine now; with G_IO_ERROR_PENDING it can when
     * fs_guest_prepared() is called.
     */
    bool (*engine_starting)(FsGuest *guest, FsStart why, FsEngineWish *wish, void *data,
                            GError **error);
    /* What was told of the guest's files may not hold any longer (also called from inside a call
     * into the fleet). */
    void (*files_changed)(FsGuest *guest, void *data);
    /* The guest's record has grown, or may have (also called from inside a call into the fleet). */
    void (*record_grew)(FsGuest *guest, void *data);
    /* Whose request that is, a parked one (called from inside the fleet). */
    void (*actor)(void *request, FsActor *ret_actor, void *data);
    void (*stopped)(void *data); /* the monitor was told to end, or is gone: finish */
} FsFleetEvents;

/*
 * A fleet over `source` (taken, also on failure), whose guests are asked for at once; for a store
 * as SOURCE there is one guest, whose name is "", and it is waited for. `options` is borrowed.
 */
FsFleet *fs_fleet_new(FsSource *source, const FsFleetOptions *options, GMainContext *context,
                      GError **error);
void fs_fleet_set_events(FsFleet *fleet, const FsFleetEvents *events, void *data);
/* Guests' sockets are made, from now on in the background. */
void fs_fleet_start(FsFleet *fleet);
/* Who waits for the mount is told that it is usable. */
void fs_fleet_ready(FsFleet *fleet);
/* The mount goes, so that nothing new comes. */
void fs_fleet_unmount(FsFleet *fleet);
/* A clean unmount: ends the engines without a guest, their stores complete; iterates the context
 * for it. */
void fs_fleet_stop(FsFleet *fleet);
void fs_fleet_free(FsFleet *fleet);
bool fs_fleet_is_file(const FsFleet *fleet);
const FsSourceFacts *fs_fleet_source(const FsFleet *fleet);
/* Of 0777: what SOURCE lets whom do in it, as it is now. */
uint16_t fs_fleet_reach(const FsFleet *fleet);

/* Guests in a stable order: `after` is a guest's sequence (0: from the start), as they are known.
 */
FsGuest *fs_fleet_next(FsFleet *fleet, uint64_t after);

/*
 * Parked work. The continuation is called exactly once: at once (before the function returns) when
 * nothing has to be waited for, else from the main loop, with 0 or an errno: EIO (deadline, or the
 * engine died twice), EINTR (interrupted), EAGAIN never. `guest` is NULL if it went away meanwhile
 * (errno ENOENT). `request` is the fuse_req_t, for interrupts; NULL for none. At most 64 wait for
 * an engine of a guest: EBUSY.
 */
typedef void (*FsContinue)(FsGuest *guest, int error, void *data);

/* The guest of that name (NULL, ENOENT), its look current and its socket there. */
void fs_fleet_find(FsFleet *fleet, const char *name, void *request, FsContinue go_on, void *data);
/* Whether a list of all guests takes longer than a process should wait that wants names only. */
bool fs_fleet_has_many(const FsFleet *fleet);
/* Until fs_fleet_next() tells what is in SOURCE, with `looks` also what each guest looks like; the
 * guest is always NULL. */
void fs_fleet_need_list(FsFleet *fleet, bool looks, void *request, FsContinue go_on, void *data);
/* mkdir guests/NAME: EEXIST, EINVAL, ENAMETOOLONG, EPERM, EROFS, ... */
void fs_fleet_make_guest(FsFleet *fleet, const char *name, FsContinue go_on, void *data);

FsFleet *fs_guest_fleet(const FsGuest *guest);
const char *fs_guest_name(const FsGuest *guest);
uint64_t fs_guest_sequence(const FsGuest *guest);
/* Inside a continuation of a need that included it; older elsewhere. */
const FsGuestLook *fs_guest_look(const FsGuest *guest);
/* Changes of its files are told (FsFleetEvents), but for those that the kernel does not tell:
 * through another link, a memory map, or by another host. */
bool fs_guest_is_followed(const FsGuest *guest);
/* FsNeeds that nothing has to be waited for. */
bool fs_guest_has(const FsGuest *guest, unsigned needs);
bool fs_guest_has_store(const FsGuest *guest);
/* Why one of FS_FORMAT_UBOOT is neither made anew nor replaced. */
#define FS_STORE_IS_UBOOTS "the store is a file of U-Boot's, which is only read"
/* As people would type it; where it will be if absent. */
char *fs_guest_store_path(const FsGuest *guest);
char *fs_guest_socket_path(const FsGuest *guest);
/* Its memory stays until it is released, though the guest may go away meanwhile. */
FsGuest *fs_guest_hold(FsGuest *guest);
void fs_guest_release(FsGuest *guest);
/* What other rooms keep of a guest (nodes, staging files; a resolved choice); freed with it. */
typedef enum {
    FS_ROOM_TREE,
    FS_ROOM_FIRMWARE,
    FS_ROOMS,
} FsRoom;
void fs_guest_set_data(FsGuest *guest, FsRoom room, void *data, GDestroyNotify destroy);
void *fs_guest_data(const FsGuest *guest, FsRoom room);
/* The look can be shown in a listing: nothing says that it is no more so. */
bool fs_guest_look_serves(const FsGuest *guest);
/* A line for status.json's warnings, kept until the next of the same `topic`; NULL clears it. */
void fs_guest_set_warning(FsGuest *guest, const char *topic, const char *text);
/* A line about the guest for the log; one that users can cause often is left out then. */
void fs_guest_log(FsGuest *guest, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The front's own members of status.json, a JSON object; to be freed. */
char *fs_guest_status(FsGuest *guest);

/* What a continuation wants to find current. */
typedef enum {
    FS_NEED_LOOK = 1 << 0,
    FS_NEED_CONFIG = 1 << 1, /* texts (fs_guest_text()), with their look */
    FS_NEED_PIN = 1 << 2,
    FS_NEED_HINT = 1 << 3,
    FS_NEED_FRESH_LOOK = 1 << 8, /* as young as for the replica, and the engine was heard */
    FS_NEED_HEAD = 1 << 7,       /* the store's first bytes, as the text FS_TEXT_STORE */
    FS_NEED_SOCKET = 1 << 4,     /* the guest's socket is there, if one can be made */
    FS_NEED_STATUS = 1 << 5,     /* who lost by the naming rules, who holds the store */
    FS_NEED_NO_ENGINE = 1 << 9,  /* it has ended, its store complete; EBUSY: it has a guest */
    FS_NEED_NAMES = 1 << 10,     /* the replica's entries, without their contents; as that */
    FS_NEED_REPLICA = 1 << 6,    /* starts an engine if need be */
} FsNeeds;
void fs_guest_need(FsGuest *guest, unsigned needs, void *request, FsContinue go_on, void *data);
FsReplica *fs_guest_replica(const FsGuest *guest); /* valid where it was needed */
const FsUsage *fs_guest_usage(const FsGuest *guest);
uint32_t fs_guest_state(const FsGuest *guest); /* UV_HOST_STATE_*; 0 without an engine */

/*
 * The kernel interrupted `request`: what is parked with it goes on with EINTR, now or from the main
 * loop. The tree calls this (the fleet asks FUSE nothing); a request that is not parked is ignored.
 */
void fs_fleet_interrupt(FsFleet *fleet, void *request);

/* A host-socket request (UV_HOST_*) to an engine that was started for no less than `why`, and its
 * reply; `reply` is NULL with an error. */
typedef void (*FsReply)(FsGuest *guest, int error, GBytes *reply, void *data);
void fs_guest_call(FsGuest *guest, void *request, FsStart why, uint16_t type,
                   GBytes *payload /* nullable */, FsReply go_on, void *data);
/* SET, TOUCH and IMPORT: the reply's outcome as an errno of the efivarfs table (0: done). */
void fs_guest_set(FsGuest *guest, void *request, const char *name, GBytes *content, uint32_t flags,
                  int64_t mtime_ns, FsContinue go_on, void *data);
void fs_guest_touch(FsGuest *guest, void *request, const char *name, int64_t mtime_ns,
                    FsContinue go_on, void *data);
/* store.json: replaces the whole store. */
void fs_guest_import(FsGuest *guest, void *request, GBytes *json, FsContinue go_on, void *data);

/* A text beside the store. NULL and `ret_error` 0: there is none; else an errno (EFBIG: too large).
 * Borrowed, valid until the main loop goes on. `ret_mtime_ns` may be NULL. */
GBytes *fs_guest_text(const FsGuest *guest, FsText text, int *ret_error, int64_t *ret_mtime_ns);
/* There is no engine, and its store has every change. */
bool fs_guest_is_at_rest(const FsGuest *guest);
/* What the last engine said of itself when it ended (UV_HOST_STATUS), for a guest that has none and
 * whose store and config.json are the same since: borrowed, NULL: not known. With FS_NEED_HINT. */
GBytes *fs_guest_known_status(const FsGuest *guest);
/* The size of store.json, of a store that is no JSON file: false: not known. With FS_NEED_HINT. */
bool fs_guest_export_bytes(const FsGuest *guest, uint64_t *ret_bytes);
void fs_guest_set_export_bytes(FsGuest *guest, uint64_t bytes);
/* Grows with each text that is read anew: what was made of them holds while it is the same. */
uint64_t fs_guest_texts_generation(const FsGuest *guest);
/* Replaces the text; `go_on` may be NULL. */
void fs_guest_write_text(FsGuest *guest, FsText text, GBytes *bytes, FsContinue go_on, void *data);

/*
 * A guest's record of changes, as it lies beside the store: no engine is asked. The descriptors (to
 * read from, -1: no such part) are the older part and the newer one; who wants one takes it.
 */
typedef void (*FsRecordOpened)(FsGuest *guest, int fds[2], void *data);
void fs_guest_open_record(FsGuest *guest, FsRecordOpened opened, void *data);
/* record_grew is called once, when an engine of the guest writes to the record after this. Growth
 * that comes before what is asked later is not missed, but may be told without there being any. */
void fs_guest_follow_record(FsGuest *guest);

/* What the open template is, and what the store is to be (the same: a copy as it is). `fd` is -1 if
 * it could not be opened, for `reason`. */
typedef bool (*FsTemplateCheck)(int fd, const char *reason, uint32_t *ret_from,
                                uint32_t *ret_format, void *data, GError **error);
/* `fd` is the callee's (-1: it can't be opened, for `error`, an errno, and `reason`). */
typedef void (*FsImageOpened)(int fd, int error, const char *reason, void *data);
/* An image or template outside of SOURCE, for reading, with an ordinary user's rights. */
void fs_fleet_open_image(FsFleet *fleet, const char *path, FsImageOpened opened, void *data);

/* How a store is made; `check` gets the data of the whole. */
typedef struct {
    const char *path; /* of the template; NULL: `image`, or an empty JSON store */
    GBytes *image;    /* what the store is to be, of that format; NULL: there is none */
    const char *pin;  /* NULL: nothing to pin */
    FsTemplateCheck check;
    FsFormat format; /* of a store without a template */
    bool replace;    /* a store that is there is kept beside the new one */
} FsMaking;
/* `error` NULL: it is made. guest NULL: it is gone. */
typedef void (*FsMade)(FsGuest *guest, const GError *error, void *data);
/* The template is opened, then the store is made. */
void fs_guest_instantiate(FsGuest *guest, const FsMaking *making, FsMade made, void *data);

/* The store itself, for reading. */
void fs_guest_open_store(FsGuest *guest, FsImageOpened opened, void *data);
/* mv guests/G guests/NAME: EBUSY (a guest is connected), EEXIST, EINVAL, ..., or the guest is gone.
 */
void fs_guest_rename(FsGuest *guest, const char *name, void *request, FsContinue go_on, void *data);
/* Whether that thread, which waits for an answer, is making a name that must not be there. */
typedef void (*FsCallerTold)(bool makes, void *data);
void fs_fleet_ask_caller(FsFleet *fleet, pid_t thread, FsCallerTold told, void *data);

/* SOURCE is on storage that other hosts have, too. */
bool fs_fleet_is_shared(const FsFleet *fleet);
/* Which host the guest is on, as its lock file says now: "HOST since TIME", NULL: none;
 * `elsewhere`: not this one. Only where SOURCE is shared. `guest` NULL: it is gone. */
typedef void (*FsHolderTold)(FsGuest *guest, const char *holder, bool elsewhere, void *data);
void fs_guest_ask_holder(FsGuest *guest, FsHolderTold told, void *data);
/* That host is dead: it has the guest no more. EBUSY: this one has it. */
void fs_guest_break_hold(FsGuest *guest, void *request, FsContinue go_on, void *data);
/* What engine_starting left pending is done, or failed for that reason: the engine is wanted again.
 * The guest may be gone. */
void fs_guest_prepared(FsGuest *guest, const GError *failure);
/* The store was made or replaced from here (instantiate, a template): an engine looks again. */
void fs_guest_store_changed(FsGuest *guest);
/* What is known of its files is older than that: a look before the next need. */
void fs_guest_files_changed(FsGuest *guest);
/* rmdir: ENOTEMPTY, EBUSY (a guest is connected), or the guest is gone. */
void fs_guest_remove(FsGuest *guest, void *request, FsContinue go_on, void *data);
/* What is being done is refused, for that reason: told before its continuation is called. */
void fs_guest_refused(FsGuest *guest, const char *reason);
/* That reason, for the caller to free; NULL: none was told. */
char *fs_guest_take_reason(FsGuest *guest);
/* What is refused just now its engine has refused, and recorded. */
bool fs_guest_is_on_record(const FsGuest *guest);
/*
 * What was refused here is for the guest's record, which its next engine writes if it has none;
 * none is started for it. With a `request` the process that asked is found out first: true, and
 * `go_on` is called when it may be answered, always with 0. false: at once.
 */
bool fs_guest_record_refusal(FsGuest *guest, void *request /* nullable */, const FsRefusal *refusal,
                             FsContinue go_on, void *data);
/* An engine has yet to write some of it. */
bool fs_guest_has_untold(const FsGuest *guest);
/* What was refused of this guest, as status.json tells it. */
FsRefusals *fs_guest_refusals(FsGuest *guest);
/* Why the last engine could not start; borrowed, NULL if none failed. */
const char *fs_guest_failure(const FsGuest *guest);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsFleet, fs_fleet_free)
