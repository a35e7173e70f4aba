/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the front asks the monitor, and what the monitor tells the front; and the same between the
 * monitor and its broker, who is asked what is asked of SOURCE.
 *
 * SOCK_SEQPACKET socket pairs. A packet from the front is one FsQuestion; a packet from the
 * monitor is one FsAnswer. Both have a fixed size and come from the same build on the same machine,
 * so they are structs in host byte order; the receiver checks its size, its kind, every
 * range, and that each text ends within its field, before it believes anything else of it. The
 * monitor takes everything that the front says as hostile: a question names a guest and a role,
 * never a path below SOURCE, and no number in it is more than what FsAsk says of it.
 *
 * Each question gets exactly one answer with its id, in bounded time, in whatever order; answers
 * with id 0 are what the monitor tells unasked. Descriptors go along as FsAsk and FsTell say
 * (SCM_RIGHTS), at most FS_QUESTION_FDS; a packet with others is refused, and they are closed.
 *
 * Between monitor and broker a few things mean more, which never go to the front: the number of an
 * answer to FS_ASK_START is the engine's user << 32 | group, its descriptors are the store's folder
 * and, if there is one, the store; its text, and that of FS_ASK_LISTEN and FS_ASK_WATCH, is the
 * path of a store that may have a socket of its own; the number of FS_ASK_CLEAN is not 0 where
 * nothing makes it a guest; that of FS_ASK_LIST is how many there are; `process` of a question is
 * the guest's engine.
 *
 * Constants and types only: monitor, broker and fleet include this file, none includes another.
 */

#include <stdbool.h>
#include <stdint.h>

#define FS_QUESTION_FDS 3
#define FS_QUESTION_FILE 256 /* a file name or a guest's name with its NUL */
#define FS_QUESTION_TEXT 512 /* a path or a reason with its NUL; longer ones are cut */
/* At most so many are unanswered; the front keeps the others in its own queue. */
#define FS_QUESTIONS_MAX 64
#define FS_CONFIG_BYTES_MAX (64u * 1024)
#define FS_PIN_BYTES_MAX (1024u * 1024)
#define FS_HINT_BYTES_MAX (64u * 1024)
/* Guests of one FS_ASK_LOOKS. */
#define FS_LOOKS_MAX 64
/* Sockets are made ahead of any look only while there are fewer guests. */
#define FS_LISTEN_AHEAD_MAX 4096u

/* Texts beside a store. */
typedef enum {
    FS_TEXT_CONFIG,     /* config.json of the guest */
    FS_TEXT_PIN,        /* the firmware choice that the store was made from */
    FS_TEXT_HINT,       /* what the front keeps of a store, never needed: sizes, names, state */
    FS_TEXT_STORE,      /* the store itself; for reading only */
    FS_TEXT_RECORD,     /* who changed what, as its engine wrote it down; for reading only */
    FS_TEXT_RECORD_OLD, /* what came before that */
    FS_TEXT_LOCK,       /* its engines' lock, which says on shared storage whose; likewise */
    FS_TEXTS,
} FsText;

