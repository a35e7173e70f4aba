/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * uefivars-libvirt: tells the monitor of a mount which domains a libvirt has, and where their
 * stores are (domains.h).
 *
 * It is one connection, for reading only, and ends with it; the monitor starts another. It holds
 * the socket to the monitor (descriptor 3) and no right that its user has not. When it is
 * connected, and before it reads what domains' owners wrote, it gives up the file system, its
 * capabilities and most system calls: what is left to it is its two sockets.
 */

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "confine-helper.h"
#include "domains-now.h"
#include "domains.h"
#include "packet.h"

#define LINK_FD 3
/* So long a daemon may take to greet; a stopped one never does. */
#define CONNECT_S 20
#define KEEPALIVE_S 5
#define KEEPALIVE_TRIES 3

typedef struct {
    bool closed;       /* libvirt has closed the connection */
    bool monitor_gone; /* it does not listen any more */
} State;

static void on_close(virConnectPtr connection, int reason, void *data)
{
    ((State *)data)->closed = true;
}

static void on_monitor(int watch, int fd, int events, void *data)
{
    ((State *)data)->monitor_gone = true;
}

/* Errors are returned, and said by who is asked. */
static void on_error(void *data, virErrorPtr error)
{
}

static int fail(const char *why)
{
    FsDomain lost = {.kind = FS_DOMAINS_LOST};

    g_strlcpy(lost.text, why, sizeof(lost.text));
    fs_packet_send(LINK_FD, &lost, sizeof(lost), NULL, 0);
    return EXIT_FAILURE;
}

static virConnectPtr open_connection(const char *uri, State *state)
{
    virConnectPtr connection;

    alarm(CONNECT_S);
    connection = virConnectOpenReadOnly(uri);
    alarm(0);
    if (!connection)
        return NULL;
    virConnectRegisterCloseCallback(connection, on_close, state, NULL);
    (void)virConnectSetKeepAlive(connection, KEEPALIVE_S, KEEPALIVE_TRIES); /* not all have it */
    return connection;
}

static int serve(virConnectPtr connection, State *state)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(FsDomainsNow) domains = fs_domains_now_new(connection, LINK_FD, &error);

    if (!domains)
        return fail(error->message);
    while (fs_domains_turn(domains) && !state->closed && !state->monitor_gone)
        if (virEventRunDefaultImpl() < 0)
            return fail(virGetLastErrorMessage());
    return state->closed ? fail("the connection was closed") : EXIT_SUCCESS;
}

static int run(const char *uri, bool strict)
{
    g_autoptr(GError) error = NULL;
    State state = {0};
    virConnectPtr connection;
    int result;

    if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0)
        return fail(virGetLastErrorMessage());
    virSetErrorFunc(NULL, on_error);
    virEventAddHandle(LINK_FD, VIR_EVENT_HANDLE_HANGUP | VIR_EVENT_HANDLE_ERROR, on_monitor, &state,
                      NULL);
    connection = open_connection(uri, &state);
    if (!connection)
        return fail(virGetLastErrorMessage());
    result = fs_helper_confine(strict, &error) ? serve(connection, &state) : fail(error->message);
    virConnectUnregisterCloseCallback(connection, on_close);
    virConnectClose(connection);
    return result;
}

int main(int argc, char **argv)
{
    const bool strict = argc == 3 && strcmp(argv[2], "--sandbox=strict") == 0;

    if ((argc != 2 && !strict) || fcntl(LINK_FD, F_SETFD, FD_CLOEXEC) < 0) {
        fprintf(stderr, "uefivars-libvirt: uefivarsfs starts this program\n");
        return EXIT_FAILURE;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    return run(argv[1], strict);
}
