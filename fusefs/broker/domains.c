/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * uefivars-libvirt tells what domains there are; when it ends the monitor is told, and starts
 * another one. What it said last stands while there is none: the mount goes on with the guests that
 * it knows.
 */

#include "broker-private.h"
#include "domain-folders.h"

#include "fd.h"
#include "sidecars-tidy.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define PACKETS_A_TURN 16
/* So long it may take to tell of all domains; then it is taken for stuck. */
#define ALL_S 60
/* So long a list waits for them. */
#define AWAIT_US (10 * G_USEC_PER_SEC)

struct FsDomains {
    FsBroker *broker;
    FsWatch link;
    int link_fd;        /* -1: none runs */
    guint timer;        /* until all are told of */
    int64_t started_at; /* monotonic: the first one */
    bool settled;       /* there was an end of the first list, or of the first try */
    bool all;           /* this one has told of all */
    char *lost;         /* why there is none; NULL: there is one, or it is not known yet */
    GHashTable *told;   /* names that this one told of and did not take back */
    GHashTable *saved;  /* names of those with a saved state, as far as is known */
};

bool broker_domains_are_awaited(const FsBroker *broker)
{
    const FsDomains *domains = broker->domains;

    return domains && !domains->settled && g_get_monotonic_time() < domains->started_at + AWAIT_US;
}

bool broker_domain_is_saved(const FsBroker *broker, const char *guest)
{
    return broker->domains && g_hash_table_contains(broker->domains->saved, guest);
}

/* The front hears what "read-only" means here. */
static void tell(const FsDomains *domains)
{
    FsAnswer detached = {.kind = FS_TELL_DETACHED};

    if (domains->lost)
        g_snprintf(detached.text, sizeof(detached.text), "%s: %s", domains->broker->options->uri,
                   domains->lost);
    broker_tell(domains->broker, &detached, NULL, 0);
}

/* It has ended, or has to. The monitor tries another one soon. */
static void lose(FsDomains *domains, const char *why)
{
    const FsAnswer lost = {.kind = FS_TELL_LOST};
    const bool is_news = !domains->lost;

    if (is_news)
        g_warning("%s: %s: what it said last stands, and is read-only",
                  domains->broker->options->uri, why);
    g_free(domains->lost);
    domains->lost = g_strdup(why);
    if (is_news)
        tell(domains);
    domains->settled = true;
    domains->all = false;
    g_clear_handle_id(&domains->timer, g_source_remove);
    fs_watch_remove(&domains->link);
    uv_fd_clear(&domains->link_fd);
    broker_tell(domains->broker, &lost, NULL, 0);
}

int broker_domain_clear(FsJob *job)
{
    g_auto(FsPlace) place = FS_PLACE_NONE;
    g_autofree char *path = NULL;
    int result = fs_domain_path_valid(job->question->path)
                     ? fs_domain_reach(job->question->path, &place)
                     : -EINVAL;

    if (result < 0)
        return result;
    if (broker_set_journal_aside(&place, &path) == 0)
        g_warning("domain %s: its store was removed before it had every change: the others are "
                  "kept in %s",
                  job->question->guest, path);
    uv_sidecars_tidy(place.folder.fd, place.store, job->broker->options->keep_days);
    return 0;
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
    const int result = fs_domain_put(domains->broker->local, domain, &moved);
    if (result < 0) {
        g_message("domain %s: %s", domain->guest, g_strerror(-result));
        return;
    }
    /* An engine that gave the state out itself knows; of flash images QEMU saves them alone. */
    const bool is_news = take_saved(domains, domain) && domain->format != FS_FORMAT_JSON;
    FsAnswer is = {.kind = FS_TELL_DOMAIN, .number = moved || is_news};
    g_strlcpy(is.guest, domain->guest, sizeof(is.guest));
    if (domain->format == FS_FORMAT_JSON)
        g_strlcpy(is.text, domain->text, sizeof(is.text));
    broker_tell(domains->broker, &is, NULL, 0);
    g_hash_table_add(domains->told, g_strdup(domain->guest));
}

/* Of a store that may be gone with its domain. */
static void tell_gone(void *data, const char *name)
{
    const FsDomains *domains = data;
    g_autofree char *store = fs_domain_store(domains->broker->local, name);
    FsAnswer gone = {.kind = FS_TELL_GONE};

    if (!store)
        return;
    g_strlcpy(gone.guest, name, sizeof(gone.guest));
    g_strlcpy(gone.text, store, sizeof(gone.text));
    broker_tell(domains->broker, &gone, NULL, 0);
}

static void drop(FsDomains *domains, const char *guest)
{
    if (!g_hash_table_remove(domains->told, guest))
        return;
    tell_gone(domains, guest);
    g_hash_table_remove(domains->saved, guest);
    fs_domain_drop(domains->broker->local, guest);
}

static void take_all(FsDomains *domains)
{
    fs_domain_sweep(domains->broker->local, domains->told, tell_gone, domains);
    domains->settled = domains->all = true;
    g_clear_handle_id(&domains->timer, g_source_remove);
    if (!domains->lost)
        return;
    g_message("%s: is there again", domains->broker->options->uri);
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

static gboolean on_late(void *data)
{
    FsDomains *domains = data;

    domains->timer = 0;
    lose(domains, "it does not tell of all its domains");
    return G_SOURCE_REMOVE;
}

/* The one that told until now is no more. */
int broker_domains_take(FsJob *job)
{
    FsDomains *domains = job->broker->domains;

    if (!domains)
        return -EINVAL;
    fs_watch_remove(&domains->link);
    uv_fd_clear(&domains->link_fd);
    if (job->fds[0] < 0) {
        lose(domains, job->question->path);
        return 0;
    }
    domains->link_fd = uv_fd_steal(&job->fds[0]);
    g_hash_table_remove_all(domains->told);
    fs_watch_add(&domains->link, job->broker->poll, domains->link_fd, EPOLLIN, on_link, domains);
    g_clear_handle_id(&domains->timer, g_source_remove);
    domains->timer = g_timeout_add_seconds(ALL_S, on_late, domains);
    return 0;
}

void broker_domains_start(FsBroker *broker)
{
    FsDomains *domains;

    if (!broker->options->uri)
        return;
    domains = g_new0(FsDomains, 1);
    domains->broker = broker;
    domains->link_fd = -1;
    domains->started_at = g_get_monotonic_time();
    domains->told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    domains->saved = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    broker->domains = domains;
}

void broker_domains_stop(FsBroker *broker)
{
    FsDomains *domains = g_steal_pointer(&broker->domains);

    if (!domains)
        return;
    g_clear_handle_id(&domains->timer, g_source_remove);
    fs_watch_remove(&domains->link);
    uv_fd_clear(&domains->link_fd);
    if (broker->unmounted) /* else who mounts next wants to know of them */
        fs_domain_sweep(broker->local, NULL, NULL, NULL);
    if (broker->unmounted && rmdir(broker->local->path) < 0)
        g_debug("%s: %s", broker->local->path, g_strerror(errno));
    g_hash_table_unref(domains->told);
    g_hash_table_unref(domains->saved);
    g_free(domains->lost);
    g_free(domains);
}
