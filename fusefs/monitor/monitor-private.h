/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of the monitor share. */

#include "by-store.h"
#include "monitor.h"
#include "packet-link.h"

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

typedef struct FsHelper FsHelper;

struct FsMonitor {
    const FsMonitorOptions *options;
    const FsMonitorHooks *hooks;
    const FsSockdir *sockdir;
    FsPoll *poll;
    FsLink front, broker;
    int signal_fd;
    FsWatch signals;
    bool ended, ready, unmounted;
    unsigned waiting;    /* questions that wait for the end of an engine */
    GHashTable *asked;   /* id at the broker -> FsQuestion */
    uint64_t last_id;    /* ... of the last one */
    GHashTable *guests;  /* FsGuestState.name -> FsGuestState */
    GHashTable *engines; /* of an earlier monitor: hashes of names, until the first list */
    FsHelper *helper;    /* NULL: SOURCE is no libvirt */
};

/* A question and what becomes of it. */
typedef struct {
    FsMonitor *monitor;
    const FsQuestion *question;
    int *fds; /* came with it */
    FsAnswer answer;
    int answer_fds[FS_QUESTION_FDS];
} FsAsked;

/* Results of a first step, beside 0 and -errno: the broker is asked, or it is answered later. */
#define MONITOR_GO_ON 1
#define MONITOR_LATER 2

/* monitor.c: to the front. Takes the descriptors. */
void monitor_tell(FsMonitor *monitor, const FsAnswer *answer, int *fds, size_t n_fds);
/* The mount ends, and with it the sockets that no engine has. Once. */
void monitor_unmount(FsMonitor *monitor);

/* questions.c: one question, with its descriptors (those that it does not take are closed) */
void monitor_ask(FsMonitor *monitor, const FsQuestion *question, int fds[FS_QUESTION_FDS]);
/* The broker has answered this: what follows of it, and the answer. Takes the descriptors. */
void monitor_conclude(FsMonitor *monitor, const FsQuestion *question, const FsAnswer *answer,
                      int fds[FS_QUESTION_FDS]);

/* ask-broker.c */
/* Asks it, and concludes when it has answered (of a question without an id, which is none of the
 * front's, nothing is told). Takes the descriptors. */
void monitor_ask_broker(FsMonitor *monitor, const FsQuestion *question, int fds[FS_QUESTION_FDS]);
/* What the broker tells, a few packets a turn. */
void monitor_hear_broker(void *monitor, uint32_t events);

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
/* First step: the engine is gone: its host socket, perhaps its session; and then, of a guest that
 * is none any more, all else. */
int monitor_clean(FsAsked *asked);
int monitor_clean_guest(FsAsked *asked);
void monitor_free_guest(void *guest);
/* At the end: those that no engine has. */
void monitor_drop_sockets(FsMonitor *monitor);
/* Engines of an earlier monitor: notes their hashes; tells of the one that this guest has. */
void monitor_find_engines(FsMonitor *monitor);
void monitor_tell_engine(FsMonitor *monitor, const char *guest);

/* spawn.c */
/* Whether its answer is of a domain that libvirt has made no store for. */
bool monitor_opened_nothing(const FsAsked *opened);
/* Starts the guest's engine with what the broker has opened, which it takes. 0 or -errno. */
int monitor_spawn(FsGuestState *guest, FsAsked *opened);

/* helper.c: uefivars-libvirt, which tells the broker of domains; nothing where SOURCE is no
 * libvirt */
void monitor_helper_start(FsMonitor *monitor);
void monitor_helper_stop(FsMonitor *monitor);
/* It is at its end (FS_TELL_LOST): another one is started soon. */
void monitor_helper_lost(FsMonitor *monitor);
/* FS_TELL_DOMAIN and FS_TELL_GONE. */
void monitor_domain_is(FsMonitor *monitor, const FsAnswer *told);
void monitor_domain_gone(FsMonitor *monitor, const FsAnswer *told);
/* What lies beside the store of a domain that is gone is cleared away. No question waits for it. */
void monitor_domain_clear(FsMonitor *monitor, const char *guest, const char *store);
/* That stores in this one's folder have a socket, whether their domains have one already or not. */
void monitor_domains_serve(FsMonitor *monitor, const char *store);
