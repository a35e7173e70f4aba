/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "confine-helper.h"

#include "capabilities.h"
#include "confinement.h"
#include "landlock.h"
#include "seccomp-load.h"

#include <errno.h>
#include <sys/prctl.h>

static bool confine_noting(UvConfinement *confinement, bool strict, GError **error)
{
    int failed = uv_capabilities_keep(UV_CAPABILITIES_NONE);

    if (!uv_confinement_note_errno(confinement, strict, "capabilities", failed, error))
        return false;
    failed = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? errno : uv_landlock_confine(NULL, 0);
    if (!uv_confinement_note_errno(confinement, strict, "landlock", failed, error))
        return false;
    failed = UV_UNDER_SANITIZER ? EOPNOTSUPP : uv_seccomp_load(&uv_seccomp_libvirt_program);
    return uv_confinement_note_errno(confinement, strict && !UV_UNDER_SANITIZER, "seccomp", failed,
                                     error);
}

bool fs_helper_confine(bool strict, GError **error)
{
    UvConfinement confinement;

    uv_confinement_init(&confinement);
    prctl(PR_SET_DUMPABLE, 0);
    const bool confined = confine_noting(&confinement, strict, error);
    uv_confinement_clear(&confinement);
    return confined;
}
