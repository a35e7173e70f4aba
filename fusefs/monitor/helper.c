/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * SOURCE is a libvirt: uefivars-libvirt is started here, tells the broker what domains there are,
 * and when it ends is started again. What follows of a domain for its engine and its store's socket
 * is done here.
 */

#include "monitor-private.h"

#include "fd.h"
#include "program.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define AGAIN_MS 1000

struct FsHelper {
    FsMonitor *monitor;
    int pidfd; /* -1: it is reaped */
    guint timer;
    GHashTable *served; /* folders of JSON stores, which QEMU's module looks for */
};

static gboolean start_again(void *data);

/* False: it lives. */
static bool reap(FsHelper *helper)
{
    siginfo_t info;

    if (helper->pidfd < 0)
        return true;
    if (!uv_child_reap(helper->pidfd, &info))
        return false;
    uv_fd_clear(&helper->pidfd);
    return true;
}

static void end(const FsHelper *helper)
{
    if (helper->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, helper->pidfd, SIGKILL, NULL, 0);
}

void monitor_helper_lost(FsMonitor *monitor)
{
    FsHelper *helper = monitor->helper;

    if (!helper)
        return;
    end(helper);
    g_clear_handle_id(&helper->timer, g_source_remove);
    helper->timer = g_timeout_add(AGAIN_MS, start_again, helper);
}

/* What libvirt's library finds its sockets and daemons by. */
static char **environment(void)
{
    static const char *const kept[] = {"HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME",
                                       "XDG_CACHE_HOME", "XDG_DATA_HOME"};
    char **made = g_environ_setenv(NULL, "PATH", "/usr/sbin:/usr/bin:/sbin:/bin", true);

    made = g_environ_setenv(made, "LC_ALL", "C.UTF-8", true);
    for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
        if (g_getenv(kept[i]))
            made = g_environ_setenv(made, kept[i], g_getenv(kept[i]), true);
    return made;
}

/* The end of the socket that it tells over is `ret_fd`. 0 or -errno. */
static int start(FsHelper *helper, int *ret_fd)
{
    const FsMonitorOptions *options = helper->monitor->options;
    g_auto(GStrv) variables = environment();
    int ends[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    *ret_fd = ends[0];
    UvProgram program = {
        .path = options->libvirt,
        .argv = options->libvirt_arguments,
        .uid = options->libvirt_uid,
        .gid = options->libvirt_gid,
        .fds = {ends[1]},
        .n_fds = 1,
        .environment = variables,
    };
    return uv_program_start(&program, &pid, &helper->pidfd);
}

static gboolean start_again(void *data)
{
    FsHelper *helper = data;
    FsQuestion question = {.kind = FS_ASK_DOMAINS};
    int fds[FS_QUESTION_FDS] = {-1, -1, -1};

    if (!reap(helper))
        return G_SOURCE_CONTINUE;
    helper->timer = 0;
    const int result = start(helper, &fds[0]);
    if (result < 0) {
        fs_packet_close(fds);
        g_strlcpy(question.path, g_strerror(-result), sizeof(question.path));
    }
    monitor_ask_broker(helper->monitor, &question, fds);
    return G_SOURCE_REMOVE;
}

void monitor_helper_start(FsMonitor *monitor)
{
    if (!monitor->options->libvirt)
        return;
    monitor->helper = g_new0(FsHelper, 1);
    monitor->helper->monitor = monitor;
    monitor->helper->pidfd = -1;
    monitor->helper->served = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    monitor->helper->timer = g_timeout_add(0, start_again, monitor->helper);
}

void monitor_helper_stop(FsMonitor *monitor)
{
    FsHelper *helper = g_steal_pointer(&monitor->helper);
    GHashTableIter iter;
    void *folder;

    if (!helper)
        return;
    g_clear_handle_id(&helper->timer, g_source_remove);
    end(helper);
    uv_fd_clear(&helper->pidfd);
    g_hash_table_iter_init(&iter, helper->served);
    while (g_hash_table_iter_next(&iter, &folder, NULL))
        fs_sockdir_publish_folder(monitor->sockdir, folder, false);
    g_hash_table_unref(helper->served);
    g_free(helper);
}

void monitor_domains_serve(FsMonitor *monitor, const char *store)
{
    FsHelper *helper = monitor->helper;
    g_autofree char *folder = helper ? g_path_get_dirname(store) : NULL;

    if (!helper || g_hash_table_contains(helper->served, folder))
        return;
    fs_sockdir_publish_folder(monitor->sockdir, folder, true);
    g_hash_table_add(helper->served, g_steal_pointer(&folder));
}

void monitor_domain_is(FsMonitor *monitor, const FsAnswer *told)
{
    FsGuestState *guest = monitor_find_guest(monitor, told->guest);

    if (guest && (told->number || guest->empty))
        monitor_kill(guest); /* the next one has it right; what it acknowledged is in the store */
    if (*told->text)
        monitor_domains_serve(monitor, told->text);
}

void monitor_domain_clear(FsMonitor *monitor, const char *guest, const char *store)
{
    FsQuestion question = {.kind = FS_ASK_CLEAR};
    int fds[FS_QUESTION_FDS] = {-1, -1, -1};

    g_strlcpy(question.guest, guest, sizeof(question.guest));
    g_strlcpy(question.path, store, sizeof(question.path));
    monitor_ask_broker(monitor, &question, fds);
}

/* When no engine of ours has the store any more. */
void monitor_domain_gone(FsMonitor *monitor, const FsAnswer *told)
{
    FsGuestState *guest = monitor_find_guest(monitor, told->guest);

    if (!guest || guest->pid == 0) {
        monitor_domain_clear(monitor, told->guest, told->text);
        return;
    }
    g_free(guest->gone_store);
    guest->gone_store = g_strdup(told->text);
}
