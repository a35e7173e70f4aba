/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The device's side of the protocol: one session with one engine, across as many connections as it
 * takes. No QEMU header is needed here.
 */

#include "glue-link.h"

typedef enum {
    GLUE_TRI_UNSET, /* whatever the engine has */
    GLUE_TRI_OFF,
    GLUE_TRI_ON,
} GlueTri;

/* What the command line wants of the engine; HELLO's reply is checked against it each time. */
typedef struct {
    uint64_t size_bytes; /* 0: whatever the engine has */
    GlueTri force_secure_boot;
    GlueTri disable_custom_mode;
} GlueWants;

typedef struct GlueForward GlueForward;

/*
 * `store`: the store to be shown to the engine as our right to be its guest (by-store.h); NULL:
 * none is asked for. `name`: who we are, for the engine's messages. `say` is told of a lost and a
 * regained engine.
 */
GlueForward *glue_forward_new(const char *socket_path, const char *store, const char *name,
                              const GlueWants *wants, void (*say)(const char *text));
void glue_forward_free(GlueForward *forward);

/* Connects and says HELLO. `incoming`: the state will come with glue_forward_load(). */
bool glue_forward_start(GlueForward *forward, bool incoming,
                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Hands a communicate buffer over, and returns the device status. `ret_reply` is set unless no
 * reply came (then the status is an error); its length is not checked against the guest's buffer.
 */
uint32_t glue_forward_mm(GlueForward *forward, const uint8_t *request, size_t bytes,
                         GBytes **ret_reply);

/* The machine was reset. What can't be sent now goes before everything else later. */
void glue_forward_reset(GlueForward *forward);

/* The state blob. `release`: the engine lets go of the store until glue_forward_running(). */
GBytes *glue_forward_save(GlueForward *forward, bool release, GError **error);

bool glue_forward_load(GlueForward *forward, GBytes *blob, GError **error);

/* The machine runs (again): takes a store back that was released. */
void glue_forward_running(GlueForward *forward);

/* The machine is powered off. */
void glue_forward_end(GlueForward *forward);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(GlueForward, glue_forward_free)
