/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "leave-engines.h"

#include <glib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCOPE_ID_DIGITS 12
/* One of them may end between being found and being moved. */
#define TRIES 3
#define MOVED_US (1 * G_USEC_PER_SEC)
#define LOOK_US 2000

/* systemd tells a service's main process its number (since version 248). */
static bool is_service(void)
{
    const char *pid = g_getenv("SYSTEMD_EXEC_PID");

    return g_getenv("INVOCATION_ID") && pid && strtol(pid, NULL, 10) == getpid();
}

/* Where the numbers of our control group's processes are; NULL: nowhere. Beside the older kind of
 * groups, the unified ones have a folder of their own. */
static char *find_group(void)
{
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/self/cgroup", &text, NULL, NULL))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        for (size_t i = 0; g_str_has_prefix(*line, "0::/") && i < G_N_ELEMENTS(roots); i++) {
            g_autofree char *path =
                g_build_filename(roots[i], *line + strlen("0::"), "cgroup.procs", NULL);
            if (access(path, R_OK) == 0)
                return g_steal_pointer(&path);
        }
    }
    return NULL;
}

/* The numbers of the others, as texts; NULL: they can't be found out. */
static GPtrArray *others(void)
{
    g_autofree char *path = find_group(), *text = NULL;
    g_autoptr(GPtrArray) pids = g_ptr_array_new_with_free_func(g_free);

    if (!path || !g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(g_strchomp(text), "\n", -1);
    for (char **line = lines; *line; line++)
        if (**line && strtol(*line, NULL, 10) != getpid())
            g_ptr_array_add(pids, g_strdup(*line));
    return g_steal_pointer(&pids);
}

static bool move(const GPtrArray *pids)
{
    g_autofree char *scope = g_strdup_printf("uefivarsfs-engines-%.*s.scope", SCOPE_ID_DIGITS,
                                             g_getenv("INVOCATION_ID"));
    g_autofree char *count = g_strdup_printf("%u", pids->len);
    g_autoptr(GPtrArray) arguments = g_ptr_array_new();
    const char *const call[] = {"busctl",
                                geteuid() == 0 ? "--system" : "--user",
                                "--timeout=5",
                                "--quiet",
                                "call",
                                "org.freedesktop.systemd1",
                                "/org/freedesktop/systemd1",
                                "org.freedesktop.systemd1.Manager",
                                "StartTransientUnit",
                                "ssa(sv)a(sa(sv))",
                                scope,
                                "fail",
                                "2",
                                "Description",
                                "s",
                                "UEFI variable engines of running guests",
                                "PIDs",
                                "au",
                                count};
    int status;

    for (size_t i = 0; i < G_N_ELEMENTS(call); i++)
        g_ptr_array_add(arguments, (char *)call[i]);
    for (guint i = 0; i < pids->len; i++)
        g_ptr_array_add(arguments, pids->pdata[i]);
    g_ptr_array_add(arguments, (char *)"0");
    g_ptr_array_add(arguments, NULL);
    return g_spawn_sync("/", (char **)arguments->pdata, NULL,
                        G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL |
                            G_SPAWN_STDERR_TO_DEV_NULL,
                        NULL, NULL, NULL, NULL, &status, NULL) &&
           g_spawn_check_wait_status(status, NULL);
}

/* systemd does it when it has answered, and shall not see the service's end before. */
static void wait_until_moved(void)
{
    const int64_t deadline = g_get_monotonic_time() + MOVED_US;
    guint left = 1;

    while (left > 0 && g_get_monotonic_time() < deadline) {
        g_autoptr(GPtrArray) pids = others();
        left = pids ? pids->len : 0;
        if (left > 0)
            g_usleep(LOOK_US);
    }
}

void fs_leave_engines(void)
{
    if (!is_service())
        return;
    for (unsigned i = 0; i < TRIES; i++) {
        g_autoptr(GPtrArray) pids = others();
        if (!pids || pids->len == 0)
            return;
        if (move(pids)) {
            wait_until_moved();
            return;
        }
    }
}
