/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * uefivars-libvirt is started, told by, and when its connection ends started again. What it said
 * last stands while there is none: the mount goes on with the guests that it knows.
 */

#include "domain-folders.h"
#include "monitor-private.h"

#include "fd.h"
#include "program.h"
#include "sidecars-tidy.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PACKETS_A_TURN 16
#define AGAIN_MS 1000
/* So long it may take to tell of all domains; then it is taken for stuck. */
#define ALL_S 60
/* So long a list waits for them. */
#define AWAIT_US (10 * G_USEC_PER_SEC)

struct FsDomains {
    FsMonitor *monitor;
    FsWatch link;
    int link_fd; /* -1: none runs */
    int pidfd;   /* -1: it is reaped */
    guint timer;
    int64_t started_at; /* monotonic: the first one */
    bool settled;       /* there was an end of the first list, or of the first try */
    bool all;           /* this one has told of all */
    char *lost;         /* why there is none; NULL: there is one, or it is not known yet */
    GHashTable *told;   /* names that this one told of and did not take back */
    GHashTable *saved;  /* names of those with a saved state, as far as is known */
    GHashTable *served; /* folders of JSON stores, which QEMU's module looks for */
};

static gboolean start_again(void *data);

bool monitor_domains_are_awaited(const FsMonitor *monitor)
{
    const FsDomains *domains = monitor->domains;

    return domains && !domains->settled && g_get_monotonic_time() < domains->started_at + AWAIT_US;
}

bool monitor_domain_is_saved(const FsMonitor *monitor, const char *guest)
{
    return monitor->domains && g_hash_table_contains(monitor->domains->saved, guest);
}

