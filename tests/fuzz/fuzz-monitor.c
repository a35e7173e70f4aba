/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A front that was taken over asks its monitor, and that the broker. The input is a sequence of
 * questions: 5 bytes (kind, flags, text, formats, descriptors), then guest, `to` and path, each up
 * to its NUL; kind 0xff: a length and that many bytes, sent as they are. Whatever is asked, each
 * question of good form gets one answer, and nothing outside SOURCE changes.
 */

#include "broker.h"
#include "fuzz.h"
#include "monitor-private.h"
#include "open-source.h"

#include "uv-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUESTIONS_MAX 32
#define SECRET "not to be read, not to be changed"

typedef struct {
    char *top, *source, *secret;
    FsLocal *local;
    FsSockdir *sockets;
    FsBroker *broker;
    FsMonitor *monitor;
    int link;
    unsigned asked, answered;
} World;

static void put(const World *world, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(world->source, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);

    g_mkdir_with_parents(folder, 0755);
    CHECK(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
}

static void set_up(World *world)
{
    static const FsMonitorOptions options = {.engine = "/bin/false"};
    static const FsBrokerOptions broker = {
        .engine_uid = (uid_t)-1,
        .front_uid = 65534,
        .front_gid = 65534,
        .maker = "/bin/false",
    };
    static const FsMonitorHooks hooks = {0};
    int ends[2], to_broker[2];

    world->top = g_dir_make_tmp("fuzz-monitor-XXXXXX", NULL);
    world->source = g_build_filename(world->top, "source", NULL);
    world->secret = g_build_filename(world->top, "secret.json", NULL);
    g_autofree char *sockdir = g_build_filename(world->top, "sock", NULL);
    CHECK(g_file_set_contents(world->secret, SECRET, -1, NULL));
    put(world, "a.json", "{\"version\": 2, \"variables\": []}");
    put(world, "b/config.json", "{}");
    put(world, "b_VARS.fd", "");
    put(world, ".uefivarsfs/gone.json.journal", "journal");
    const FsOptions mount = {.sockdir = sockdir};
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    world->local = fs_local_open(world->source, NULL);
    world->sockets = fs_sockdir_open(world->local, &mount, NULL);
    CHECK(world->local && world->sockets);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, to_broker) == 0);
    world->broker = fs_broker_new(&broker, world->local, to_broker[1], NULL);
    world->monitor = fs_monitor_new(&options, world->sockets, ends[1], to_broker[0], NULL);
    CHECK(world->broker && world->monitor);
    world->monitor->hooks = &hooks;
    world->link = ends[0];
}

static void receive(World *world)
{
    FsAnswer answer;
    int fds[FS_QUESTION_FDS];

    while (fs_packet_receive(world->link, &answer, sizeof(answer), fds) == 0) {
        CHECK(fs_answer_valid(&answer));
        world->answered += answer.kind == FS_TELL_ANSWER;
        fs_packet_close(fds);
    }
}

static void serve(World *world)
{
    for (int i = 0; i < 16 && !world->monitor->ended; i++) {
        g_main_context_iteration(NULL, FALSE);
        receive(world);
    }
}

/* 0: none, 1: a sealed memfd, 2: one that is not, 3: a folder. */
static int make_fd(unsigned which)
{
    int fd;

    if (which == 0)
        return -1;
    if (which == 3)
        return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd = memfd_create("text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(write(fd, "{}", 2) == 2);
    if (which == 1)
        fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
    return fd;
}

static void send_packet(World *world, const void *packet, size_t size, unsigned which)
{
    int fds[FS_QUESTION_FDS];
    size_t n = 0;

    for (; n < FS_QUESTION_FDS; n++) {
        fds[n] = make_fd(which >> (2 * n) & 3);
        if (fds[n] < 0)
            break;
    }
    (void)fs_packet_send(world->link, packet, size, fds, n);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
}

typedef struct {
    const uint8_t *at;
    size_t left;
} Input;

static uint8_t take_byte(Input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

static void take_text(Input *input, char *text, size_t size)
{
    size_t n = 0;

    for (uint8_t byte; (byte = take_byte(input)) != 0;) {
        if (n < size)
            text[n++] = (char)byte; /* without an end if it fills the field */
    }
}

static void ask_raw(World *world, Input *input, unsigned which)
{
    const uint8_t wanted = take_byte(input);
    const size_t size = MIN(wanted, input->left);
    FsQuestion question = {0};

    memcpy(&question, input->at, size);
    world->asked += size > 0 && fs_question_valid(&question);
    if (size > 0)
        send_packet(world, input->at, size, which);
    input->at += size;
    input->left -= size;
}

static void ask(World *world, Input *input)
{
    FsQuestion question = {.kind = take_byte(input)};

    question.flags = take_byte(input);
    question.text = take_byte(input);
    const uint8_t formats = take_byte(input), which = take_byte(input);
    if (question.kind == 0xff) {
        ask_raw(world, input, which);
        return;
    }
    question.from = formats & 15;
    question.format = formats >> 4;
    question.id = world->asked + 1;
    question.start.size_bytes = question.flags >> 4 ? UV_STORAGE_MIN << (question.flags >> 4) : 0;
    take_text(input, question.guest, sizeof(question.guest));
    take_text(input, question.to, sizeof(question.to));
    take_text(input, question.path, sizeof(question.path));
    world->asked += fs_question_valid(&question);
    send_packet(world, &question, sizeof(question), which);
}

/* Children have ended, lists are complete: however slow the machine is, an answer comes. */
static void settle(World *world)
{
    const int64_t end = g_get_monotonic_time() + 8 * G_USEC_PER_SEC;

    while (g_get_monotonic_time() < end && !world->monitor->ended &&
           world->answered < world->asked) {
        serve(world);
        g_usleep(500);
    }
}

static void tear_down(World *world)
{
    g_autofree char *text = NULL;
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", world->top);

    CHECK(g_file_get_contents(world->secret, &text, NULL, NULL) && strcmp(text, SECRET) == 0);
    fs_monitor_free(world->monitor);
    fs_broker_free(world->broker);
    fs_sockdir_free(world->sockets);
    fs_local_free(world->local);
    close(world->link);
    for (int i = 0; system(command) != 0; i++) { /* a child that writes there may outlive it */
        CHECK(i < 100);
        g_usleep(50 * 1000);
    }
    g_free(world->top);
    g_free(world->source);
    g_free(world->secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    World world = {0};
    Input input = {data, size};

    set_up(&world);
    for (int i = 0; i < QUESTIONS_MAX && input.left > 0 && !world.monitor->ended; i++) {
        ask(&world, &input);
        serve(&world);
    }
    settle(&world);
    CHECK(world.monitor->ended || world.answered == world.asked);
    tear_down(&world);
    return 0;
}
