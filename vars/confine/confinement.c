/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "confinement.h"
#include "file-error.h"

G_DEFINE_QUARK(uv - confinement - error - quark, uv_confinement_error)

void uv_confinement_init(UvConfinement *confinement)
{
    confinement->active = g_ptr_array_new_with_free_func(g_free);
    confinement->missing = g_ptr_array_new_with_free_func(g_free);
}

void uv_confinement_clear(UvConfinement *confinement)
{
    g_clear_pointer(&confinement->active, g_ptr_array_unref);
    g_clear_pointer(&confinement->missing, g_ptr_array_unref);
}

bool uv_confinement_note(UvConfinement *confinement, bool strict, const char *step,
                         const char *reason, GError **error)
{
    if (!reason) {
        g_ptr_array_add(confinement->active, g_strdup(step));
        return true;
    }
    g_ptr_array_add(confinement->missing, g_strdup_printf("%s: %s", step, reason));
    if (!strict)
        return true;
    return uv_fail(error, UV_CONFINEMENT_ERROR, UV_CONFINEMENT_ERROR_LACKING,
                   "sandbox=strict: no %s: %s", step, reason);
}

bool uv_confinement_note_errno(UvConfinement *confinement, bool strict, const char *step,
                               int failed, GError **error)
{
    return uv_confinement_note(confinement, strict, step, failed ? g_strerror(failed) : NULL,
                               error);
}
