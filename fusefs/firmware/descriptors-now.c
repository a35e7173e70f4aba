/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The descriptor set as its files are now.
 *
 * The front reads the descriptors themselves, and nothing of what they name: images are opened by
 * the source, one after the other answered, and only their first bytes are read. So a set is loaded
 * twice when it is new: once to learn which images it names, and again when these are known. Who
 * asks meanwhile waits.
 */

#include "firmware-private.h"

#include "fd.h"

#include <errno.h>
#include <string.h>

/* Between two looks whether the descriptors' files are what was loaded. */
#define LOOK_US (1000 * 1000)

typedef struct {
    FsFirmware *firmware;
    bool known;
    int error; /* why it can't be looked at */
    DescImage image;
    char path[];
} Image;

typedef struct {
    void (*ready)(void *data);
    void *data;
} Waiter;

static Image *find_image(FsFirmware *firmware, const char *path)
{
    Image *image = g_hash_table_lookup(firmware->images, path);
    size_t size = strlen(path) + 1;

    if (!image) {
        image = g_malloc0(sizeof(*image) + size);
        image->firmware = firmware;
        memcpy(image->path, path, size);
        g_hash_table_insert(firmware->images, image->path, image);
        g_ptr_array_add(firmware->unknown, image);
    }
    return image;
}

static bool look_at_image(const char *path, DescImage *ret_image, void *data)
{
    const Image *image = find_image(data, path);

    errno = image->known ? image->error : EAGAIN;
    if (errno)
        return false;
    *ret_image = image->image;
    return true;
}

static void load(FsFirmware *firmware)
{
    fs_firmware_forget_choices(firmware);
    g_clear_pointer(&firmware->set, desc_set_free);
    firmware->set = desc_set_load((const char *const *)firmware->options->descriptors, NULL,
                                  look_at_image, firmware);
    firmware->looked_at = g_get_monotonic_time();
}

static void let_go_on(FsFirmware *firmware)
{
    Waiter *waiter;

    while (!firmware->loading && (waiter = g_queue_pop_head(&firmware->waiters))) {
        waiter->ready(waiter->data);
        g_free(waiter);
    }
}

static void ask_for_images(FsFirmware *firmware);

static void on_image(int fd, int error, const char *reason, void *data)
{
    Image *image = data;
    FsFirmware *firmware = image->firmware;

    image->known = true;
    image->error = error;
    if (!error && !desc_image_read(fd, &image->image))
        image->error = errno;
    uv_fd_clear(&fd);
    if (--firmware->asked > 0)
        return;
    load(firmware);
    ask_for_images(firmware); /* of a descriptor that came meanwhile */
    let_go_on(firmware);
}

/* Answers come later, but for paths that can't even be asked for. */
static void ask_for_images(FsFirmware *firmware)
{
    g_autoptr(GPtrArray) unknown = g_steal_pointer(&firmware->unknown);

    firmware->unknown = g_ptr_array_new();
    firmware->loading = unknown->len > 0;
    firmware->asked = unknown->len;
    for (guint i = 0; i < unknown->len; i++) {
        Image *image = unknown->pdata[i];
        fs_fleet_open_image(firmware->fleet, image->path, on_image, image);
    }
}

void fs_firmware_prepare(FsFirmware *firmware, void (*ready)(void *data), void *data)
{
    const int64_t now = g_get_monotonic_time();
    bool look = !firmware->set || now - firmware->looked_at >= LOOK_US;
    Waiter *waiter;

    if (!firmware->loading && look) {
        firmware->looked_at = now;
        if (!firmware->set || desc_set_has_changed(firmware->set)) {
            g_hash_table_remove_all(firmware->images);
            load(firmware);
            ask_for_images(firmware);
        }
    }
    if (!firmware->loading) {
        ready(data);
        return;
    }
    waiter = g_new(Waiter, 1);
    *waiter = (Waiter){ready, data};
    g_queue_push_tail(&firmware->waiters, waiter);
}

void fs_firmware_refresh(FsFirmware *firmware)
{
    firmware->looked_at = INT64_MIN / 2;
}

bool fs_firmware_is_prepared(const FsFirmware *firmware)
{
    return firmware->set && !firmware->loading;
}

const DescSet *fs_firmware_descriptors(FsFirmware *firmware)
{
    return firmware->set;
}
