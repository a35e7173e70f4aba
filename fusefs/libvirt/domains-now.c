/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A domain is known by its UUID, which lasts when its name does not. Whatever happens to one, what
 * it is now is asked anew; nothing is concluded from the kind of event. That a managed save was
 * removed is no event: those that have one are asked again from time to time.
 */

#include "domains-now.h"

#include "domain-xml.h"
#include "domains.h"
#include "packet.h"

#include <errno.h>
#include <gio/gio.h>
#include <libvirt/virterror.h>
#include <poll.h>
#include <string.h>

#define SAVED_AGAIN_MS 3000

struct FsDomainsNow {
    virConnectPtr connection;
    int link_fd, event, timer;
    GHashTable *known; /* UUID -> FsDomain: as the monitor was told */
    GHashTable *owner; /* guest -> its UUID */
    GHashTable *due;   /* UUID: to be asked anew */
    bool told_all, ended;
};

/* The monitor takes a few each turn: waits for it. */
static void tell(FsDomainsNow *domains, const FsDomain *domain)
{
    struct pollfd link = {.fd = domains->link_fd, .events = POLLOUT};
    int result = domains->ended ? -EPIPE : -EAGAIN;

    while (result == -EAGAIN) {
        result = fs_packet_send(domains->link_fd, domain, sizeof(*domain), NULL, 0);
        if (result == -EAGAIN && poll(&link, 1, -1) < 0)
            result = -errno;
    }
    domains->ended = result < 0;
}

static void tell_gone(FsDomainsNow *domains, const char *guest)
{
    FsDomain gone = {.kind = FS_DOMAIN_GONE};

    g_strlcpy(gone.guest, guest, sizeof(gone.guest));
    tell(domains, &gone);
}

static void forget(FsDomainsNow *domains, const char *uuid)
{
    const FsDomain *known = g_hash_table_lookup(domains->known, uuid);

    if (!known)
        return;
    tell_gone(domains, known->guest);
    g_hash_table_remove(domains->owner, known->guest);
    g_hash_table_remove(domains->known, uuid);
}

/* The new name first: an engine that has the store open finds that it still is a guest's. */
static void take(FsDomainsNow *domains, const char *uuid, const FsDomain *now)
{
    const FsDomain *known = g_hash_table_lookup(domains->known, uuid);
    const char *owner = g_hash_table_lookup(domains->owner, now->guest);
    g_autofree char *old = NULL;

    if (known && memcmp(known, now, sizeof(*now)) == 0)
        return;
    if (owner && strcmp(owner, uuid) != 0) /* another domain had that name until now */
        g_hash_table_remove(domains->known, owner);
    if (known && strcmp(known->guest, now->guest) != 0)
        old = g_strdup(known->guest);
    tell(domains, now);
    g_hash_table_replace(domains->owner, g_strdup(now->guest), g_strdup(uuid));
    g_hash_table_replace(domains->known, g_strdup(uuid), g_memdup2(now, sizeof(*now)));
    if (old && g_strcmp0(g_hash_table_lookup(domains->owner, old), uuid) == 0) {
        tell_gone(domains, old);
        g_hash_table_remove(domains->owner, old);
    }
}

/* false: it is no guest. What is wrong with one that might be is said. */
static bool describe(virDomainPtr domain, FsDomain *ret_now)
{
    const bool saved = virDomainHasManagedSaveImage(domain, 0) > 0;
    g_autoptr(GError) error = NULL;
    char *xml = virDomainGetXMLDesc(domain, 0);
    const bool is_guest =
        xml && fs_domain_describe(virDomainGetName(domain), xml, saved, ret_now, &error);

    free(xml);
    if (error)
        g_message("domain %s: no guest: %s", virDomainGetName(domain), error->message);
    return is_guest;
}

