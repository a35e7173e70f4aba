/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of the monitor share. */

#include "by-store.h"
#include "monitor.h"
#include "packet.h"
#include "place.h"
#include "poll-set.h"

/* Beside two descriptors a guest: engines, files under way. */
#define MONITOR_OTHER_FDS 8192

/* What the system gave the monitor for one guest. Made when there is something to remember. */
typedef struct {
    FsMonitor *monitor;
    char *name;
    int listener_fd;  /* -1: none */
    FsWatch listener; /* watched: the next connection is told */
    FsStoreSocket store_socket;
    FsWatch store_listener;
    bool lent;       /* an engine of an earlier monitor has the listener */
    bool store_lent; /* ... and the store's socket, until it ends */
    uid_t uid;       /* whose the socket is */
    gid_t gid;
    pid_t pid; /* of the engine that was started, 0: none */
    int pidfd;
    FsWatch engine_end;
    int bridge_pidfd; /* of the engine's uefivars-qcow2, which ends with it; -1: none */
    FsWatch bridge_end;
    char *ending;      /* how the last one ended, if it was not asked to; NULL: as it should */
    bool killed;       /* it was asked to */
    bool empty;        /* it was started for a domain that had no store */
    char *gone_store;  /* of a domain that is gone: cleared away after its engine; NULL: none */
    FsQuestion *start; /* waits for its end; NULL: none does */
} FsGuestState;

typedef struct FsListing FsListing;
typedef struct FsDomains FsDomains;

struct FsMonitor {
    const FsMonitorOptions *options;
    const FsMonitorHooks *hooks;
    const FsLocal *source;
    UvAccessAbove above; /* SOURCE */
    const FsSockdir *sockdir;
    FsPoll *poll;
    int link_fd, signal_fd;
    FsWatch link, signals;
    bool ended, ready, unmounted;
    GQueue outgoing;     /* Outgoing: what found no room in the socket */
    unsigned deferred;   /* questions that are answered later */
    GHashTable *guests;  /* FsGuestState.name -> FsGuestState */
    FsListing *listing;  /* NULL: none under way */
    UvNames *names;      /* all that are in SOURCE, of the last list; NULL: not known */
    bool told;           /* what looks like a guest and is none was logged */
    FsDomains *domains;  /* NULL: SOURCE is no libvirt */
    GHashTable *engines; /* of an earlier monitor: hashes of names, until the first list */
    int inotify_fd;      /* -1: not followed */
    GHashTable *watched; /* folder -> its watch's number */
    GQueue unwatched;    /* char *: folders that get their watch in the background */
    GSource *background;
    guint tidy_timer; /* 0: it has been, or need not be tidied up */
    GQueue works;     /* children at work: FsWork */
};

/* A question and what becomes of it. */
typedef struct {
    FsMonitor *monitor;
    const FsQuestion *question;
    int *fds;      /* came with it */
    bool far;      /* a child does it, which may wait */
    int output_fd; /* ... and that is where it sends its answer */
    FsAnswer answer;
    int answer_fds[FS_QUESTION_FDS];
} FsAsked;

/* Results of a first step, beside 0 and -errno: files are asked, or it is answered later. */
#define MONITOR_GO_ON 1
#define MONITOR_LATER 2

/* As it begins: nothing is answered yet. `question` and `fds` must outlive it. */
static inline FsAsked monitor_asked(FsMonitor *monitor, const FsQuestion *question,
                                    int fds[FS_QUESTION_FDS])
{
    return (FsAsked){.monitor = monitor,
                     .question = question,
                     .fds = fds,
                     .answer = {.kind = FS_TELL_ANSWER, .id = question->id},
                     .answer_fds = {-1, -1, -1}};
}

/* reply.c */
/* Takes the descriptors. */
void monitor_tell(FsMonitor *monitor, const FsAnswer *answer, int *fds, size_t n_fds);
void monitor_answer(FsMonitor *monitor, uint64_t id, int error);
bool monitor_is_congested(const FsMonitor *monitor);
void monitor_flush(FsMonitor *monitor);
void monitor_drop_outgoing(FsMonitor *monitor);

/* monitor.c: the mount ends, and with it the sockets that no engine has. Once. */
void monitor_unmount(FsMonitor *monitor);

/* questions.c: one question, with its descriptors (those that it does not take are closed) */
void monitor_ask(FsMonitor *monitor, const FsQuestion *question, int fds[FS_QUESTION_FDS]);
/* The files have been looked at, with this result, here or by a child: what follows of it, and the
 * answer. Takes its descriptors. */
void monitor_conclude(FsAsked *asked, int result);

/* files.c: what a question wants of files, in this process or a child: 0 or -errno, and the answer
 * so far. No state of the monitor's is changed. */
typedef int (*FsFilesWork)(FsAsked *asked);
int monitor_files_look(FsAsked *asked);
int monitor_files_looks(FsAsked *asked);
/* Whether what the guest has lies, or may lie, in another file system than SOURCE. */
bool monitor_files_are_far(FsAsked *asked);
int monitor_files_file(FsAsked *asked);
/* The answer's text is the store's path, if it may have a socket of its own. */
int monitor_files_listen(FsAsked *asked);
/* As for listening; the look has the store's own name. Descriptors: the folder, and the store if
 * there is one (monitor_opened_nothing()); the number is the engine's user and group
 * (monitor_number_of()). */
int monitor_files_start(FsAsked *asked);
int monitor_files_read(FsAsked *asked);
int monitor_files_write(FsAsked *asked);
int monitor_files_image(FsAsked *asked);
int monitor_files_holder(FsAsked *asked);

