/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * uefivars-folders: tells the monitor of a mount of libvirt's own folder whose stores are in it,
 * as uefivars-libvirt does of what libvirt says (domains.h).
 *
 * It reads names, and nothing else. When it has the folders open it gives up all further way to
 * the file system, its capabilities and most system calls; it ends when one of the folders comes
 * or goes, and the monitor starts another.
 *
 * Who may make files in a folder can make them come and go without end. What the monitor is told
 * after the first list is rationed, for each folder by itself; what is left is looked at again.
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
/* What comes or goes in a folder: so much at once, then one each time. */
#define NEWS_BURST 64
#define NEWS_US 20000
#define LEFT_AGAIN_MS 300
/* The same of lines of the log. */
#define LINES_BURST 64
#define LINES_US G_USEC_PER_SEC

static const char *const folder_names[] = {FS_DOMAIN_VARSTORE, FS_DOMAIN_NVRAM};
#define FOLDERS G_N_ELEMENTS(folder_names)

typedef struct {
    FsDomain domain;
    unsigned rank;
    size_t folder;
    bool several; /* the domain has other stores, too */
} Found;

typedef struct {
    const char *home;
    int inotify_fd, home_watch;
    DIR *folders[FOLDERS];              /* NULL: there is none */
    GHashTable *known;                  /* guest -> Found, as the monitor was told */
    int64_t news_at[FOLDERS], lines_at; /* monotonic: when there is a whole burst again */
    bool listed;                        /* the monitor was told of all once */
    bool replaced;                      /* a folder came or went */
    bool ended;                         /* the monitor does not listen any more */
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

static bool spend(int64_t *whole_at, unsigned burst, int64_t each_us)
{
    const int64_t now = g_get_monotonic_time(), next = MAX(*whole_at, now) + each_us;

    if (next - now > burst * each_us)
        return false;
    *whole_at = next;
    return true;
}

static bool may_tell(State *state, const Found *found)
{
    return !state->listed || spend(&state->news_at[found->folder], NEWS_BURST, NEWS_US);
}

static void add(GHashTable *all, const FsDomain *domain, unsigned rank, size_t folder)
{
    Found *found = g_hash_table_lookup(all, domain->guest);

    if (!found) {
        found = g_new0(Found, 1);
        *found = (Found){*domain, rank, folder, false};
        g_hash_table_replace(all, g_strdup(domain->guest), found);
    } else if (rank < found->rank) {
        *found = (Found){*domain, rank, folder, true};
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
            add(all, &domain, rank, i);
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

static void say_several(State *state, const FsDomain *domain)
{
    if (spend(&state->lines_at, LINES_BURST, LINES_US))
        g_message("domain %s: its store is %s, other files of its name are not served",
                  domain->guest, domain->text);
}

/* false: the monitor is to be told of it later. */
static bool take_news(State *state, const char *guest, const Found *found)
{
    const Found *known = g_hash_table_lookup(state->known, guest);
    const bool is_news =
        !known || memcmp(&known->domain, &found->domain, sizeof(found->domain)) != 0;

    if (!is_news && known->several == found->several)
        return true;
    if (is_news && !may_tell(state, found))
        return false;
    if (found->several && !(known && known->several))
        say_several(state, &found->domain);
    if (is_news)
        tell(state, &found->domain);
    g_hash_table_replace(state->known, g_strdup(guest), g_memdup2(found, sizeof(*found)));
    return true;
}

/* The same of one that is not there any more. */
static bool take_end(State *state, const char *guest, const Found *known)
{
    FsDomain gone = {.kind = FS_DOMAIN_GONE};

    if (!may_tell(state, known))
        return false;
    g_strlcpy(gone.guest, guest, sizeof(gone.guest));
    tell(state, &gone);
    return true;
}

/* false: not all of it could be told. */
static bool look(State *state)
{
    g_autoptr(GHashTable) now = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    void *guest, *found;
    bool told = true;

    for (size_t i = 0; i < FOLDERS; i++)
        read_folder(state, i, now);
    g_hash_table_iter_init(&iter, now);
    while (g_hash_table_iter_next(&iter, &guest, &found))
        told &= take_news(state, guest, found);
    g_hash_table_iter_init(&iter, state->known);
    while (g_hash_table_iter_next(&iter, &guest, &found))
        if (g_hash_table_contains(now, guest))
            continue;
        else if (take_end(state, guest, found))
            g_hash_table_iter_remove(&iter);
        else
            told = false;
    state->listed = true;
    return told;
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

    bool told = look(state);
    if (g_hash_table_size(state->known) == 0)
        g_message("%s: no guests; looked for varstore/NAME.json, nvram/NAME_VARS.fd and "
                  "nvram/NAME_VARS.qcow2",
                  state->home);
    tell(state, &all);
    while (!state->ended && !state->replaced) {
        if (poll(ways, G_N_ELEMENTS(ways), told ? -1 : LEFT_AGAIN_MS) < 0 && errno != EINTR)
            return fail(g_strerror(errno));
        if (ways[0].revents)
            return EXIT_SUCCESS;
        const bool any = take_events(state);
        if (!any && told)
            continue;
        g_usleep(QUIET_US);
        take_events(state);
        told = look(state);
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
