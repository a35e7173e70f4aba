/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The bytes of a flash image, wherever they are: a raw file or block device, an export of
 * qemu-storage-daemon, or what tests put in their place. Reads and writes are whole or fail; what
 * was written is durable after uv_image_flush().
 */

#include <glib.h>
#include <inttypes.h>
#include <stdbool.h>

typedef struct UvImage UvImage;

typedef struct {
    bool (*read)(UvImage *image, uint64_t offset, void *bytes, size_t size, GError **error);
    bool (*write)(UvImage *image, uint64_t offset, const void *bytes, size_t size, GError **error);
    bool (*flush)(UvImage *image, GError **error);
    void (*free)(UvImage *image);
} UvImageOps;

/* Kinds of images embed it as their first member. */
struct UvImage {
    const UvImageOps *ops;
    char *name; /* for messages */
    uint64_t size_bytes;
};

/* A file or block device; borrows the descriptor. */
UvImage *uv_image_new_fd(int fd, const char *name, GError **error);
void uv_image_free(UvImage *image);

/* A range outside the image is UV_STORE_ERROR_PARSE (reading) or UV_STORE_ERROR_IO (writing). */
bool uv_image_read(UvImage *image, uint64_t offset, void *bytes, size_t size, GError **error);
bool uv_image_write(UvImage *image, uint64_t offset, const void *bytes, size_t size,
                    GError **error);
bool uv_image_flush(UvImage *image, GError **error);

/* Behind an NBD connection. Takes ownership of the connected socket; how long it may wait for the
 * server is the socket's own (SO_RCVTIMEO, SO_SNDTIMEO). */
UvImage *uv_image_new_nbd(int socket, const char *name, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(UvImage, uv_image_free)
