/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What service.c, service-set.c, service-query.c and service-session.c share. */

#include "mor.h"
#include "service.h"

struct UvService {
    UvServiceConfig config;
    UvStore *store; /* borrowed; NULL: everything in memory */
    char *store_error;
    UvVarset *variables;
    /* The session; all clear without one. */
    bool session;
    UvPhase phase;
    UvPolicy *policy;
    UvMor mor;

    UvObserver observer;
    void *observer_data;
    UvRefusalLog refusal_log;
    void *refusal_log_data;
};

/* The store's part first, then the set, then the observer. On failure nothing has changed. */
EfiStatus uv_service_commit(UvService *service, const UvChange *change,
                            UvRefusal *refusal) G_GNUC_WARN_UNUSED_RESULT;
/* Without the store: for what is volatile, or comes from the store. */
void uv_service_apply(UvService *service, const UvChange *change);
/* Non-volatile storage: the smaller of the configuration's and the store's. */
size_t uv_service_limit_bytes(const UvService *service);
