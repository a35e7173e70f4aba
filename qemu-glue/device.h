/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The device: registers and transfer buffer (uefi-vars-core.c), its QOM types (uefi-vars-sysbus.c,
 * uefi-vars-x64.c) and what migrates (migrate.c). Everything here runs under QEMU's big lock.
 * Include after qemu/osdep.h.
 */

#include "compat.h"

#include "forward.h"
#include "pcap.h"

#include "hw/uefi/var-service-api.h"
#include "migration/vmstate.h"
#include "qemu/notify.h"
#include "system/runstate.h"

#define GLUE_BUFFER_MAX (64u * 1024)

#define TYPE_GLUE_DEVICE TYPE_UEFI_VARS_SYSBUS
OBJECT_DECLARE_SIMPLE_TYPE(GlueDevice, GLUE_DEVICE)

struct GlueDevice {
    SysBusDevice parent_obj;
    MemoryRegion mr;

    /* Registers. */
    uint16_t status;
    uint32_t buffer_bytes; /* at most GLUE_BUFFER_MAX */
    uint32_t address_low;
    uint32_t address_high;
    uint32_t pio_offset;
    uint8_t *pio_buffer; /* buffer_bytes of them */

    uint8_t *request; /* GLUE_BUFFER_MAX: the copy that a request is made from */

    GlueForward *forward; /* NULL before realize */
    GluePcap *pcap;       /* NULL: none is asked for */
    Notifier exit_notifier;
    VMChangeStateEntry *run_state_entry;

    /* Properties. */
    char *socket_path;
    char *store_path; /* jsonfile=: the engine is found by it */
    char *pcap_path;
    bool use_pio;
    GlueWants wants;

    /* While the state is saved or loaded, and until the machine runs again. (post_save is not the
     * same function in each QEMU.) */
    uint32_t blob_bytes;
    uint8_t *blob;
};

/* offer.c: whether QEMU is to be told of our types */
extern bool glue_is_asked_for;

/* uefi-vars-core.c */
void glue_core_init(GlueDevice *device);
void glue_core_reset(GlueDevice *device);

/* uefi-vars-sysbus.c; false: `errp` is set and nothing was registered */
bool glue_sysbus_realize(DeviceState *dev, Error **errp);

/* migrate.c */
void glue_drop_blob(GlueDevice *device);
extern const VMStateDescription glue_vmstate;
