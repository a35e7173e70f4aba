/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* How a process was confined, step by step: what took hold, and what did not and why. Shown in
 * status.json. */

#include <glib.h>
#include <stdbool.h>

#if defined(__SANITIZE_ADDRESS__)
#define UV_UNDER_SANITIZER true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UV_UNDER_SANITIZER true
#endif
#endif
#ifndef UV_UNDER_SANITIZER
#define UV_UNDER_SANITIZER false
#endif

#define UV_CONFINEMENT_ERROR uv_confinement_error_quark()
GQuark uv_confinement_error_quark(void);
typedef enum {
    UV_CONFINEMENT_ERROR_LACKING, /* it had to take hold, and the kernel lacks it */
    UV_CONFINEMENT_ERROR_REFUSED, /* the kernel has it, and refused it */
} UvConfinementError;

typedef struct {
    GPtrArray *active;  /* of char *: "uid 990", "capabilities", "landlock 7", ... */
    GPtrArray *missing; /* of char *: with the reason */
} UvConfinement;

void uv_confinement_init(UvConfinement *confinement);
void uv_confinement_clear(UvConfinement *confinement);
/* Notes a step; `reason` NULL: it took hold. false, with an error, only where it had to (`strict`)
 * and did not. */
bool uv_confinement_note(UvConfinement *confinement, bool strict, const char *step,
                         const char *reason, GError **error);
/* The same by an errno; 0: it took hold. */
bool uv_confinement_note_errno(UvConfinement *confinement, bool strict, const char *step,
                               int failed, GError **error);
