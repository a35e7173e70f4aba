/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What uefivarsd was started with. */

#include <sys/types.h>

#include "sandbox.h"
#include "service.h"

/* Descriptors that a spawned engine inherits. */
enum {
    UV_FD_FOLDER = 3,         /* of the store */
    UV_FD_GUEST_LISTENER = 4, /* listening sockets */
    UV_FD_HOST_LISTENER = 5,
    UV_FD_SESSION = 6,        /* session file, O_RDWR */
    UV_FD_STORE = 7,          /* the store itself, opened; /dev/null: there is none yet */
    UV_FD_BLOCKD = 8,         /* --format=qcow2: uv_blockd_spawn()'s; without it one is started */
    UV_FD_STORE_LISTENER = 9, /* listening, for guests that prove the store; optional */
    UV_FD_FIRST_CLOSED = 10,  /* and all after it */
};

typedef struct {
    char *store;        /* a path; spawned: one component */
    char *socket;       /* a path; spawned: only for messages */
    char *host_socket;  /* NULL: none */
    char *store_socket; /* NULL: none */
    char *format;       /* "json", "flash" or "qcow2"; NULL: as the content looks */
    char *name;         /* of the guest, for the log; NULL: the store's path */
    UvServiceConfig service;
    UvSandboxMode sandbox;
    size_t record_bytes; /* 0: no record */
    /* GOption writes them itself. */
    gboolean daemonize;
    gboolean spawned;
    gboolean looked_at; /* nothing will be changed: signatures can't be verified, no guest comes */
    gboolean traced;    /* a host will ask for a trace, from the guest's first request on */
    gboolean read_only;
    gboolean is_saved; /* who starts the engine knows of one */
    gboolean in_place; /* the store's file is written over, never replaced */
    gboolean shared;   /* other hosts have the store's folder, too */
    gboolean show_version;
    gboolean print_syscalls;
    bool refuse_when_saved; /* the host's changes while a saved state exists */
    bool become;            /* uid and gid are given */
    uid_t uid;
    gid_t gid;
} UvDaemonOptions;

/* NULL with an error that names the option. --help is answered by GOption, which exits. */
UvDaemonOptions *uv_daemon_options_parse(int *argc, char ***argv, GError **error);
void uv_daemon_options_free(UvDaemonOptions *options);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvDaemonOptions, uv_daemon_options_free)
