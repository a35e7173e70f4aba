/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pcap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAGIC 0xa1b2c3d4u /* in this machine's byte order; times in microseconds */
#define LINK_TYPE_EDK2_MM 302u
#define SNAP_BYTES (65536u + 64u)

struct GluePcap {
    int fd;
};

typedef struct {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, accuracy, snap_bytes, link_type;
} FileHeader;

typedef struct {
    uint32_t seconds, micros, kept_bytes, bytes;
} RecordHeader;

GluePcap *glue_pcap_new(const char *path, GError **error)
{
    const FileHeader header = {
        .magic = MAGIC,
        .major = 2,
        .minor = 4,
        .snap_bytes = SNAP_BYTES,
        .link_type = LINK_TYPE_EDK2_MM,
    };
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
    GluePcap *pcap;

    if (fd < 0 || write(fd, &header, sizeof(header)) != (ssize_t)sizeof(header)) {
        const int code = errno;

        if (fd >= 0)
            close(fd);
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(code), "pcapfile %s: %s", path,
                    g_strerror(code));
        return NULL;
    }
    pcap = g_new0(GluePcap, 1);
    pcap->fd = fd;
    return pcap;
}

void glue_pcap_free(GluePcap *pcap)
{
    if (!pcap)
        return;
    if (pcap->fd >= 0)
        close(pcap->fd);
    g_free(pcap);
}

void glue_pcap_add(GluePcap *pcap, const void *message, size_t bytes)
{
    const gint64 now = g_get_real_time();
    RecordHeader header = {
        .seconds = (uint32_t)(now / G_USEC_PER_SEC),
        .micros = (uint32_t)(now % G_USEC_PER_SEC),
        .kept_bytes = (uint32_t)bytes,
        .bytes = (uint32_t)bytes,
    };
    const struct iovec parts[] = {{&header, sizeof(header)}, {(void *)message, bytes}};

    if (!pcap || pcap->fd < 0)
        return;
    if (writev(pcap->fd, parts, 2) == (ssize_t)(sizeof(header) + bytes))
        return;
    close(pcap->fd);
    pcap->fd = -1;
}
