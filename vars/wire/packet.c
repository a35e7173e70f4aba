/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "packet.h"

#include "fd-pass.h"
#include "fd.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static size_t used_bytes(const void *packet, size_t size)
{
    const char *bytes = packet;

    while (size > 1 && bytes[size - 1] == 0)
        size--;
    return size;
}

int fs_packet_send(int socket_fd, const void *packet, size_t size_bytes, const int *fds,
                   size_t n_fds)
{
    const struct iovec part = {(void *)packet, used_bytes(packet, size_bytes)};
    ssize_t sent;

    if (n_fds > FS_QUESTION_FDS)
        return -EINVAL;
    sent = uv_pass_send(socket_fd, &part, 1, fds, n_fds, MSG_DONTWAIT);
    return sent < 0 ? (int)sent : 0;
}

void fs_packet_close(int fds[FS_QUESTION_FDS])
{
    for (int i = 0; i < FS_QUESTION_FDS; i++)
        uv_fd_clear(&fds[i]);
}

size_t fs_packet_count(const int fds[FS_QUESTION_FDS])
{
    size_t n = 0;

    while (n < FS_QUESTION_FDS && fds[n] >= 0)
        n++;
    return n;
}

int fs_packet_receive(int socket_fd, void *ret_packet, size_t size_bytes,
                      int ret_fds[FS_QUESTION_FDS])
{
    const struct iovec part = {ret_packet, size_bytes};
    const ssize_t size =
        uv_pass_receive(socket_fd, &part, 1, ret_fds, FS_QUESTION_FDS, MSG_DONTWAIT);

    if (size == 0 || size == -ECONNRESET)
        return -EPIPE;
    if (size < 0)
        return size == -EMSGSIZE ? -EPROTO : (int)size;
    memset((char *)ret_packet + size, 0, size_bytes - (size_t)size);
    return 0;
}

static bool ends(const char *text, size_t size)
{
    return memchr(text, '\0', size) != NULL;
}

bool fs_question_valid(const FsQuestion *question)
{
    return question->kind >= FS_ASK_LIST && question->kind < FS_ASKS && question->id != 0 &&
           question->text < FS_TEXTS && question->from < FS_FORMATS &&
           question->format < FS_FORMATS && ends(question->guest, sizeof(question->guest)) &&
           ends(question->to, sizeof(question->to)) && ends(question->path, sizeof(question->path));
}

static bool look_valid(const FsLook *look)
{
    return look->format < FS_FORMATS && ends(look->file, sizeof(look->file)) &&
           ends(look->store_name, sizeof(look->store_name));
}

bool fs_answer_valid(const FsAnswer *answer)
{
    return answer->kind < FS_TELLS && answer->error <= 0 && answer->error > -4096 &&
           (answer->kind != FS_TELL_GUESTS ||
            (answer->number >= 0 && answer->number <= FS_TOLD_MAX)) &&
           ends(answer->guest, sizeof(answer->guest)) && look_valid(&answer->look) &&
           ends(answer->text, sizeof(answer->text)) && ends(answer->store, sizeof(answer->store));
}
