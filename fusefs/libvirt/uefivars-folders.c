/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * uefivars-folders: tells the monitor of a mount of libvirt's own folder whose stores are in it,
 * as uefivars-libvirt does of what libvirt says (domains.h).
 *
 * It reads names, and nothing else. When it has the folders open it gives up all further way to
 * the file system, its capabilities and most system calls; it ends when one of the folders comes
 * or goes, and the monitor starts another.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "beneath.h"
#include "confine-helper.h"
#include "domain-file.h"
#include "fd.h"
#include "packet.h"

#define LINK_FD 3
#define EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)
/* What comes together, a file that is taken away to be made anew for one, is seen together. */
#define QUIET_US 200000

static const char *const folder_names[] = {FS_DOMAIN_VARSTORE, FS_DOMAIN_NVRAM};
#define FOLDERS G_N_ELEMENTS(folder_names)

typedef struct {
    FsDomain domain;
    unsigned rank;
    bool several; /* the domain has other stores, too */
} Found;

typedef struct {
    const char *home;
    int inotify_fd, home_watch;
    DIR *folders[FOLDERS]; /* NULL: there is none */
    GHashTable *known;     /* guest -> Found, as the monitor was told */
    bool replaced;         /* a folder came or went */
    bool ended;            /* the monitor does not listen any more */
} State;

static int fail(const char *why)
{
    FsDomain lost = {.kind = FS_DOMAINS_LOST};

    g_strlcpy(lost.text, why, sizeof(lost.text));
    fs_packet_send(LINK_FD, &lost, sizeof(lost), NULL, 0);
    return EXIT_FAILURE;
}

static int watch(const State *state, int fd)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    const int number = inotify_add_watch(state->inotify_fd, path, EVENTS);

    return number < 0 ? -errno : number;
}

/* Watched before it is read, so that nothing happens in between. */
static int open_folder(State *state, int home_fd, size_t i)
{
    uv_autofd int fd = fs_beneath_open(home_fd, folder_names[i], O_RDONLY | O_DIRECTORY, 0);

    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    const int number = watch(state, fd);
    if (number < 0)
        return number;
    state->folders[i] = fdopendir(fd);
    if (!state->folders[i])
        return -errno;
    uv_fd_steal(&fd);
    return 0;
}

static int open_folders(State *state)
{
    uv_autofd int fd = open(state->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = 0;

    state->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0 || state->inotify_fd < 0)
        return -errno;
    state->home_watch = watch(state, fd);
    if (state->home_watch < 0)
        return state->home_watch;
    for (size_t i = 0; result == 0 && i < FOLDERS; i++)
        result = open_folder(state, fd, i);
    return result;
}

static void add(GHashTable *all, const FsDomain *domain, unsigned rank)
{
    Found *found = g_hash_table_lookup(all, domain->guest);

    if (!found) {
        found = g_new0(Found, 1);
        *found = (Found){*domain, rank, false};
        g_hash_table_replace(all, g_strdup(domain->guest), found);
    } else if (rank < found->rank) {
        *found = (Found){*domain, rank, true};
    } else {
        found->several = true;
    }
}

static void read_folder(const State *state, size_t i, GHashTable *all)
{
    const struct dirent *entry;
    FsDomain domain;
    unsigned rank;

    if (!state->folders[i])
        return;
    rewinddir(state->folders[i]);
    while ((entry = readdir(state->folders[i])))
        if (entry->d_type != DT_DIR && g_hash_table_size(all) < FS_DOMAINS_MAX &&
            fs_domain_of_file(state->home, folder_names[i], entry->d_name, &domain, &rank))
            add(all, &domain, rank);
}

/* The monitor takes a few each turn: waits for it. */
static void tell(State *state, const FsDomain *domain)
{
    struct pollfd link = {.fd = LINK_FD, .events = POLLOUT};
    int result = state->ended ? -EPIPE : -EAGAIN;

    while (result == -EAGAIN) {
        result = fs_packet_send(LINK_FD, domain, sizeof(*domain), NULL, 0);
        if (result == -EAGAIN && poll(&link, 1, -1) < 0)
            result = -errno;
    }
    state->ended = result < 0;
}

