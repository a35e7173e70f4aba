/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of the broker share. */

#include "broker.h"
#include "packet-link.h"
#include "place.h"

typedef struct FsListing FsListing;
typedef struct FsDomains FsDomains;

struct FsBroker {
    const FsBrokerOptions *options;
    const FsLocal *local;
    UvAccessAbove above; /* SOURCE */
    FsPoll *poll;
    FsLink link; /* to the monitor */
    bool ended, unmounted;
    FsListing *listing;  /* NULL: none under way */
    UvNames *names;      /* all that are in SOURCE, of the last list; NULL: not known */
    bool told;           /* what looks like a guest and is none was logged */
    FsDomains *domains;  /* NULL: SOURCE is no libvirt */
    int inotify_fd;      /* -1: not followed */
    GHashTable *watched; /* folder -> its watch's number */
    GQueue unwatched;    /* char *: folders that get their watch in the background */
    GSource *background;
    guint tidy_timer; /* 0: it has been, or need not be tidied up */
    GQueue works;     /* children at work: FsWork */
};

/* A question and what becomes of it. */
typedef struct {
    FsBroker *broker;
    const FsQuestion *question;
    int *fds;      /* came with it */
    bool far;      /* a child does it, which may wait */
    int output_fd; /* ... and that is where it sends its answer */
    FsAnswer answer;
    int answer_fds[FS_QUESTION_FDS];
} FsJob;

/* Results of a first step, beside 0 and -errno: files are asked, or it is answered later. */
#define BROKER_GO_ON 1
#define BROKER_LATER 2

/* As it begins: nothing is answered yet. `question` and `fds` must outlive it. */
static inline FsJob broker_job(FsBroker *broker, const FsQuestion *question,
                               int fds[FS_QUESTION_FDS])
{
    return (FsJob){.broker = broker,
                   .question = question,
                   .fds = fds,
                   .answer = {.kind = FS_TELL_ANSWER, .id = question->id},
                   .answer_fds = {-1, -1, -1}};
}

/* broker.c: to the monitor. Takes the descriptors. */
void broker_tell(FsBroker *broker, const FsAnswer *answer, int *fds, size_t n_fds);

/* jobs.c: one question, with its descriptors (those that it does not take are closed) */
void broker_ask(FsBroker *broker, const FsQuestion *question, int fds[FS_QUESTION_FDS]);
/* The files have been looked at, with this result, here or by a child: what follows of it, and the
 * answer. Takes its descriptors. */
void broker_conclude(FsJob *job, int result);

/* files.c: what a question wants of files, in this process or a child: 0 or -errno, and the answer
 * so far. No state of the broker's is changed. */
typedef int (*FsFilesWork)(FsJob *job);
int broker_look(FsJob *job);
int broker_looks(FsJob *job);
/* Whether what the guest has lies, or may lie, in another file system than SOURCE. */
bool broker_is_far(FsJob *job);
int broker_file(FsJob *job);
/* The answer's text is the store's path, if it may have a socket of its own. */
int broker_listen(FsJob *job);
/* As for listening; the look has the store's own name. Descriptors: the folder, and the store if
 * there is one (of a domain that libvirt has made no store for there is none); the number is the
 * engine's user and group. */
int broker_start(FsJob *job);
int broker_read(FsJob *job);
int broker_write(FsJob *job);
int broker_image(FsJob *job);
int broker_holder(FsJob *job);
/* The answer's number is not 0: nothing makes it a guest. Nothing stays of such a one. */
int broker_clean(FsJob *job);

/* edit.c: likewise. A folder with an empty config.json. */
int broker_make(FsJob *job);
/* -ENOTEMPTY: something else is there that would be lost, or become this guest. */
int broker_remove(FsJob *job);
/*
 * Its store, sidecars, config.json and folder get the name. -EEXIST: that is a guest; -EBUSY: a
 * journal lies there, which belongs to the store's name: its engine must end first.
 */
int broker_rename(FsJob *job);
int broker_set_aside(FsJob *job);
/* The journal of a store that is gone, to a name under which no engine looks for one. -ENOENT:
 * there is none. `ret_path` is where it is now (allocated). */
int broker_set_journal_aside(const FsPlace *place, char **ret_path);
/* Nothing stays of a guest that is none any more. */
void broker_tidy(const FsJob *job);
/* make-store.c: becomes uefivars-make; returns only an -errno. */
int broker_instantiate(FsJob *job);

/* work.c */
/* Does this in a child, and concludes when it is done or its time is over. Takes the descriptors.
 * `slow`: it takes long, as syncs do; `far`: in another file system. 0, -EBUSY, or -ETIMEDOUT (one
 * was not answered there, and still is not). */
int broker_work(FsJob *job, FsFilesWork work, bool slow, bool far);
void broker_end_works(FsBroker *broker);

/* domains.c: SOURCE as a libvirt tells of it; does nothing where it is none */
void broker_domains_start(FsBroker *broker);
void broker_domains_stop(FsBroker *broker);
int broker_domains_take(FsJob *job); /* first step */
/* What lies beside the store (the question's path) of a domain that is gone: what its engine had
 * not put into it is kept, as for other guests, the rest goes. */
int broker_domain_clear(FsJob *job);
/* libvirt keeps a saved state of it. */
bool broker_domain_is_saved(const FsBroker *broker, const char *guest);
/* What domains there are is not known yet, and soon will be. */
bool broker_domains_are_awaited(const FsBroker *broker);

/* list.c */
int broker_list(FsJob *job); /* first step */
void broker_free_listing(FsListing *listing);

/* follow.c */
int broker_follow(FsJob *job); /* first step */
/* Watches this folder in SOURCE and tells so, unless it is watched. */
void broker_watch_folder(FsBroker *broker, const char *folder);
/* Changes in this folder in SOURCE, or (NULL) in SOURCE itself, are told. */
bool broker_watches(const FsBroker *broker, const char *folder);
/* The folder was told of by inotify: it may be another one now. */
void broker_forget_folder(FsBroker *broker, const char *folder);
/* ... in the background. */
void broker_watch_later(FsBroker *broker, const char *folder);