typedef enum {
    FS_ASK_LIST = 1, /* all guests, in the order of their names, by FS_TELL_GUESTS; then the answer;
                      * after that (FS_LOOK_NAME) perhaps all of them again, with id 0 */
    /*
     * Look at `guest` anew; the answer has its look, and in its text who lost by the naming rules,
     * one a line. -ENOENT: nothing makes it a guest.
     */
    FS_ASK_LOOK,
    FS_ASK_FILE, /* `guest` is a file name in SOURCE: which guest does it mean? As FS_ASK_LOOK */
    /* The answer has an inotify descriptor, which the front reads; FS_TELL_WATCH says what its
     * numbers mean. -EOPNOTSUPP: SOURCE is a store. */
    FS_ASK_FOLLOW,
    FS_ASK_READ,  /* `text` of `guest`, as a descriptor to read from, and its look; -ENOENT: none */
    FS_ASK_WRITE, /* `text` of `guest` becomes what the descriptor (a sealed memfd) holds; atomic */
    FS_ASK_MAKE,  /* a new guest, a folder with an empty config.json */
    FS_ASK_REMOVE, /* the guest's store, sidecars, config.json and folder. -ENOTEMPTY */
    FS_ASK_RENAME, /* `guest` becomes `to`: store, sidecars, config.json. -EEXIST */
    /* The journal of a guest whose store is gone (`to`: by which file it was a guest, as FsLook has
     * it); the answer's text is its path now. -ENOENT: there is none. */
    FS_ASK_SET_ASIDE,
    /*
     * Make the guest's store: descriptor 0 is the template or executable to copy from (with
     * FS_MAKE_EMPTY none: an empty JSON store), the next the pin's text (a sealed memfd; absent: no
     * pin). `from` and `format` say which formats; FS_MAKE_REPLACE keeps a store that is there as
     * FILE.before-load. Answered when the store is complete or has failed, with a text then;
     * several for one guest are done one after the other.
     */
    FS_ASK_INSTANTIATE,
    FS_ASK_IMAGE,  /* `path`: a regular file, opened for reading with the front user's rights */
    FS_ASK_HOLDER, /* who has the guest's store open; the answer's text, empty if it can't be told
                    */
    /*
     * Start the guest's engine as `start` says. The answer has a connected host socket, the
     * engine's pidfd, and in `number` its process; where an engine of the guest lives already it is
     * as FS_ASK_CONNECT's. With FS_START_NO_LISTENER the engine gets a socket that no guest knows;
     * else the guest's, which is not watched until asked for. The text says why on failure.
     */
    FS_ASK_START,
    /* To the engine that has the guest's host socket, with its pidfd and number if it was started
     * by this monitor. -ECONNREFUSED: none. */
    FS_ASK_CONNECT,
    /* The engine that was started for this guest; with FS_KILL_STOPPED only one that is stopped by
     * a signal, while `process` (its guest; 0: it has none) is no more. -EBUSY: it is not so. */
    FS_ASK_KILL,
    /*
     * The engine is gone: its host socket, and with FS_CLEAN_SESSION its session, and of a guest
     * that is none any more also its socket. The answer's text says how it ended, if by itself.
     * -EBUSY: it is not gone.
     */
    FS_ASK_CLEAN,
    /* Make the guest's socket now, of whom its store belongs to now, and watch it. -EAGAIN: an
     * engine of an earlier front has it; -EMFILE: no more can be had. */
    FS_ASK_LISTEN,
    FS_ASK_WATCH,    /* the guest's socket is watched again: the next connection is told */
    FS_ASK_ACCEPT,   /* one waiting connection, as a descriptor (to be refused). -EAGAIN: none */
    FS_ASK_LISTENER, /* the listening socket that an adopted engine gave back goes to the monitor */
    /* `flags` is a thread that waits for an answer of the mount: the answer's number is 1 while it
     * is in a call that makes a name and takes no existing one. */
    FS_ASK_CALLER,
    FS_ASK_UNMOUNT, /* the mount ends; the front goes on to its own end */
    FS_ASK_READY,   /* the mount is usable: who waits for it is told */
    FS_ASK_NAME,    /* what `process` is called, as a descriptor: read from its beginning it tells
                       that, with a newline, as it is then; -ENOENT: the process is no more */
    /* Look at the guests whose names `path` has, with "/" between them: descriptor 0 holds `number`
     * FsTold (told.h), in that order. Who is no guest, is not watched, or has more to tell than
     * FsTold holds is left out: it is asked about alone. */
    FS_ASK_LOOKS,
    /* The monitor alone asks these, of its broker. uefivars-libvirt tells over the descriptor what
     * domains there are (domains.h); without one it could not be started, as `path` says. */
    FS_ASK_DOMAINS,
    FS_ASK_CLEAR, /* what lies beside the store `path` of `guest`, a domain that is gone */
    FS_ASKS,
} FsAsk;

#define FS_MAKE_REPLACE 1u
#define FS_MAKE_EMPTY 2u /* there is no template: descriptor 0 is the pin, if any */
#define FS_CLEAN_SESSION 1u
#define FS_START_NO_LISTENER 1u
#define FS_KILL_STOPPED 1u

typedef enum {
    FS_FORMAT_JSON,
    FS_FORMAT_FLASH, /* raw */
    FS_FORMAT_QCOW2,
    FS_FORMAT_UBOOT, /* only read */
    FS_FORMATS,
} FsFormat;

/* What an engine is started with, beyond what the mount's options say of all engines. */
typedef struct {
    uint64_t size_bytes; /* 0: the mount's, else 4096 to 8 MiB */
    uint8_t force_secure_boot, disable_custom_mode, stateless; /* not 0: yes */
    uint8_t traced;    /* not 0: a trace will be asked for, from the guest's first request on */
    uint8_t looked_at; /* not 0: nothing will be changed through it, and no guest comes to it */
    uint8_t light;     /* not 0: ... and no device paths are looked at: uefivars-look will do */
} FsEngineWish;

