/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * uefivars-qcow2: one qcow2 image, for one engine (blockd-wire.h). What starts the engine starts
 * this too, and hands over the image; nothing that an engine sends names a file or is one.
 *
 *   no new privileges, no capabilities -> socket of the server -> Landlock -> requests
 *
 * Landlock leaves the system's programs and libraries, to be read and run, and the image. The
 * server gets the same, and may not make sockets, signal others, or change files by name; what its
 * image makes of it can do no more than spoil that image.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blockd-wire.h"
#include "capabilities.h"
#include "fd-pass.h"
#include "fd.h"
#include "landlock.h"
#include "qcow2-server.h"

#define HEADER_BYTES 80
#define MAGIC_BYTES 4
#define VERSION_AT 4
#define BACKING_OFFSET_AT 8
#define CRYPT_METHOD_AT 32
#define INCOMPATIBLE_AT 72
#define DATA_FILE_BIT 4u

typedef struct {
    QcowServer server;
    bool confined;
    /* Why nothing is served; empty: all is well. */
    char refusal[UV_BLOCKD_TEXT_BYTES];
} Program;

static uint64_t read_be(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;

    while (size--)
        value = value << 8 | *bytes++;
    return value;
}

static bool refuse(UvBlockdReply *reply, uint32_t offset, const char *text)
{
    reply->outcome = UV_BLOCKD_IMAGE;
    reply->offset = offset;
    snprintf(reply->text, sizeof(reply->text), "%s", text);
    return false;
}

/* For a plain word early; what it could lead to is forbidden all the same. */
static bool check_header(int fd, UvBlockdReply *reply)
{
    uint8_t header[HEADER_BYTES];

    if (pread(fd, header, sizeof(header), 0) != sizeof(header))
        return refuse(reply, 0, "the qcow2 header is not whole");
    if (memcmp(header, "QFI\xfb", MAGIC_BYTES) != 0)
        return refuse(reply, 0, "not a qcow2 image");
    if (read_be(header + BACKING_OFFSET_AT, 8))
        return refuse(reply, BACKING_OFFSET_AT, "a qcow2 image with a backing file");
    if (read_be(header + CRYPT_METHOD_AT, 4))
        return refuse(reply, CRYPT_METHOD_AT, "an encrypted qcow2 image");
    if (read_be(header + VERSION_AT, 4) >= 3 && (header[INCOMPATIBLE_AT + 7] & DATA_FILE_BIT))
        return refuse(reply, INCOMPATIBLE_AT, "a qcow2 image with an external data file");
    return true;
}

static int start(Program *program, bool writable, UvBlockdReply *reply)
{
    char text[UV_BLOCKD_TEXT_BYTES];
    struct stat st;
    int fd = -1;

    qcow_server_stop(&program->server, text, sizeof(text));
    if (fstat(UV_BLOCKD_FD_IMAGE, &st) == 0) {
        reply->device = st.st_dev;
        reply->inode = st.st_ino;
    }
    reply->outcome = UV_BLOCKD_FAILED;
    if (program->refusal[0])
        memcpy(reply->text, program->refusal, sizeof(reply->text));
    else if (!check_header(UV_BLOCKD_FD_IMAGE, reply))
        return -1;
    else if ((fd = qcow_server_start(&program->server, writable)) < 0)
        snprintf(reply->text, sizeof(reply->text), "%s", strerror(-fd));
    else
        reply->outcome = UV_BLOCKD_OK;
    return fd;
}

/* false: the engine is gone, or it is none of this build. */
static bool serve_one(Program *program)
{
    UvBlockdReply reply = {.outcome = UV_BLOCKD_OK};
    char request = 0;
    const struct iovec in = {&request, 1}, out = {&reply, sizeof(reply)};
    uv_autofd int fd = -1;

    qcow_server_wait(&program->server, UV_BLOCKD_FD_CONTROL);
    if (uv_pass_receive(UV_BLOCKD_FD_CONTROL, &in, 1, NULL, 0, 0) != 1)
        return false;
    switch (request) {
    case UV_BLOCKD_READ:
    case UV_BLOCKD_WRITE:
        fd = start(program, request == UV_BLOCKD_WRITE, &reply);
        break;
    case UV_BLOCKD_STOP:
        qcow_server_stop(&program->server, reply.text, sizeof(reply.text));
        break;
    default:
        return false;
    }
    return uv_pass_send(UV_BLOCKD_FD_CONTROL, &out, 1, &fd, fd >= 0, 0) == sizeof(reply);
}

static void set_up(Program *program)
{
    int failed = qcow_server_init(&program->server, UV_BLOCKD_FD_IMAGE, program->confined);
    const UvLandlockRule image = {UV_BLOCKD_FD_IMAGE, UV_LANDLOCK_WRITE};
    const char *what = "a socket in /tmp";

    if (!failed && program->confined) {
        what = "Landlock, without which a qcow2 image is served with --sandbox=off only";
        failed = -uv_landlock_confine_program(&image, 1);
    }
    if (failed)
        snprintf(program->refusal, sizeof(program->refusal), "no %s: %s", what, strerror(-failed));
}

static void die(const char *what)
{
    fprintf(stderr, "uefivars-qcow2: %s\n", what);
    exit(1);
}

static void parse(int argc, char **argv, Program *program)
{
    const bool unconfined = argc == 2 && strcmp(argv[1], "--unconfined") == 0;
    struct stat st;

    program->confined = !unconfined;
    if ((argc > 1 && !unconfined) || fstat(UV_BLOCKD_FD_CONTROL, &st) != 0 ||
        !S_ISSOCK(st.st_mode) || fstat(UV_BLOCKD_FD_IMAGE, &st) != 0)
        die("only programs that start engines start this one");
}

int main(int argc, char **argv)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGPIPE};
    Program program = {0};
    char text[UV_BLOCKD_TEXT_BYTES];

    parse(argc, argv, &program);
    /* The engine's end is told by the socket: a signal to the group must not end this first. */
    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        signal(ignored[i], SIG_IGN);
    fcntl(UV_BLOCKD_FD_CONTROL, F_SETFD, FD_CLOEXEC);
    fcntl(UV_BLOCKD_FD_IMAGE, F_SETFD, FD_CLOEXEC);
    if (program.confined && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
                             (geteuid() == 0 && uv_capabilities_bound(UV_CAPABILITIES_NONE) != 0) ||
                             uv_capabilities_keep(UV_CAPABILITIES_NONE) != 0))
        die("can't give up privileges");
    set_up(&program);
    while (serve_one(&program))
        ;
    qcow_server_stop(&program.server, text, sizeof(text));
    _exit(0);
}