/* Older libvirts say where the store is of a domain that runs, and not of one that ran. */
static void remember_store(const FsDomainsNow *domains, const char *uuid, FsDomain *now)
{
    const FsDomain *known = g_hash_table_lookup(domains->known, uuid);

    if (!known || now->text[0])
        return;
    g_strlcpy(now->text, known->text, sizeof(now->text));
    now->format = known->format;
}

static void ask(FsDomainsNow *domains, const char *uuid)
{
    virDomainPtr domain = virDomainLookupByUUIDString(domains->connection, uuid);
    FsDomain now;

    if (!domain && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
        return; /* what is known serves; of a connection that is lost on_close() tells */
    if (domain && describe(domain, &now)) {
        remember_store(domains, uuid, &now);
        take(domains, uuid, &now);
    } else {
        forget(domains, uuid);
    }
    if (domain)
        virDomainFree(domain);
}

bool fs_domains_turn(FsDomainsNow *domains)
{
    static const FsDomain all = {.kind = FS_DOMAINS_ALL};
    g_autoptr(GHashTable) due = g_steal_pointer(&domains->due);
    GHashTableIter iter;
    void *uuid;

    domains->due = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_hash_table_iter_init(&iter, due);
    while (!domains->ended && g_hash_table_iter_next(&iter, &uuid, NULL) &&
           virConnectIsAlive(domains->connection) == 1)
        ask(domains, uuid);
    if (!domains->told_all && virConnectIsAlive(domains->connection) == 1) {
        tell(domains, &all);
        domains->told_all = true;
    }
    return !domains->ended;
}

static void make_due(FsDomainsNow *domains, virDomainPtr domain)
{
    char uuid[VIR_UUID_STRING_BUFLEN];

    if (virDomainGetUUIDString(domain, uuid) == 0)
        g_hash_table_add(domains->due, g_strdup(uuid));
}

static int on_event(virConnectPtr connection, virDomainPtr domain, int event, int detail,
                    void *data)
{
    make_due(data, domain);
    return 0;
}

static void on_timer(int timer, void *data)
{
    FsDomainsNow *domains = data;
    GHashTableIter iter;
    void *uuid, *known;

    g_hash_table_iter_init(&iter, domains->known);
    while (g_hash_table_iter_next(&iter, &uuid, &known))
        if (((const FsDomain *)known)->flags & FS_DOMAIN_SAVED)
            g_hash_table_add(domains->due, g_strdup(uuid));
}

static bool list(FsDomainsNow *domains)
{
    virDomainPtr *all = NULL;
    const int n = virConnectListAllDomains(domains->connection, &all, 0);

    for (int i = 0; i < n; i++) {
        make_due(domains, all[i]);
        virDomainFree(all[i]);
    }
    free(all);
    return n >= 0;
}

FsDomainsNow *fs_domains_now_new(virConnectPtr connection, int link_fd, GError **error)
{
    g_autoptr(FsDomainsNow) domains = g_new0(FsDomainsNow, 1);

    domains->connection = connection;
    domains->link_fd = link_fd;
    domains->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    domains->owner = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    domains->due = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    domains->timer = virEventAddTimeout(SAVED_AGAIN_MS, on_timer, domains, NULL);
    /* First, so that nothing happens between the list and the events. */
    domains->event = virConnectDomainEventRegisterAny(
        connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
        VIR_DOMAIN_EVENT_CALLBACK((void (*)(void))on_event), domains, NULL);
    if (domains->event >= 0 && list(domains))
        return g_steal_pointer(&domains);
    g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s", virGetLastErrorMessage());
    return NULL;
}

void fs_domains_now_free(FsDomainsNow *domains)
{
    if (!domains)
        return;
    if (domains->event >= 0)
        virConnectDomainEventDeregisterAny(domains->connection, domains->event);
    if (domains->timer >= 0)
        virEventRemoveTimeout(domains->timer);
    g_hash_table_unref(domains->known);
    g_hash_table_unref(domains->owner);
    g_hash_table_unref(domains->due);
    g_free(domains);
}
