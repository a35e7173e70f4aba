/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a lock file on shared storage says: which host has it. The lock itself tells who may write
 * while all is well; where a network file system lost it, or a host went away with it, the text is
 * what decides.
 *
 *   HOST since 2026-01-31T12:00:00Z
 *   boot UUID-OF-THAT-HOST'S-BOOT
 *   claim 32-HEX-DIGITS
 *
 * An empty file is no engine's.
 */

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define UV_HOST_NAME_BYTES_MAX 64u
#define UV_BOOT_ID_BYTES 36u
#define UV_CLAIM_NUMBER_BYTES 32u
/* Of the whole text: a file that is longer is no claim. */
#define UV_CLAIM_BYTES_MAX 256u

/* A host between two of its starts. */
typedef struct {
    char name[UV_HOST_NAME_BYTES_MAX + 1];
    char boot[UV_BOOT_ID_BYTES + 1];
} UvHost;

typedef struct {
    UvHost host;
    char since[21];                         /* UTC, as it is written */
    char number[UV_CLAIM_NUMBER_BYTES + 1]; /* no two claims have the same */
} UvClaim;

/*
 * This host, of the caller's namespaces. G_FILE_ERROR_FAILED where it has no name that tells it
 * from others ("localhost", none, or with what is neither a letter, a digit, '-', '_' nor '.').
 */
bool uv_host_find(UvHost *ret_host, GError **error);

/* A new claim of this host, from now on; allocated. */
char *uv_claim_new(const UvHost *host);
/* false: not such a text. */
bool uv_claim_parse(const char *text, size_t size, UvClaim *ret_claim);
/* "HOST since TIME", as shown to people; allocated. */
char *uv_claim_describe(const UvClaim *claim);

typedef enum {
    UV_CLAIM_NONE,    /* the file is empty */
    UV_CLAIM_OURS,    /* this host's, of this start or an earlier one */
    UV_CLAIM_ANOTHER, /* another host's */
    UV_CLAIM_BROKEN,  /* no such text: whose it is can't be told */
} UvClaimKind;

/* Reads a lock file. `ret_claim` is set with UV_CLAIM_OURS and UV_CLAIM_ANOTHER. 0 or -errno. */
int uv_claim_read(int fd, const UvHost *host, UvClaimKind *ret_kind, UvClaim *ret_claim);
/* Puts `text` (NULL: nothing) in the place of what is there, durably. 0 or -errno. */
int uv_claim_write(int fd, const char *text);
/* The file holds exactly this text. */
bool uv_claim_is_there(int fd, const char *text);
