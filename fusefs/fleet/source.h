/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * SOURCE as the fleet reaches it: questions and answers (questions.h), nothing else. What
 * answers (the monitor over a local folder; a broker over a cluster) is behind an FsSourceClass
 * that carries packets; what is asked, how answers find who asked, and how many may be under way
 * is the same for all, and here.
 *
 * Nothing waits: an answer comes from the main loop, later than fs_source_ask() returns. Each
 * question is answered exactly once; with -EIO when the source is lost, with -ECANCELED when it is
 * freed.
 */

#include "poll-set.h"
#include "questions.h"

typedef struct FsSource FsSource;

/* What never changes while the mount lives; the strings are the source's. */
typedef struct {
    char *path;    /* of SOURCE, absolute, links resolved */
    bool is_store; /* SOURCE is the one guest's store */
    bool any_name; /* a guest's name may begin with a dot */
    uint32_t uid, gid;
    uint16_t reach; /* of a folder, FsLook's: when mounted */
    int64_t mtime_ns;
    char *sockdir; /* where guests' sockets are */
} FsSourceFacts;

/*
 * `answer` is valid: its kind, its ranges, its texts. Who wants one of the descriptors takes it
 * (uv_fd_steal()); the others are closed afterwards. -1: there is none.
 */
typedef void (*FsAnswered)(const FsAnswer *answer, int fds[FS_QUESTION_FDS], void *data);

typedef struct {
    /* What comes unasked, and the FS_TELL_GUESTS of a list. */
    void (*told)(const FsAnswer *tell, int fds[FS_QUESTION_FDS], void *data);
    void (*lost)(void *data); /* the monitor answers no more */
} FsSourceEvents;

/* A way to carry packets. */
typedef struct {
    /* 0, or -EAGAIN (fs_source_flush() is called when it may go), or another -errno: lost. The
     * descriptors are borrowed. */
    int (*send)(FsSource *source, const FsQuestion *question, const int *fds, size_t n_fds);
    /* Answers come from `poll` from now on. 0 or -errno. */
    int (*start)(FsSource *source, FsPoll *poll);
    void (*free)(FsSource *source); /* what the class has added to FsSource */
} FsSourceClass;

struct FsSource {
    const FsSourceClass *class;
    FsSourceFacts facts;
    FsSourceEvents events;
    void *events_data;
    GHashTable *under_way; /* id -> Pending */
    GQueue waiting;        /* Pending: not sent yet */
    uint64_t last_id;
    bool lost;
};

/* For classes: the common part of a new source; `facts` is copied. */
void fs_source_init(FsSource *source, const FsSourceClass *class, const FsSourceFacts *facts);
/* A packet came: checks it, and hands it on. Takes the descriptors. */
void fs_source_deliver(FsSource *source, FsAnswer *packet, int fds[FS_QUESTION_FDS]);
void fs_source_flush(FsSource *source);
/* The connection is gone. */
void fs_source_lose(FsSource *source);

int fs_source_start(FsSource *source, FsPoll *poll, const FsSourceEvents *events, void *data);
void fs_source_free(FsSource *source);

/* All zero but kind and guest (nullable). */
FsQuestion fs_question(FsAsk kind, const char *guest);
/* `fds` (n_fds of them) are taken. `answered` may be NULL: the answer does not matter. */
void fs_source_ask(FsSource *source, const FsQuestion *question, int *fds, size_t n_fds,
                   FsAnswered answered, void *data);

/* The monitor of this mount, on the other end of `fd` (taken). */
FsSource *fs_source_monitor_new(int fd, const FsSourceFacts *facts);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(FsSource, fs_source_free)
