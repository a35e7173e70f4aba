/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of secure-boot/ share: view-secure-boot.c (the files), secure-boot-keys.c (the
 * variables behind them), secure-boot-write.c (changes), secure-boot-enroll.c,
 * secure-boot-summary.c.
 */

#include "siglist.h"
#include "view.h"
#include "x509-text.h"

typedef enum {
    UV_KEY_PK,
    UV_KEY_KEK,
    UV_KEY_DB,
    UV_KEY_DBX,
    UV_KEY_DBT,
    UV_KEY_DBR,
    UV_KEYS,
} UvKey;

/* "PK", "KEK", "db", ... */
const char *uv_key_name(UvKey key);
/* false: no such key. `size`: of the name. */
bool uv_key_parse(const char *name, size_t size, UvKey *ret_key);
const UvGuid *uv_key_guid(UvKey key);
/* What the variable holds; NULL: it is not there. A new reference. */
GBytes *uv_key_lists(const UvService *service, UvKey key);

/* A signature of the lists, for a walk over all. */
typedef struct {
    UvReader reader;
    UvSiglist list;
    size_t i;
    bool in_list;
    /* the current one */
    const uint8_t *data;
    size_t data_bytes;
} UvKeyWalk;
/* `lists` (nullable) outlives the walk. */
void uv_key_walk_init(UvKeyWalk *walk, GBytes *lists);
bool uv_key_walk_next(UvKeyWalk *walk);

/*
 * The certificates of a variable and their file names, CN.XXXXXXXX.crt (eight hex digits of the
 * SHA-256 fingerprint; all 64 where two would have one name). The same certificate is there once.
 * Those beyond the first 512 are in list.esl alone: no firmware's store has so many.
 */
#define UV_KEY_CERTIFICATES_MAX 512u
typedef struct {
    char *name;
    UvX509Text text;
    const uint8_t *der; /* into the lists */
    size_t der_bytes;
} UvKeyCertificate;
GArray *uv_key_certificates(GBytes *lists);
/* The one whose file has this name, or NULL. */
const UvKeyCertificate *uv_key_certificate_find(const GArray *certificates, const char *file);
/* The subject's common name, as part of a file name and of a line: printable and without '/'. */
char *uv_key_common_name(const UvX509Text *text);

GBytes *uv_secure_boot_summary(UvServer *server);

/* How unsigned lists become a request: who asks, and the header that goes in front. */
typedef struct {
    UvSetRequest request;
    UvName *name;
    GBytes *content; /* what request.data points into */
} UvKeyRequest;
/* `door` UV_DOOR_OWNER, or UV_DOOR_HOST in setup mode. Empty lists delete (not with `append`). */
void uv_key_request_init(UvKeyRequest *request, UvDoor door, UvKey key, GBytes *lists, bool append);
void uv_key_request_clear(UvKeyRequest *request);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(UvKeyRequest, uv_key_request_clear)

/* What was written is nothing that a key variable takes. Always false. */
bool uv_key_refuse_input(UvViewOutcome *outcome);
void uv_secure_boot_write(UvServer *server, UvKey key, bool append, GBytes *content,
                          UvViewOutcome *outcome);
/* A file of the variable's folder goes: one certificate, all hashes, or (list.esl) everything. */
void uv_secure_boot_remove(UvServer *server, UvKey key, const char *file, UvViewOutcome *outcome);
/*
 * A profile: {u16 path size, path, u32 size, bytes} ... Paths are PK/NAME, KEK/NAME and so on, with
 * what VAR/append takes in them; or NAME.json, NAME.fd, a variable store whose keys are taken. What
 * the profile does not mention stays. All or nothing.
 */
void uv_secure_boot_enroll(UvServer *server, GBytes *profile, UvViewOutcome *outcome);
