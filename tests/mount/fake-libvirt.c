/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Put before libvirt's client library by LD_PRELOAD: a daemon of any version, whose domains are
 * what the test says (uvlibvirt.py, MadeUp). Over the socket $UV_MADE_UP_LIBVIRT comes a line for
 * each domain (UUID, name and XML in hex, 1 if it has a managed save), and an empty one after the
 * last; each such set replaces the one before, and every domain of both has an event. The rest,
 * libvirt's event loop among it, is the library's own.
 */

#include <errno.h>
#include <glib.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct _virDomain {
    char *uuid, *name, *xml;
    bool saved;
};

struct _virConnect {
    int fd, watch;
    GString *bytes;
    GPtrArray *domains;
    virConnectDomainEventCallback on_event;
    void *event_data;
    virConnectCloseFunc on_close;
    void *close_data;
    bool closed;
};

static int last_error;

static void domain_free(void *data)
{
    virDomainPtr domain = data;

    g_free(domain->uuid);
    g_free(domain->name);
    g_free(domain->xml);
    g_free(domain);
}

static virDomainPtr domain_copy(virDomainPtr domain)
{
    virDomainPtr copy = g_new0(struct _virDomain, 1);

    copy->uuid = g_strdup(domain->uuid);
    copy->name = g_strdup(domain->name);
    copy->xml = g_strdup(domain->xml);
    copy->saved = domain->saved;
    return copy;
}

static char *from_hex(const char *hex)
{
    GString *text = g_string_new(NULL);

    for (; g_ascii_isxdigit(hex[0]) && g_ascii_isxdigit(hex[1]); hex += 2)
        g_string_append_c(text,
                          (char)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1])));
    return g_string_free(text, FALSE);
}

static void add_line(GPtrArray *domains, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    virDomainPtr domain = g_new0(struct _virDomain, 1);

    g_assert(g_strv_length(words) == 4);
    domain->uuid = g_strdup(words[0]);
    domain->name = from_hex(words[1]);
    domain->xml = from_hex(words[2]);
    domain->saved = strcmp(words[3], "1") == 0;
    g_ptr_array_add(domains, domain);
}

/* The next whole set that has come; NULL: there is none. */
static GPtrArray *take_set(virConnectPtr connection)
{
    const char *end = g_str_has_prefix(connection->bytes->str, "\n")
                          ? connection->bytes->str
                          : strstr(connection->bytes->str, "\n\n");
    GPtrArray *domains;

    if (!end)
        return NULL;
    const gsize size = (gsize)(end - connection->bytes->str);
    g_autofree char *text = g_strndup(connection->bytes->str, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    domains = g_ptr_array_new_with_free_func(domain_free);
    for (char **line = lines; *line && **line; line++)
        add_line(domains, *line);
    g_string_erase(connection->bytes, 0, (gssize)(size + (size ? 2 : 1)));
    return domains;
}

static bool receive(virConnectPtr connection, int flags)
{
    char bytes[65536];
    const ssize_t n = recv(connection->fd, bytes, sizeof(bytes), flags);

    if (n > 0)
        g_string_append_len(connection->bytes, bytes, n);
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static void tell(virConnectPtr connection, GPtrArray *domains)
{
    for (guint i = 0; connection->on_event && i < domains->len; i++)
        connection->on_event(connection, domains->pdata[i], VIR_DOMAIN_EVENT_DEFINED, 0,
                             connection->event_data);
}

static void on_readable(int watch, int fd, int events, void *data)
{
    virConnectPtr connection = data;
    GPtrArray *set;

    if (!receive(connection, MSG_DONTWAIT)) {
        virEventRemoveHandle(connection->watch);
        connection->closed = true;
        if (connection->on_close)
            connection->on_close(connection, VIR_CONNECT_CLOSE_REASON_EOF, connection->close_data);
        return;
    }
    while ((set = take_set(connection))) {
        g_autoptr(GPtrArray) before = connection->domains;
        connection->domains = set;
        tell(connection, before);
        tell(connection, set);
    }
}

virConnectPtr virConnectOpenReadOnly(const char *uri)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    virConnectPtr connection = g_new0(struct _virConnect, 1);

    g_strlcpy(address.sun_path, g_getenv("UV_MADE_UP_LIBVIRT"), sizeof(address.sun_path));
    connection->bytes = g_string_new(NULL);
    connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return NULL;
    while (!(connection->domains = take_set(connection)))
        if (!receive(connection, 0))
            return NULL;
    connection->watch =
        virEventAddHandle(connection->fd, VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_HANGUP,
                          on_readable, connection, NULL);
    return connection;
}

int virConnectClose(virConnectPtr connection)
{
    close(connection->fd);
    g_ptr_array_unref(connection->domains);
    g_string_free(connection->bytes, TRUE);
    g_free(connection);
    return 0;
}

int virConnectIsAlive(virConnectPtr connection)
{
    return !connection->closed;
}

int virConnectSetKeepAlive(virConnectPtr connection, int interval, unsigned int count)
{
    return 0;
}

int virConnectRegisterCloseCallback(virConnectPtr connection, virConnectCloseFunc callback,
                                    void *data, virFreeCallback freed)
{
    connection->on_close = callback;
    connection->close_data = data;
    return 0;
}

int virConnectUnregisterCloseCallback(virConnectPtr connection, virConnectCloseFunc callback)
{
    connection->on_close = NULL;
    return 0;
}

int virConnectDomainEventRegisterAny(virConnectPtr connection, virDomainPtr domain, int id,
                                     virConnectDomainEventGenericCallback callback, void *data,
                                     virFreeCallback freed)
{
    connection->on_event = (virConnectDomainEventCallback)(void *)callback;
    connection->event_data = data;
    return 1;
}

int virConnectDomainEventDeregisterAny(virConnectPtr connection, int id)
{
    connection->on_event = NULL;
    return 0;
}

int virConnectListAllDomains(virConnectPtr connection, virDomainPtr **ret_domains,
                             unsigned int flags)
{
    const guint n = connection->domains->len;

    *ret_domains = calloc(n + 1, sizeof(**ret_domains));
    for (guint i = 0; i < n; i++)
        (*ret_domains)[i] = domain_copy(connection->domains->pdata[i]);
    return (int)n;
}

virDomainPtr virDomainLookupByUUIDString(virConnectPtr connection, const char *uuid)
{
    for (guint i = 0; i < connection->domains->len; i++) {
        virDomainPtr domain = connection->domains->pdata[i];
        if (strcmp(domain->uuid, uuid) == 0)
            return domain_copy(domain);
    }
    last_error = VIR_ERR_NO_DOMAIN;
    return NULL;
}

int virGetLastErrorCode(void)
{
    return last_error;
}

int virDomainFree(virDomainPtr domain)
{
    domain_free(domain);
    return 0;
}

const char *virDomainGetName(virDomainPtr domain)
{
    return domain->name;
}

int virDomainGetUUIDString(virDomainPtr domain, char *buffer)
{
    g_strlcpy(buffer, domain->uuid, VIR_UUID_STRING_BUFLEN);
    return 0;
}

char *virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags)
{
    return strdup(domain->xml);
}

int virDomainHasManagedSaveImage(virDomainPtr domain, unsigned int flags)
{
    return domain->saved;
}
