/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the rules know of a request that is being judged: the request itself, the service's
 * configuration, the boot phase and the policies of this boot. The service fills it in.
 */

#include "policy.h"
#include "refusal.h"
#include "varset.h"

/*
 * The asker. The owner's act (UV_DOOR_OWNER) is how the views change keys: it is for PK, KEK, db,
 * dbx, dbt and dbr alone, only while no session lives, and not with disable_custom_mode. There it
 * waives what CustomMode waives (the signature and the comparison of time stamps, neither the
 * authentication header nor the form of the lists), and leaves CustomMode as it is. It is refused
 * for everything else. Changes that wait for a cold start are made behind uv_service_end_session()
 * and before uv_service_cold_start(). Otherwise it is the host's door.
 */
typedef enum {
    UV_DOOR_GUEST,
    UV_DOOR_HOST,
    UV_DOOR_OWNER,
} UvDoor;

typedef enum {
    UV_VARCHECK_STRICT, /* host door: always checked */
    UV_VARCHECK_EDK2,   /* host door: as for the guest, after EndOfDxe */
    UV_VARCHECK_OFF,    /* host door: only logged */
} UvVarcheckMode;

typedef struct {
    size_t size_bytes; /* storage in total, as QEMU's `size` */
    bool force_secure_boot;
    bool disable_custom_mode;
    bool stateless; /* the firmware keeps no variables: there are none, not even derived ones */
    UvVarcheckMode varcheck;
    bool keeps_certdb; /* as the store's; the service follows it whenever the store changes */
} UvServiceConfig;

typedef struct {
    bool end_of_dxe;
    bool ready_to_boot;
    bool exit_boot_services; /* "at runtime" */
} UvPhase;

typedef struct {
    UvDoor door;
    UvGuid guid;
    const UvName *name;  /* NULL: the empty name */
    uint32_t attributes; /* as asked for, EFI_VARIABLE_APPEND_WRITE included */
    const uint8_t *data; /* authentication header included */
    size_t data_bytes;
    int64_t mtime_ns; /* 0: now */
    bool only_asks;   /* every check is made, and nothing is changed */
} UvSetRequest;

/* What checks need to know of the service; handed to auth.h, varcheck.h and update.h. */
typedef struct {
    const UvServiceConfig *config;
    const UvPhase *phase;
    const UvPolicy *policy;
    const UvSetRequest *request;
    size_t limit_bytes; /* non-volatile storage: the smaller of config's and the store's */
    bool session;       /* a guest's session is alive */
} UvGate;
