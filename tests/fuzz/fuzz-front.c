/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * An engine that was taken over, and sends its front any frames. An input is a list of frames: a
 * byte for the type, u16 length, and the payload; what is left over is sent raw. Whatever comes,
 * the replica must hold nothing but file names and contents, and its sums must be right.
 */

#include "fuzz.h"

#include "fake-source.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint16_t types[] = {
    UV_WIRE_REPLY | UV_HOST_HELLO,
    UV_WIRE_REPLY | UV_HOST_SNAPSHOT,
    UV_WIRE_REPLY | UV_HOST_SET,
    UV_WIRE_REPLY | UV_HOST_CHECK,
    UV_WIRE_REPLY | UV_HOST_END,
    UV_WIRE_REPLY | UV_HOST_LISTENER,
    UV_WIRE_REPLY | UV_WIRE_ERROR,
    UV_HOST_CHANGED,
    UV_HOST_STATE,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FsFleet *fleet = fake_fleet();
    FsGuest *guest = fs_fleet_next(fleet, 0);
    int fds[2];

    g_autoptr(GBytes) bytes = fake_frames(types, G_N_ELEMENTS(types), data, size);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    FsEngine *engine = fake_engine(fleet, fds[0]);
    if (bytes && g_bytes_get_size(bytes) > 0)
        (void)!write(fds[1], g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    close(fds[1]);
    while (guest->live->engine && guest->live->engine->io && engine_receive(engine))
        ;
    if (guest->live->engine)
        engine_gone(guest->live->engine);
    fake_check_replica(guest->live->replica);
    fs_replica_clear(guest->live->replica);
    fake_answer_all(fleet, -1);
    fleet_dispatch(fleet);
    return 0;
}