static void tell_news(State *state, GHashTable *now)
{
    GHashTableIter iter;
    void *guest, *value;

    g_hash_table_iter_init(&iter, now);
    while (g_hash_table_iter_next(&iter, &guest, &value)) {
        const Found *found = value, *known = g_hash_table_lookup(state->known, guest);

        if (found->several && !(known && known->several))
            g_message("domain %s: its store is %s, other files of its name are not served",
                      (const char *)guest, found->domain.text);
        if (!known || memcmp(&known->domain, &found->domain, sizeof(found->domain)) != 0)
            tell(state, &found->domain);
    }
}

static void tell_gone(State *state, GHashTable *now)
{
    GHashTableIter iter;
    void *guest;

    g_hash_table_iter_init(&iter, state->known);
    while (g_hash_table_iter_next(&iter, &guest, NULL)) {
        FsDomain gone = {.kind = FS_DOMAIN_GONE};

        if (g_hash_table_contains(now, guest))
            continue;
        g_strlcpy(gone.guest, guest, sizeof(gone.guest));
        tell(state, &gone);
    }
}

static void look(State *state)
{
    GHashTable *now = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (size_t i = 0; i < FOLDERS; i++)
        read_folder(state, i, now);
    tell_news(state, now);
    tell_gone(state, now);
    g_hash_table_unref(state->known);
    state->known = now;
}

static bool names_folder(const char *name)
{
    for (size_t i = 0; i < FOLDERS; i++)
        if (strcmp(folder_names[i], name) == 0)
            return true;
    return false;
}

/* true: something happened in the folders. */
static bool take_event(State *state, const struct inotify_event *event)
{
    if (event->mask & IN_IGNORED)
        state->replaced = true;
    if (event->mask & IN_Q_OVERFLOW)
        return true;
    if (event->wd != state->home_watch)
        return true;
    if (event->len > 0 && names_folder(event->name))
        state->replaced = true;
    return false;
}

static bool take_events(State *state)
{
    char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool any = false;
    ssize_t size;

    while ((size = read(state->inotify_fd, buffer, sizeof(buffer))) > 0)
        for (ssize_t at = 0; at < size;) {
            const struct inotify_event *event = (const void *)(buffer + at);

            any |= take_event(state, event);
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    return any;
}

static int serve(State *state)
{
    static const FsDomain all = {.kind = FS_DOMAINS_ALL};
    struct pollfd ways[] = {{.fd = LINK_FD}, {.fd = state->inotify_fd, .events = POLLIN}};

    look(state);
    if (g_hash_table_size(state->known) == 0)
        g_message("%s: no guests; looked for varstore/NAME.json, nvram/NAME_VARS.fd and "
                  "nvram/NAME_VARS.qcow2",
                  state->home);
    tell(state, &all);
    while (!state->ended && !state->replaced) {
        if (poll(ways, G_N_ELEMENTS(ways), -1) < 0 && errno != EINTR)
            return fail(g_strerror(errno));
        if (ways[0].revents)
            return EXIT_SUCCESS;
        bool any = take_events(state);
        if (!any)
            continue;
        g_usleep(QUIET_US);
        take_events(state);
        look(state);
    }
    return state->ended ? EXIT_SUCCESS : fail("its folders are others now");
}

int main(int argc, char **argv)
{
    const bool strict = argc == 3 && strcmp(argv[2], "--sandbox=strict") == 0;
    g_autoptr(GError) error = NULL;
    State state = {.home = argv[1]};

    if ((argc != 2 && !strict) || fcntl(LINK_FD, F_SETFD, FD_CLOEXEC) < 0) {
        fprintf(stderr, "uefivars-folders: uefivarsfs starts this program\n");
        return EXIT_FAILURE;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    state.known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    const int result = open_folders(&state);
    if (result < 0)
        return fail(g_strerror(-result));
    return fs_helper_confine(strict, &error) ? serve(&state) : fail(error->message);
}
