/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "confine-front.h"

#include "capabilities.h"
#include "fd.h"
#include "fds.h"
#include "landlock.h"
#include "seccomp-load.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEFAULT_USER "uefivarsfs"
#define READABLE_MAX 64
/* Host sockets, process handles, files that are being read. */
#define DESCRIPTORS 8192

const struct passwd *fs_find_user(const char *name)
{
    guint64 uid;

    return g_ascii_string_to_unsigned(name, 10, 0, G_MAXUINT32 - 1, &uid, NULL)
               ? getpwuid((uid_t)uid)
               : getpwnam(name);
}

bool fs_front_user_find(const FsOptions *options, FsFrontUser *ret_user, GError **error)
{
    const struct passwd *user =
        fs_find_user(options->front_user ? options->front_user : DEFAULT_USER);

    *ret_user = (FsFrontUser){.uid = geteuid(), .gid = getegid()};
    if (!user && options->front_user) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, "front-user=%s: no such user",
                    options->front_user);
        return false;
    }
    if (!user || (geteuid() != 0 && !options->front_user))
        return true;
    if (geteuid() != 0 && user->pw_uid != geteuid()) {
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
                    "front-user=%s: only root may mount for another user", options->front_user);
        return false;
    }
    *ret_user = (FsFrontUser){geteuid() == 0 && user->pw_uid != 0, user->pw_uid, user->pw_gid};
    return true;
}

static int become(const FsFrontUser *user)
{
    if (geteuid() == 0) {
        (void)uv_capabilities_bound(UV_CAPABILITIES_NONE);
        if (setgroups(0, NULL) < 0)
            return errno;
    }
    if (user->become && (setresgid(user->gid, user->gid, user->gid) < 0 ||
                         setresuid(user->uid, user->uid, user->uid) < 0))
        return errno;
    /* The kernel forgets it with a change of user. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return 0;
}

static void set_limits(void)
{
    const struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    uv_fd_limit_raise(DESCRIPTORS);
}

static int allow_reading_only(const char *const *readable)
{
    UvLandlockRule rules[READABLE_MAX] = {{0}};
    size_t n = 0;
    int failed;

    for (; readable && *readable && n < READABLE_MAX; readable++) {
        const int fd = open(*readable, O_PATH | O_DIRECTORY | O_CLOEXEC);
        rules[n] = (UvLandlockRule){fd, UV_LANDLOCK_BROWSE};
        n += fd >= 0;
    }
    failed = uv_landlock_confine(rules, n);
    for (size_t i = 0; i < n; i++)
        uv_fd_clear(&rules[i].fd);
    return failed;
}

/* What a front must not be able to do, tried. */
static int test_self(void)
{
    uv_autofd int fd = openat(AT_FDCWD, "/etc/passwd", O_RDONLY | O_CLOEXEC);

    return fd >= 0 ? EEXIST : 0;
}

static bool take_steps(const FsFrontUser *user, const char *const *readable, bool strict,
                       UvConfinement *confinement, GError **error)
{
    g_autofree char *uid = g_strdup_printf("uid %u", (unsigned)user->uid);
    g_autofree char *landlock = g_strdup_printf("landlock %d", uv_landlock_abi());

    set_limits();
    /* These must take hold: the kernel has always had them. */
    if (!uv_confinement_note_errno(confinement, true, uid, become(user), error) ||
        !uv_confinement_note_errno(confinement, true, "capabilities",
                                   uv_capabilities_keep(UV_CAPABILITIES_NONE), error) ||
        !uv_confinement_note_errno(confinement, true, "no_new_privs",
                                   prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? errno : 0, error))
        return false;
    if (!uv_confinement_note_errno(confinement, strict, landlock, allow_reading_only(readable),
                                   error))
        return false;
    const int refused =
        UV_UNDER_SANITIZER ? EOPNOTSUPP : uv_seccomp_load(&uv_seccomp_front_program);
    return uv_confinement_note_errno(confinement, strict && !UV_UNDER_SANITIZER, "seccomp", refused,
                                     error) &&
           uv_confinement_note_errno(confinement, strict, "selftest", test_self(), error);
}

bool fs_front_confine(const FsFrontUser *user, const char *const *readable, bool strict,
                      UvConfinement *ret_confinement, GError **error)
{
    UvConfinement confinement;

    uv_confinement_init(&confinement);
    if (!take_steps(user, readable, strict, &confinement, error)) {
        uv_confinement_clear(&confinement);
        return false;
    }
    *ret_confinement = confinement;
    return true;
}