/* False: it lives. */
static bool reap(FsDomains *domains)
{
    siginfo_t info = {0};

    if (domains->pidfd < 0)
        return true;
    if (waitid(P_PIDFD, (id_t)domains->pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
        return false;
    uv_fd_clear(&domains->pidfd);
    return true;
}

static void run_later(FsDomains *domains, guint milliseconds)
{
    g_clear_handle_id(&domains->timer, g_source_remove);
    domains->timer = g_timeout_add(milliseconds, start_again, domains);
}

/* The front hears what "read-only" means here. */
static void tell(const FsDomains *domains)
{
    FsAnswer detached = {.kind = FS_TELL_DETACHED};

    if (domains->lost)
        g_snprintf(detached.text, sizeof(detached.text), "%s: %s", domains->monitor->options->uri,
                   domains->lost);
    monitor_tell(domains->monitor, &detached, NULL, 0);
}

static void end(const FsDomains *domains)
{
    if (domains->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, domains->pidfd, SIGKILL, NULL, 0);
}

/* It has ended, or has to. Another one is tried soon. */
static void lose(FsDomains *domains, const char *why)
{
    const bool is_news = !domains->lost;
    if (is_news)
        g_warning("%s: %s: what it said last stands, and is read-only",
                  domains->monitor->options->uri, why);
    g_free(domains->lost);
    domains->lost = g_strdup(why);
    if (is_news)
        tell(domains);
    domains->settled = true;
    domains->all = false;
    fs_watch_remove(&domains->link);
    uv_fd_clear(&domains->link_fd);
    end(domains);
    run_later(domains, AGAIN_MS);
}

void monitor_domains_serve(FsMonitor *monitor, const char *store)
{
    FsDomains *domains = monitor->domains;
    g_autofree char *folder = domains ? g_path_get_dirname(store) : NULL;

    if (!domains || g_hash_table_contains(domains->served, folder))
        return;
    fs_sockdir_publish_folder(monitor->sockdir, folder, true);
    g_hash_table_add(domains->served, g_steal_pointer(&folder));
}

static int clear_files(FsAsked *asked)
{
    const FsMonitorOptions *options = asked->monitor->options;
    g_auto(FsPlace) place = FS_PLACE_NONE;
    g_autofree char *path = NULL;
    int result = fs_domain_reach(asked->question->path, &place);

    if (result < 0)
        return result;
    if (monitor_set_journal_aside(&place, &path) == 0)
        g_warning("domain %s: its store was removed before it had every change: the others are "
                  "kept in %s",
                  asked->question->guest, path);
    uv_sidecars_tidy(place.folder.fd, place.store, options->keep_days);
    return 0;
}

void monitor_domain_clear(FsMonitor *monitor, const char *guest, const char *store)
{
    FsQuestion question = {.kind = FS_ASK_SET_ASIDE};
    FsAsked asked = monitor_asked(monitor, &question, (int[]){-1, -1, -1});

    g_strlcpy(question.guest, guest, sizeof(question.guest));
    g_strlcpy(question.path, store, sizeof(question.path));
    if (monitor_work(&asked, clear_files, true, true) < 0)
        g_message("domain %s: what lies beside %s stays there", guest, store);
}

/* Notes it; true: it was not so. */
static bool take_saved(FsDomains *domains, const FsDomain *domain)
{
    if (domain->flags & FS_DOMAIN_SAVED)
        return g_hash_table_add(domains->saved, g_strdup(domain->guest));
    return g_hash_table_remove(domains->saved, domain->guest);
}

static void put(FsDomains *domains, const FsDomain *domain)
{
    const bool known = g_hash_table_contains(domains->told, domain->guest);

    if (!known && g_hash_table_size(domains->told) >= FS_DOMAINS_MAX)
        return;
    bool moved;
    const int result = fs_domain_put(domains->monitor->source, domain, &moved);
    if (result < 0) {
        g_message("domain %s: %s", domain->guest, g_strerror(-result));
        return;
    }
    /* An engine that gave the state out itself knows; of flash images QEMU saves them alone. */
    const bool is_news = take_saved(domains, domain) && domain->format != FS_FORMAT_JSON;
    FsGuestState *guest = monitor_find_guest(domains->monitor, domain->guest);
    if (guest && (moved || is_news || guest->empty))
        monitor_kill(guest); /* the next one has it right; what it acknowledged is in the store */
    g_hash_table_add(domains->told, g_strdup(domain->guest));
    if (domain->text[0] && domain->format == FS_FORMAT_JSON)
        monitor_domains_serve(domains->monitor, domain->text);
}

/* Of a store that is gone with its domain, by a child, when no engine of ours has it any more. */
static void clear_away(void *data, const char *name)
{
    FsDomains *domains = data;
    FsGuestState *guest = monitor_find_guest(domains->monitor, name);
    g_autofree char *store = fs_domain_store(domains->monitor->source, name);

    if (!store || domains->monitor->options->read_only)
        return;
    if (!guest || guest->pid == 0) {
        monitor_domain_clear(domains->monitor, name, store);
        return;
    }
    g_free(guest->gone_store);
    guest->gone_store = g_steal_pointer(&store);
}

static void drop(FsDomains *domains, const char *guest)
{
    if (!g_hash_table_remove(domains->told, guest))
        return;
    clear_away(domains, guest);
    g_hash_table_remove(domains->saved, guest);
    fs_domain_drop(domains->monitor->source, guest);
}

static void take_all(FsDomains *domains)
{
    fs_domain_sweep(domains->monitor->source, domains->told, clear_away, domains);
    domains->settled = domains->all = true;
    g_clear_handle_id(&domains->timer, g_source_remove);
    if (!domains->lost)
        return;
    g_message("%s: is there again", domains->monitor->options->uri);
    g_clear_pointer(&domains->lost, g_free);
    tell(domains);
}

static void take(FsDomains *domains, const FsDomain *domain)
{
    g_autofree char *why = NULL;

    switch (domain->kind) {
    case FS_DOMAIN_IS:
        put(domains, domain);
        break;
    case FS_DOMAIN_GONE:
        drop(domains, domain->guest);
        break;
    case FS_DOMAINS_ALL:
        take_all(domains);
        break;
    case FS_DOMAINS_LOST:
        why = g_utf8_make_valid(domain->text, -1);
        lose(domains, why);
        break;
    }
}

static void on_link(void *data, uint32_t events)
{
    FsDomains *domains = data;
    FsDomain domain;
    int fds[FS_QUESTION_FDS];

    for (int i = 0; i < PACKETS_A_TURN && domains->link_fd >= 0; i++) {
        const int result = fs_packet_receive(domains->link_fd, &domain, sizeof(domain), fds);
        if (result == -EAGAIN)
            return;
        if (result == 0)
            fs_packet_close(fds);
        if (result == 0 && fs_domain_valid(&domain))
            take(domains, &domain);
        else
            lose(domains, result == -EPIPE ? "uefivars-libvirt ended"
                                           : "uefivars-libvirt said what can't be");
    }
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

static int execute(FsDomains *domains, int *link_fd)
{
    const FsMonitorOptions *options = domains->monitor->options;
    g_auto(GStrv) variables = environment();
    UvProgram program = {
        .path = options->libvirt,
        .argv = options->libvirt_arguments,
        .uid = options->libvirt_uid,
        .gid = options->libvirt_gid,
        .fds = {uv_fd_steal(link_fd)},
        .n_fds = 1,
        .environment = variables,
    };
    pid_t pid;

    return uv_program_start(&program, &pid, &domains->pidfd);
}

static int start(FsDomains *domains)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    domains->link_fd = ends[0];
    g_hash_table_remove_all(domains->told);
    fs_watch_add(&domains->link, domains->monitor->poll, ends[0], EPOLLIN, on_link, domains);
    const int result = execute(domains, &ends[1]);
    uv_fd_clear(&ends[1]);
    return result;
}

/* Also when the one that runs has had its time. */
static gboolean start_again(void *data)
{
    FsDomains *domains = data;
    int result;

    domains->timer = 0;
    if (domains->link_fd >= 0 && !domains->all) {
        lose(domains, "it does not tell of all its domains");
        return G_SOURCE_REMOVE;
    }
    if (!reap(domains)) {
        run_later(domains, AGAIN_MS);
        return G_SOURCE_REMOVE;
    }
    result = start(domains);
    if (result < 0)
        lose(domains, g_strerror(-result));
    else
        run_later(domains, ALL_S * 1000);
    return G_SOURCE_REMOVE;
}

void monitor_domains_start(FsMonitor *monitor)
{
    FsDomains *domains;

    if (!monitor->options->uri)
        return;
    domains = g_new0(FsDomains, 1);
    domains->monitor = monitor;
    domains->link_fd = domains->pidfd = -1;
    domains->started_at = g_get_monotonic_time();
    domains->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    domains->saved = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    domains->served = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    monitor->domains = domains;
    start_again(domains);
}

static void stop_serving(FsDomains *domains)
{
    GHashTableIter iter;
    void *folder;

    g_hash_table_iter_init(&iter, domains->served);
    while (g_hash_table_iter_next(&iter, &folder, NULL))
        fs_sockdir_publish_folder(domains->monitor->sockdir, folder, false);
}

void monitor_domains_stop(FsMonitor *monitor)
{
    FsDomains *domains = g_steal_pointer(&monitor->domains);

    if (!domains)
        return;
    g_clear_handle_id(&domains->timer, g_source_remove);
    fs_watch_remove(&domains->link);
    uv_fd_clear(&domains->link_fd);
    end(domains);
    uv_fd_clear(&domains->pidfd);
    stop_serving(domains);
    fs_domain_sweep(monitor->source, NULL, NULL, NULL);
    if (rmdir(monitor->source->path) < 0)
        g_debug("%s: %s", monitor->source->path, g_strerror(errno));
    g_hash_table_unref(domains->told);
    g_hash_table_unref(domains->saved);
    g_hash_table_unref(domains->served);
    g_free(domains->lost);
    g_free(domains);
}
