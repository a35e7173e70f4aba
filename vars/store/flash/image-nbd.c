/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The part of NBD that one client with one request at a time needs, as the protocol's document has
 * it: the fixed newstyle handshake, the option EXPORT_NAME, simple replies. All numbers are big
 * endian. A library would bring an XML parser and its languages into every guest's engine for the
 * few that have such an image.
 *
 * The server may be taken over by its image: nothing that it says is used before it was compared,
 * and after one wrong word, or one too late, nothing more is sent or read.
 */

#include "image.h"

#include "fd.h"
#include "file-io.h"
#include "store.h"

#include <errno.h>
#include <string.h>

#define SERVER_MAGIC 0x4e42444d41474943u /* "NBDMAGIC" */
#define OPTION_MAGIC 0x49484156454f5054u /* "IHAVEOPT" */
#define REQUEST_MAGIC 0x25609513u
#define REPLY_MAGIC 0x67446698u
#define FLAG_FIXED_NEWSTYLE 1u
#define FLAG_NO_ZEROES 2u
#define OPTION_EXPORT_NAME 1u
#define GREETING_BYTES 18
#define EXPORT_BYTES 10
#define REQUEST_BYTES 28
#define REPLY_BYTES 16
/* What every server takes in one request is 32 MiB; less shows sooner that it does not answer. */
#define REQUEST_MAX (1024u * 1024)

typedef enum {
    COMMAND_READ = 0,
    COMMAND_WRITE = 1,
    COMMAND_DISCONNECT = 2,
    COMMAND_FLUSH = 3,
} Command;

typedef struct {
    UvImage image;
    int fd; /* -1: the connection is not to be used any more */
    uint64_t cookie;
} NbdImage;

static void put(uint8_t *at, size_t size, uint64_t value)
{
    while (size--) {
        at[size] = value;
        value >>= 8;
    }
}

static uint64_t get(const uint8_t *at, size_t size)
{
    uint64_t value = 0;

    while (size--)
        value = value << 8 | *at++;
    return value;
}

static bool fail(UvImage *image, const char *what, uint64_t offset, int code, GError **error)
{
    return uv_fail(
        error, UV_STORE_ERROR, code == ENOSPC ? UV_STORE_ERROR_NO_SPACE : UV_STORE_ERROR_IO,
        "%s: %s at offset 0x%" PRIx64 ": %s", image->name, what, offset, g_strerror(code));
}

/* 0, or an errno: the connection is closed then. */
static int receive(NbdImage *n, void *bytes, size_t size)
{
    const ssize_t got = n->fd < 0 ? -ENOTCONN : uv_read_all(n->fd, bytes, size);

    if (got == (ssize_t)size)
        return 0;
    uv_fd_clear(&n->fd);
    return got < 0 ? -got : ECONNRESET;
}

static int transmit(NbdImage *n, const void *bytes, size_t size)
{
    const int result = n->fd < 0 ? -ENOTCONN : uv_write_all(n->fd, bytes, size);

    if (result < 0)
        uv_fd_clear(&n->fd);
    return -result;
}

static int distrust(NbdImage *n)
{
    uv_fd_clear(&n->fd);
    return EPROTO;
}

static int send_request(NbdImage *n, Command command, uint64_t offset, uint32_t size)
{
    uint8_t request[REQUEST_BYTES] = {0};

    put(request, 4, REQUEST_MAGIC);
    put(request + 6, 2, command);
    put(request + 8, 8, ++n->cookie);
    put(request + 16, 8, offset);
    put(request + 24, 4, size);
    return transmit(n, request, sizeof(request));
}

/* 0, or what went wrong there or on the way: an errno of Linux, as the protocol's are. */
static int receive_reply(NbdImage *n)
{
    uint8_t reply[REPLY_BYTES];
    const int result = receive(n, reply, sizeof(reply));

    if (result)
        return result;
    if (get(reply, 4) != REPLY_MAGIC || get(reply + 8, 8) != n->cookie)
        return distrust(n);
    return get(reply + 4, 4) > INT16_MAX ? EIO : (int)get(reply + 4, 4);
}

/* Reads `in`, or writes `out`; the other one is NULL. */
static bool transfer(UvImage *image, uint64_t offset, uint8_t *in, const uint8_t *out, size_t size,
                     GError **error)
{
    NbdImage *n = (NbdImage *)image;

    for (size_t done = 0; done < size;) {
        const size_t part = MIN(REQUEST_MAX, size - done);
        int result = send_request(n, in ? COMMAND_READ : COMMAND_WRITE, offset + done, part);

        if (!result && out)
            result = transmit(n, out + done, part);
        result = result ? result : receive_reply(n);
        if (!result && in)
            result = receive(n, in + done, part);
        if (result)
            return fail(image, in ? "reading" : "writing", offset + done, result, error);
        done += part;
    }
    return true;
}

static bool nbd_image_read(UvImage *image, uint64_t offset, void *bytes, size_t size,
                           GError **error)
{
    return transfer(image, offset, bytes, NULL, size, error);
}

static bool nbd_image_write(UvImage *image, uint64_t offset, const void *bytes, size_t size,
                            GError **error)
{
    return transfer(image, offset, NULL, bytes, size, error);
}

static bool nbd_image_flush(UvImage *image, GError **error)
{
    NbdImage *n = (NbdImage *)image;
    int result = send_request(n, COMMAND_FLUSH, 0, 0);

    result = result ? result : receive_reply(n);
    return result == 0 || fail(image, "syncing", 0, result, error);
}

static void nbd_image_free(UvImage *image)
{
    NbdImage *n = (NbdImage *)image;

    (void)send_request(n, COMMAND_DISCONNECT, 0, 0);
    uv_fd_clear(&n->fd);
    g_free(n);
}

/* The export without a name, of which there is one. */
static int shake_hands(NbdImage *n)
{
    uint8_t greeting[GREETING_BYTES], answer[4 + 16] = {0}, exported[EXPORT_BYTES];
    const unsigned wanted = FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES;
    int result = receive(n, greeting, sizeof(greeting));

    if (result)
        return result;
    if (get(greeting, 8) != SERVER_MAGIC || get(greeting + 8, 8) != OPTION_MAGIC ||
        (get(greeting + 16, 2) & wanted) != wanted)
        return distrust(n);
    put(answer, 4, wanted);
    put(answer + 4, 8, OPTION_MAGIC);
    put(answer + 12, 4, OPTION_EXPORT_NAME);
    result = transmit(n, answer, sizeof(answer));
    result = result ? result : receive(n, exported, sizeof(exported));
    if (result)
        return result;
    n->image.size_bytes = get(exported, 8);
    return n->image.size_bytes > INT64_MAX ? distrust(n) : 0;
}

UvImage *uv_image_new_nbd(int socket, const char *name, GError **error)
{
    static const UvImageOps ops = {.read = nbd_image_read,
                                   .write = nbd_image_write,
                                   .flush = nbd_image_flush,
                                   .free = nbd_image_free};
    NbdImage *n = g_new0(NbdImage, 1);
    g_autoptr(UvImage) image = &n->image;
    int result;

    n->image.ops = &ops;
    n->image.name = g_strdup(name);
    n->fd = socket;
    result = shake_hands(n);
    if (result) {
        fail(image, "connecting", 0, result, error);
        return NULL;
    }
    return g_steal_pointer(&image);
}
