/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The engine's event loop: one guest's store behind two sockets.
 *
 * Everything here runs in one thread. The host socket never holds the guest up: changes are put
 * into a host connection's socket before the guest's reply, and one that does not take them is cut.
 */

#include "sandbox.h"
#include "service.h"
#include "session.h"

typedef struct UvServer UvServer;

typedef struct {
    int guest_listener; /* owned, these three; -1: none */
    int host_listener;
    int store_listener; /* for guests that prove that they have the store open */
    /* What pointers are to is borrowed. */
    const UvServiceConfig *service;
    const UvSandbox *sandbox; /* for status */
    /* Answers UV_HOST_SELFTEST (allocated text); NULL in programs that are not for tests. */
    char *(*selftest)(const char *path);
    const char *store_path; /* for messages */
    size_t record_bytes;    /* of the record; 0: none */
    uid_t owner;            /* the user that may use the host socket beside root */
    bool refuse_when_saved; /* no change by the host while a saved state exists */
    bool is_saved;          /* one does, whether an engine has given it out or not */
    bool spawned;           /* ends by itself without a guest and a host */
    bool looked_at;         /* nothing is changed, no guest comes, and it ends with the last host */
    bool traced; /* no guest is let in before a host has asked for a trace, or a second */
} UvServerSetup;

/* Makes what confinement forbids to make later; reads nothing yet. Takes the store, open, not
 * loaded, and the session file (NULL: sessions do not outlive the engine). */
UvServer *uv_server_new(const UvServerSetup *setup, UvStore *store, UvSessionFile *session_file);
/* Reads the store, and the session that the session file holds. */
bool uv_server_load(UvServer *server, GError **error);
void uv_server_free(UvServer *server);
/* Serves until SIGTERM, SIGINT or END (which the caller has blocked); the exit status. */
int uv_server_run(UvServer *server);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvServer, uv_server_free)
