/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "confine-broker.h"

#include "capabilities.h"
#include "confinement.h"
#include "fd.h"
#include "seccomp-load.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIT(capability) (UINT64_C(1) << (capability))
/* Owners' rights on files, what is made becoming theirs; whom others' descriptors show in /proc;
 * and that uefivars-make is left none of it. */
#define KEPT                                                                                       \
    (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |                  \
     BIT(CAP_SETGID) | BIT(CAP_SETPCAP) | BIT(CAP_SETUID) | BIT(CAP_SYS_PTRACE))

/* What a broker must not be able to do, tried. */
static int test_self(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool could = fd >= 0;

    uv_fd_clear(&fd);
    return could ? EEXIST : 0;
}

static int keep_capabilities(void)
{
    const uint64_t kept = geteuid() == 0 ? KEPT : UV_CAPABILITIES_NONE;
    const int failed = geteuid() == 0 ? uv_capabilities_bound(kept) : 0;

    return failed ? failed : uv_capabilities_keep(kept);
}

bool fs_broker_confine(bool strict, GError **error)
{
    UvConfinement confinement;

    uv_confinement_init(&confinement);
    const bool confined =
        uv_confinement_note_errno(&confinement, strict, "capabilities", keep_capabilities(),
                                  error) &&
        uv_confinement_note_errno(&confinement, true, "no_new_privs",
                                  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? errno : 0, error) &&
        uv_confinement_note_errno(
            &confinement, strict && !UV_UNDER_SANITIZER, "seccomp",
            UV_UNDER_SANITIZER ? EOPNOTSUPP : uv_seccomp_load(&uv_seccomp_broker_program), error) &&
        uv_confinement_note_errno(&confinement, strict && !UV_UNDER_SANITIZER, "selftest",
                                  test_self(), error);
    for (guint i = 0; confined && !UV_UNDER_SANITIZER && i < confinement.missing->len; i++)
        g_message("the broker goes on without %s", (char *)confinement.missing->pdata[i]);
    uv_confinement_clear(&confinement);
    return confined;
}
