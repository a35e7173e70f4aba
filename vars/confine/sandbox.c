/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Theory of operation. Each step either takes hold, and is noted as active, or does not, and is
 * noted as missing with its reason; in strict mode the latter is an error. Nothing is ever undone.
 *
 * A program built with a sanitizer needs what confinement forbids (its shadow, its report at exit):
 * there limits and seccomp are left out and noted as missing.
 */

#include "sandbox.h"
#include "file-error.h"

#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "capabilities.h"
#include "landlock.h"
#include "seccomp-list.h"
#include "seccomp-load.h"
#include "uv-limits.h"

/* A store file of the largest kind in memory twice (read, and written anew), and the libraries. */
#define DATA_LIMIT_BYTES (384u * 1024 * 1024)
/* Connections, files of the store, and some room. */
#define DESCRIPTOR_LIMIT 128

UvSandbox *uv_sandbox_new(UvSandboxMode mode)
{
    UvSandbox *sandbox = g_new0(UvSandbox, 1);

    sandbox->mode = mode;
    uv_confinement_init(&sandbox->confinement);
    return sandbox;
}

void uv_sandbox_free(UvSandbox *sandbox)
{
    if (!sandbox)
        return;
    uv_confinement_clear(&sandbox->confinement);
    g_free(sandbox);
}

static bool note(UvSandbox *sandbox, const char *step, const char *reason, GError **error)
{
    return uv_confinement_note(&sandbox->confinement, sandbox->mode == UV_SANDBOX_STRICT, step,
                               reason, error);
}

bool uv_sandbox_become(UvSandbox *sandbox, uid_t uid, gid_t gid, GError **error)
{
    /* While we may; what we then have not, we never get. */
    (void)uv_capabilities_bound(UV_CAPABILITIES_NONE);
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return uv_fail(error, UV_CONFINEMENT_ERROR, UV_CONFINEMENT_ERROR_REFUSED,
                       "can't become user %u, group %u: %s", uid, gid, g_strerror(errno));
    return note(sandbox, "uid", NULL, error);
}

/* Also root's engine: it works on descriptors, and on what root's files let root do. */
static bool drop_capabilities(UvSandbox *sandbox, GError **error)
{
    if (geteuid() == 0)
        (void)uv_capabilities_bound(UV_CAPABILITIES_NONE);
    const int failed = uv_capabilities_keep(UV_CAPABILITIES_NONE);
    return note(sandbox, "capabilities", failed ? g_strerror(failed) : NULL, error);
}

static void set_limit(__rlimit_resource_t resource, rlim_t value)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) != 0)
        return;
    limit.rlim_max = MIN(limit.rlim_max, value);
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(resource, &limit);
}

static void set_limits(void)
{
    set_limit(RLIMIT_DATA, DATA_LIMIT_BYTES);
    set_limit(RLIMIT_NOFILE, DESCRIPTOR_LIMIT);
    set_limit(RLIMIT_FSIZE, UV_FLASH_FILE_MAX);
    set_limit(RLIMIT_CORE, 0);
}

bool uv_sandbox_prepare(UvSandbox *sandbox, GError **error)
{
    (void)setsid(); /* fails only for a group's leader; then there is a group of its own already */
    if (sandbox->mode == UV_SANDBOX_OFF)
        return true;
    if (UV_UNDER_SANITIZER) {
        if (!note(sandbox, "limits", "built with a sanitizer", error))
            return false;
    } else {
        set_limits();
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        (void)note(sandbox, "limits", NULL, error);
    }
    if (!drop_capabilities(sandbox, error))
        return false;
    const bool set = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    if (!note(sandbox, "no_new_privs", set ? NULL : g_strerror(errno), error))
        return false;
    const bool lacking = sandbox->mode == UV_SANDBOX_STRICT && uv_landlock_abi() == 0;
    return !lacking || note(sandbox, "landlock", "the kernel has none", error);
}

bool uv_sandbox_confine_engine(UvSandbox *sandbox, GError **error)
{
    if (sandbox->mode == UV_SANDBOX_OFF)
        return true;
    const int abi = uv_landlock_abi();
    const int failed = uv_landlock_confine(NULL, 0);
    g_autofree char *step = failed ? g_strdup("landlock") : g_strdup_printf("landlock %d", abi);
    if (!note(sandbox, step, failed ? g_strerror(failed) : NULL, error))
        return false;
    if (UV_UNDER_SANITIZER)
        return note(sandbox, "seccomp", "built with a sanitizer", error);
    const int refused = uv_seccomp_load(&uv_seccomp_engine_program);
    return note(sandbox, "seccomp", refused ? g_strerror(refused) : NULL, error);
}

void uv_sandbox_confine_keeper(const UvSandbox *sandbox, int folder_fd)
{
    const UvLandlockRule folder = {folder_fd, UV_LANDLOCK_FOLDER};

    if (sandbox->mode == UV_SANDBOX_OFF)
        return;
    (void)uv_landlock_confine(&folder, 1);
    if (!UV_UNDER_SANITIZER)
        (void)uv_seccomp_load(&uv_seccomp_keeper_program);
}

void uv_sandbox_print_syscalls(FILE *out)
{
    for (const char *const *name = uv_seccomp_engine; *name; name++)
        fprintf(out, "engine %s\n", *name);
    for (const char *const *name = uv_seccomp_keeper; *name; name++)
        fprintf(out, "keeper %s\n", *name);
    for (const char *const *name = uv_seccomp_qcow2_denied; *name; name++)
        fprintf(out, "qcow2 %s\n", *name);
    for (const UvFcntlCommand *command = uv_seccomp_fcntl; command->name; command++)
        fprintf(out, "fcntl %s\n", command->name);
}