/* edit.c: likewise. A folder with an empty config.json. */
int monitor_files_make(FsAsked *asked);
/* -ENOTEMPTY: something else is there that would be lost, or become this guest. */
int monitor_files_remove(FsAsked *asked);
/*
 * Its store, sidecars, config.json and folder get the name. -EEXIST: that is a guest; -EBUSY: a
 * journal lies there, which belongs to the store's name: its engine must end first.
 */
int monitor_files_rename(FsAsked *asked);
int monitor_files_set_aside(FsAsked *asked);
/* The journal of a store that is gone, to a name under which no engine looks for one. -ENOENT:
 * there is none. `ret_path` is where it is now (allocated). */
int monitor_set_journal_aside(const FsPlace *place, char **ret_path);
/* Nothing stays of a guest that is none any more. */
void monitor_tidy(const FsAsked *asked);
/* make-store.c: becomes uefivars-make; returns only an -errno. */
int monitor_files_instantiate(FsAsked *asked);

/* Of monitor_files_start(): a domain that libvirt has made no store for. */
static inline bool monitor_opened_nothing(const FsAsked *asked)
{
    return asked->monitor->source->is_domains && asked->answer_fds[1] < 0;
}

static inline int64_t monitor_number_of(uid_t uid, gid_t gid)
{
    return (int64_t)((uint64_t)uid << 32 | gid);
}

/* work.c */
/* Does this in a child, and concludes when it is done or its time is over (of a question without an
 * id, which is none of the front's, none is told). Takes the descriptors.
 * `slow`: it takes long, as syncs do; `far`: in another file system. 0, -EBUSY, or -ETIMEDOUT (one
 * was not answered there, and still is not). */
int monitor_work(FsAsked *asked, FsFilesWork work, bool slow, bool far);
void monitor_end_works(FsMonitor *monitor);

/* guests.c */
FsGuestState *monitor_guest(FsMonitor *monitor, const char *name);
FsGuestState *monitor_find_guest(const FsMonitor *monitor, const char *name);
/* Makes the guest's socket if there is none, and gives it to whom the store belongs now, as this
 * look says. 0, -EAGAIN (an engine of an earlier monitor has it), -EMFILE, or another -errno. */
int monitor_listen(FsGuestState *guest, const FsLook *look, const char *store_path);
/* Makes the store's socket where there is none and may be one (by-store/). Without it the guest is
 * served over its own. */
void monitor_listen_store(FsGuestState *guest, const char *store_path);
void monitor_watch(FsGuestState *guest, bool watch);
/* First steps: one that waits; and a listening socket that an engine has given back. */
int monitor_accept(FsAsked *asked);
int monitor_take_listener(FsAsked *asked);
void monitor_engine_started(FsGuestState *guest, pid_t pid, int pidfd /* takes */);
void monitor_bridge_started(FsGuestState *guest, int pidfd /* takes */);
int monitor_kill(FsGuestState *guest);
/* Where the guest's last engine is on its way out: the question is asked again when it has ended.
 * false: there is none any more. Not while one waits already. */
bool monitor_wait_for_end(FsGuestState *guest, const FsQuestion *start);
/* First step: the engine is gone: its host socket, perhaps its session, and of a guest that is none
 * any more all else. */
int monitor_clean(FsAsked *asked);
void monitor_free_guest(void *guest);
/* At the end: those that no engine has. */
void monitor_drop_sockets(FsMonitor *monitor);
/* Engines of an earlier monitor: notes their hashes; tells of the one that this guest has. */
void monitor_find_engines(FsMonitor *monitor);
void monitor_tell_engine(FsMonitor *monitor, const char *guest);

/* spawn.c */
/* Starts the guest's engine with what monitor_files_start() has opened, which it takes. 0 or
 * -errno.
 */
int monitor_spawn(FsGuestState *guest, FsAsked *opened);

/* domains.c: SOURCE as a libvirt tells of it; does nothing where it is none */
void monitor_domains_start(FsMonitor *monitor);
void monitor_domains_stop(FsMonitor *monitor);
/* That stores in this one's folder have a socket, whether their domains have one already or not. */
void monitor_domains_serve(FsMonitor *monitor, const char *store);
/* What lies beside the store of a domain that is gone: what its engine had not put into it is kept,
 * as for other guests, the rest goes. By a child, and no question waits for it. */
void monitor_domain_clear(FsMonitor *monitor, const char *guest, const char *store);
/* libvirt keeps a saved state of it. */
bool monitor_domain_is_saved(const FsMonitor *monitor, const char *guest);
/* What domains there are is not known yet, and soon will be. */
bool monitor_domains_are_awaited(const FsMonitor *monitor);

/* list.c */
int monitor_list(FsAsked *asked); /* first step */
void monitor_free_listing(FsListing *listing);

/* follow.c */
int monitor_follow(FsAsked *asked); /* first step */
/* Watches this folder in SOURCE and tells so, unless it is watched. */
void monitor_watch_folder(FsMonitor *monitor, const char *folder);
/* Changes in this folder in SOURCE, or (NULL) in SOURCE itself, are told. */
bool monitor_watches(const FsMonitor *monitor, const char *folder);
/* The folder was told of by inotify: it may be another one now. */
void monitor_forget_folder(FsMonitor *monitor, const char *folder);
/* ... in the background. */
void monitor_watch_later(FsMonitor *monitor, const char *folder);