typedef struct {
    uint32_t kind; /* FsAsk */
    uint32_t flags;
    uint64_t id;           /* not 0 */
    uint32_t text;         /* FsText */
    uint32_t from, format; /* FsFormat */
    uint32_t process;
    FsEngineWish start;
    char guest[FS_QUESTION_FILE];
    char to[FS_QUESTION_FILE];
    char path[FS_QUESTION_TEXT];
} FsQuestion;

/* What a file is as long as it is the same: opaque to the front. All zero: no file. */
typedef struct {
    uint64_t word[5];
} FsIdentity;

typedef enum {
    FS_LOOK_STORE = 1 << 0,   /* there is a store */
    FS_LOOK_JOURNAL = 1 << 1, /* a journal lies beside it */
    FS_LOOK_CONFIG = 1 << 2,
    FS_LOOK_PIN = 1 << 3,
    FS_LOOK_HINT = 1 << 4,
    FS_LOOK_WATCHED = 1 << 5, /* a change of the store would be told by inotify */
    FS_LOOK_SOURCE = 1 << 6,  /* SOURCE is the store itself: no config.json, no rename */
    FS_LOOK_FOLDER = 1 << 7,  /* the guest is a folder */
    FS_LOOK_BRIEF = 1 << 8,   /* one of a list: what lies beside the store was not looked at, nor
                                 what lies in the folder */
    FS_LOOK_SAVED = 1 << 9,   /* FS_ASK_START: libvirt keeps a saved state of it */
    FS_LOOK_NAME = 1 << 10,   /* with FS_LOOK_BRIEF: only the name and the file that it comes of are
                                 told yet, of the first list of many; the rest follows */
} FsLookFlags;

/* A guest as its files are now. */
typedef struct {
    uint32_t flags; /* FsLookFlags */
    uint32_t uid, gid;
    uint32_t mode;   /* of the store, else of what stands for it */
    uint16_t access; /* of 0666: what the store and the folders above it let whom do to it */
    uint16_t reach;  /* of 0777: the same of SOURCE, where that is a folder */
    uint32_t format; /* FsFormat, by the store's name */
    uint64_t size_bytes;
    int64_t mtime_ns;
    FsIdentity store, config, pin, hint;
    char file[FS_QUESTION_FILE];       /* the file or folder in SOURCE by which it is a guest */
    char store_name[FS_QUESTION_FILE]; /* of the store in its folder, there or not */
} FsLook;

typedef enum {
    FS_TELL_ANSWER, /* to the question with this id */
    FS_TELL_GUESTS, /* some of FS_ASK_LIST's, whose `id` it has: descriptor 0 holds `number` FsTold
                     * (told.h). 0, and none: it will be many */
    FS_TELL_KNOCK,  /* a guest connects to `guest`'s socket, which is not watched until asked for */
    FS_TELL_WATCH,  /* inotify's `number` stands for the folder of `guest` ("": SOURCE) */
    FS_TELL_FOUND,  /* an engine that outlived an earlier front: descriptor 0 is its host socket */
    FS_TELL_STOP,   /* the monitor was told to end: finish */
    /* `text`: why it is not known any more what SOURCE is, which is read-only until it is "". */
    FS_TELL_DETACHED,
    /* The broker tells its monitor alone these. `guest` is a domain; `number` not 0: it has another
     * store, or another state, than its engine knows. `text`: its store, if that is JSON. */
    FS_TELL_DOMAIN,
    FS_TELL_GONE, /* `guest` is no domain any more, whose store `text` was */
    FS_TELL_LOST, /* uefivars-libvirt is at its end: another one is wanted */
    FS_TELLS,
} FsTell;

/* One of FS_ASK_LIST's or FS_ASK_LOOKS'. */
#define FS_TOLD_MAX 256
typedef struct {
    char guest[FS_QUESTION_FILE];
    FsLook look; /* of a list: FS_LOOK_BRIEF */
} FsTold;

typedef struct {
    uint32_t kind; /* FsTell */
    int32_t error; /* 0 or a negative errno */
    uint64_t id;
    int64_t number;
    char guest[FS_QUESTION_FILE];
    FsLook look;
    char text[FS_QUESTION_TEXT];
    char store[FS_QUESTION_TEXT]; /* with a domain's look: where libvirt says that its store is */
} FsAnswer;
