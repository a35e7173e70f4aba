/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stamp says that a module was built for this QEMU, not that its headers were: and with others
 * QEMU crashes when it comes to use what differs, perhaps when a machine is saved. So the module
 * looks at what QEMU exports: the sizes of its constants, as its symbol table has them, and what is
 * found in some of them through our declarations. Nothing is followed that was not found to be a
 * known address first.
 */
#include "qemu/osdep.h"

#include "layout.h"

#include "device.h"

#include "hw/nvram/fw_cfg.h"
#include "qemu/fifo8.h"

#include <dlfcn.h>
#include <link.h>
#include <malloc.h>

#define REGIONS 64

#define CHECKS(name, type)                                                                         \
    {                                                                                              \
        name, #type, sizeof(type)                                                                  \
    }

/* Exported constants of a type; one that is not there is passed over. */
static const struct {
    const char *name;
    const char *type;
    size_t bytes;
} constants[] = {
    CHECKS("vmstate_fifo8", VMStateDescription), CHECKS("vmstate_cpu_common", VMStateDescription),
    CHECKS("vmstate_info_uint32", VMStateInfo),  CHECKS("unassigned_mem_ops", MemoryRegionOps),
    CHECKS("qdev_prop_bool", PropertyInfo),      CHECKS("qdev_prop_string", PropertyInfo),
};

/* A constant of QEMU's, and how large it says that it is. NULL: there is none. */
static const void *find_constant(const char *name, size_t *ret_bytes)
{
    const void *constant = dlsym(RTLD_DEFAULT, name);
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;

    if (!constant || !dladdr1(constant, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol ||
        info.dli_saddr != constant)
        return NULL;
    *ret_bytes = symbol->st_size;
    return constant;
}

static const char *check_sizes(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(constants); i++) {
        size_t bytes;

        if (find_constant(constants[i].name, &bytes) && bytes != constants[i].bytes)
            return constants[i].type;
    }
    return NULL;
}

/* head and num, as the file that describes Fifo8 for migration has them. */
static bool is_field(const VMStateField *field, size_t offset)
{
    return field->offset == offset && field->size == sizeof(uint32_t) &&
           field->info == &vmstate_info_uint32 && field->flags == VMS_SINGLE;
}

static const char *check_migration(void)
{
    size_t bytes;
    const VMStateDescription *fifo = find_constant("vmstate_fifo8", &bytes);

    if (!fifo)
        return NULL;
    if (fifo->version_id != 1 || fifo->minimum_version_id != 1 || fifo->pre_load ||
        fifo->post_load || fifo->pre_save || fifo->needed || fifo->subsections || !fifo->fields)
        return "VMStateDescription";
    if (!is_field(&fifo->fields[1], offsetof(Fifo8, head)) ||
        !is_field(&fifo->fields[2], offsetof(Fifo8, num)) || fifo->fields[3].flags != VMS_END)
        return "VMStateField";
    return NULL;
}

static const char *check_class(void)
{
    const ObjectClass *klass = object_class_by_name(TYPE_SYS_BUS_DEVICE);
    const ObjectClass *bus = object_class_by_name(TYPE_DEVICE);

    if (!klass || !bus)
        return NULL;
    /* The last one that a device of the system bus has and others have not. */
    if (DEVICE_CLASS((ObjectClass *)bus)->bus_type || !DEVICE_CLASS((ObjectClass *)klass)->bus_type)
        return "DeviceClass";
    return NULL;
}

/* The machine's fw_cfg device, where there is one: what it says, and what we find in it. */
static const char *check_devices(void)
{
    FWCfgState *fw_cfg = fw_cfg_find();
    uint64_t slots;

    if (!fw_cfg)
        return NULL;
    if (DEVICE(fw_cfg)->parent_bus != sysbus_get_default() || !DEVICE(fw_cfg)->realized)
        return "DeviceState";
    slots = object_property_get_uint(OBJECT(fw_cfg), "x-file-slots", NULL);
    return fw_cfg->file_slots == slots ? NULL : "SysBusDevice";
}

/* An allocation may be a step larger than it need be, where a piece of that size lay free: so the
 * smallest of many counts, and none is given back before all were looked at. */
static bool is_size_of_region(void)
{
    void *like_ours[REGIONS];
    Object *regions[REGIONS];
    size_t smallest_like_ours = SIZE_MAX, smallest_region = SIZE_MAX;

    for (size_t i = 0; i < REGIONS; i++) {
        like_ours[i] = g_malloc(sizeof(MemoryRegion));
        regions[i] = object_new(TYPE_MEMORY_REGION);
        smallest_like_ours = MIN(smallest_like_ours, malloc_usable_size(like_ours[i]));
        smallest_region = MIN(smallest_region, malloc_usable_size(regions[i]));
    }
    for (size_t i = 0; i < REGIONS; i++) {
        g_free(like_ours[i]);
        object_unref(regions[i]);
    }
    return smallest_region == smallest_like_ours;
}

static const char *check_memory(void)
{
    const MemoryRegion *whole = get_system_memory();

    return is_size_of_region() && (!whole || whole->name == memory_region_name(whole))
               ? NULL
               : "MemoryRegion";
}

const char *glue_layout_difference(void)
{
    static const char *(*const checks[])(void) = {check_sizes, check_migration, check_class,
                                                  check_devices, check_memory};
    const char *differs = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(checks) && !differs; i++)
        differs = checks[i]();
    return differs;
}
