/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(FS_QUESTION_FDS * sizeof(int))];
} Control;

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
    struct iovec iov = {(void *)packet, used_bytes(packet, size_bytes)};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    Control control = {.bytes = {0}};
    ssize_t sent;

    if (n_fds > FS_QUESTION_FDS)
        return -EINVAL;
    if (n_fds > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.header = (struct cmsghdr){CMSG_LEN(n_fds * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
    }
    do
        sent = sendmsg(socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

void fs_packet_close(int fds[FS_QUESTION_FDS])
{
    for (int i = 0; i < FS_QUESTION_FDS; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

/* All that came, also where it is too much: the kernel has given us no more than fit. */
static void take_fds(struct msghdr *message, int fds[FS_QUESTION_FDS])
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);

    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len <= CMSG_LEN(0))
        return;
    size_t size = header->cmsg_len - CMSG_LEN(0);
    memcpy(fds, CMSG_DATA(header),
           size < FS_QUESTION_FDS * sizeof(int) ? size : FS_QUESTION_FDS * sizeof(int));
}

int fs_packet_receive(int socket_fd, void *ret_packet, size_t size_bytes,
                      int ret_fds[FS_QUESTION_FDS])
{
    struct iovec iov = {ret_packet, size_bytes};
    Control control;
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             /* Not its padding: the kernel would put a descriptor there. */
                             .msg_controllen = CMSG_LEN(FS_QUESTION_FDS * sizeof(int))};
    ssize_t size;

    for (int i = 0; i < FS_QUESTION_FDS; i++)
        ret_fds[i] = -1;
    do
        size = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    take_fds(&message, ret_fds);
    if (size == 0 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        fs_packet_close(ret_fds);
        return size == 0 ? -EPIPE : -EPROTO;
    }
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

bool fs_answer_valid(const FsAnswer *answer)
{
    return answer->kind < FS_TELLS && answer->error <= 0 && answer->error > -4096 &&
           answer->look.format < FS_FORMATS && ends(answer->guest, sizeof(answer->guest)) &&
           ends(answer->look.file, sizeof(answer->look.file)) &&
           ends(answer->look.store_name, sizeof(answer->look.store_name)) &&
           ends(answer->text, sizeof(answer->text));
}
