/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What migrates, and what a snapshot keeps: the registers, the transfer buffer, and the engine's
 * state as a blob that only engines read. The name is our own, so QEMU's device refuses our stream
 * as an unknown section, and we its.
 *
 * The source's engine lets go of the store only when a migration is finishing (a snapshot goes on
 * with it), and takes it back when the machine runs again after all.
 */
#include "qemu/osdep.h"

#include "device.h"

#include "vars/wire/wire.h"

#include "migration/qemu-file-types.h"
#include "qapi/error.h"
#include "qemu/error-report.h"

void glue_drop_blob(GlueDevice *device)
{
    g_free(device->blob);
    device->blob = NULL;
    device->blob_bytes = 0;
}

static bool save_blob(void *opaque, Error **errp)
{
    GlueDevice *device = opaque;
    bool release = runstate_check(RUN_STATE_FINISH_MIGRATE);
    g_autoptr(GError) error = NULL;
    GBytes *blob = glue_forward_save(device->forward, release, &error);
    gsize bytes;

    glue_drop_blob(device);
    if (!blob) {
        error_setg(errp, "uefi-vars: the engine's state can't be saved: %s", error->message);
        return false;
    }
    device->blob = g_bytes_unref_to_data(blob, &bytes);
    device->blob_bytes = bytes;
    return true;
}

/* The pointers are allocated anew, to the sizes in the stream. */
static int glue_pre_load(void *opaque)
{
    GlueDevice *device = opaque;

    glue_drop_blob(device);
    g_free(device->pio_buffer);
    device->pio_buffer = NULL;
    device->buffer_bytes = 0;
    return 0;
}

static bool load_blob(void *opaque, int version_id, Error **errp)
{
    GlueDevice *device = opaque;
    g_autoptr(GBytes) blob = g_bytes_new_take(g_steal_pointer(&device->blob), device->blob_bytes);
    g_autoptr(GError) error = NULL;

    device->blob_bytes = 0;
    if (!glue_forward_load(device->forward, blob, &error)) {
        error_setg(errp, "uefi-vars: the engine did not take the state: %s", error->message);
        return false;
    }
    return true;
}

#if !GLUE_QEMU_AT_LEAST(11, 0)
/* There the text goes to stderr only, and to no program that asks by QMP. */
static int glue_pre_save(void *opaque)
{
    Error *error = NULL;

    if (save_blob(opaque, &error))
        return 0;
    error_report_err(error);
    return -EIO;
}

static int glue_post_load(void *opaque, int version_id)
{
    Error *error = NULL;

    if (load_blob(opaque, version_id, &error))
        return 0;
    error_report_err(error);
    return -EIO;
}
#endif

/*
 * The bytes themselves, whose number comes right before them. QEMU has fields for such buffers, but
 * what these look like differed within its branch 11.1; one of our own needs no more of a field
 * than where it is and what it is.
 */
typedef struct {
    VMStateInfo info;
    size_t bytes, size; /* offsets in GlueDevice: uint8_t *, and its uint32_t */
    uint32_t most;
} Bytes;

static const Bytes *bytes_of(const VMStateField *field)
{
    return container_of(field->info, Bytes, info);
}

static void *at(void *device, size_t offset)
{
    return (char *)device + offset;
}

static int put_bytes(QEMUFile *file, void *device, size_t size, const VMStateField *field,
                     JSONWriter *description)
{
    const Bytes *what = bytes_of(field);
    uint8_t *const *bytes = at(device, what->bytes);
    const uint32_t *n_bytes = at(device, what->size);

    qemu_put_buffer(file, *bytes, *n_bytes);
    return 0;
}

static int get_bytes(QEMUFile *file, void *device, size_t size, const VMStateField *field)
{
    const Bytes *what = bytes_of(field);
    uint8_t **bytes = at(device, what->bytes);
    const uint32_t n_bytes = *(const uint32_t *)at(device, what->size);

    if (n_bytes > what->most) {
        error_report("uefi-vars: a %s of at most %u bytes is expected, not of %u", what->info.name,
                     what->most, n_bytes);
        return -EINVAL;
    }
    *bytes = g_malloc(n_bytes);
    return qemu_get_buffer(file, *bytes, n_bytes) == n_bytes ? 0 : -EIO;
}

static const Bytes pio_buffer = {
    .info = {.name = "transfer buffer", .get = get_bytes, .put = put_bytes},
    .bytes = offsetof(GlueDevice, pio_buffer),
    .size = offsetof(GlueDevice, buffer_bytes),
    .most = GLUE_BUFFER_MAX,
};

static const Bytes blob = {
    .info = {.name = "state of the engine", .get = get_bytes, .put = put_bytes},
    .bytes = offsetof(GlueDevice, blob),
    .size = offsetof(GlueDevice, blob_bytes),
    .most = UV_WIRE_BLOB_MAX,
};

/* Of the device as a whole. */
#define BYTES_OF_DEVICE(of_name, of_bytes)                                                         \
    {                                                                                              \
        .name = of_name, .size = sizeof(GlueDevice), .info = &(of_bytes).info, .flags = VMS_SINGLE \
    }

static const VMStateField glue_fields[] = {
    VMSTATE_UINT16(status, GlueDevice),
    VMSTATE_UINT32(address_low, GlueDevice),
    VMSTATE_UINT32(address_high, GlueDevice),
    VMSTATE_UINT32(pio_offset, GlueDevice),
    VMSTATE_UINT32(buffer_bytes, GlueDevice),
    BYTES_OF_DEVICE("pio_buffer", pio_buffer),
    VMSTATE_UINT32(blob_bytes, GlueDevice),
    BYTES_OF_DEVICE("blob", blob),
    VMSTATE_END_OF_LIST(),
};

const VMStateDescription glue_vmstate = {
    .name = "uefivars-engine",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_load = glue_pre_load,
#if GLUE_QEMU_AT_LEAST(11, 0)
    .pre_save_errp = save_blob,
    .post_load_errp = load_blob,
#else
    .pre_save = glue_pre_save,
    .post_load = glue_post_load,
#endif
    .fields = glue_fields,
};
