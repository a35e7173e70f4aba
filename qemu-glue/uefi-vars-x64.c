/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x64: at a fixed address, which the firmware learns from fw_cfg's etc/hardware-info. QEMU only
 * ever appends to that file, and edk2 refuses one with two entries: so the device is realized
 * first, and registered when nothing can fail any more.
 */
#include "qemu/osdep.h"

#include "device.h"

#include "hw/nvram/fw_cfg.h"
#include "hw/uefi/hardware-info.h"
#include "qapi/error.h"
#include "qemu/bswap.h"
#include "qemu/module.h"

#define X64_ADDRESS 0xfef10000ull

static void x64_realize(DeviceState *dev, Error **errp)
{
    HARDWARE_INFO_SIMPLE_DEVICE where = {
        .mmio_address = cpu_to_le64(X64_ADDRESS),
    };

    if (!fw_cfg_find()) {
        error_setg(errp, "this machine has no fw_cfg, so its firmware could not find the device");
        return;
    }
    if (!glue_sysbus_realize(dev, errp))
        return;
    hardware_info_register(HardwareInfoQemuUefiVars, &where, sizeof(where));
    sysbus_mmio_map(SYS_BUS_DEVICE(dev), 0, X64_ADDRESS);
}

static void x64_class_init(ObjectClass *klass, GlueClassData *data)
{
    DEVICE_CLASS(klass)->realize = x64_realize;
}

static const TypeInfo x64_info = {
    .name = TYPE_UEFI_VARS_X64,
    .parent = TYPE_UEFI_VARS_SYSBUS,
    .class_init = x64_class_init,
};

static void register_types(void)
{
    if (glue_is_asked_for)
        type_register_static(&x64_info);
}

type_init(register_types)
