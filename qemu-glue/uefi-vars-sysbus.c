/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The type that machines with a device tree take by name, and the base of the x64 one. Properties
 * are those of QEMU's own device, of which `jsonfile` names the engine, and `socket`. What belongs
 * to the engine (size, force-secure-boot, disable-custom-mode) may be left out, or must be what the
 * engine has.
 */
#include "qemu/osdep.h"

#include "device.h"

#include "by-store.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/module.h"
#include "system/system.h"

static void say(const char *text)
{
    warn_report("%s", text);
}

static void handle_exit(Notifier *notifier, void *data)
{
    GlueDevice *device = container_of(notifier, GlueDevice, exit_notifier);

    glue_forward_end(device->forward);
}

static void handle_run_state(void *opaque, bool running, RunState state)
{
    GlueDevice *device = opaque;

    if (!running)
        return;
    glue_drop_blob(device);
    glue_forward_running(device->forward);
}

/* The engine's socket, allocated, or NULL: `errp` says why. */
static char *find_engine(const GlueDevice *device, Error **errp)
{
    char *found;

    if (device->socket_path && device->store_path) {
        error_setg(errp, "socket= and jsonfile= each name an engine: give one");
        return NULL;
    }
    if (device->socket_path)
        return g_strdup(device->socket_path);
    if (!device->store_path) {
        error_setg(errp, "socket=PATH is missing: this module forwards to an engine");
        error_append_hint(errp, "It is uefivarsfs' hw-uefi-vars.so, found through QEMU_MODULE_DIR; "
                                "without that variable QEMU's own device is used.\n");
        return NULL;
    }
    found = glue_by_store_find(device->store_path);
    if (!found) {
        error_setg(errp, "jsonfile=%s: no engine serves this store", device->store_path);
        error_append_hint(errp,
                          "Mount its folder with uefivarsfs, or run  uefivarsd --store %s --socket "
                          "PATH  and give the device socket=PATH.\n",
                          device->store_path);
    }
    return found;
}

static bool start_session(GlueDevice *device, Error **errp)
{
    const char *guest = qemu_get_vm_name();
    g_autofree char *name =
        g_strdup_printf("qemu %s (process %d)", guest ? guest : "without a name", (int)getpid());
    g_autofree char *socket_path = find_engine(device, errp);
    g_autoptr(GlueForward) forward = NULL;
    g_autoptr(GError) error = NULL;

    if (!socket_path)
        return false;
    forward = glue_forward_new(socket_path, device->store_path, name, &device->wants, say);
    if (!glue_forward_start(forward, runstate_check(RUN_STATE_INMIGRATE), &error)) {
        error_setg(errp, "%s", error->message);
        if (device->socket_path)
            error_append_hint(errp,
                              "%s must be the guest socket of a running uefivarsd (--socket), "
                              "or guests/NAME/mm.sock of an uefivarsfs mount.\n",
                              device->socket_path);
        return false;
    }
    device->forward = g_steal_pointer(&forward);
    return true;
}

static bool start_pcap(GlueDevice *device, Error **errp)
{
    g_autoptr(GError) error = NULL;

    if (!device->pcap_path)
        return true;
    device->pcap = glue_pcap_new(device->pcap_path, &error);
    if (!device->pcap)
        error_setg(errp, "%s", error->message);
    return device->pcap != NULL;
}

bool glue_sysbus_realize(DeviceState *dev, Error **errp)
{
    GlueDevice *device = GLUE_DEVICE(dev);

    /* NULL where there are two. */
    if (!object_resolve_path_type("", TYPE_GLUE_DEVICE, NULL)) {
        error_setg(errp, "a machine has one %s", object_get_typename(OBJECT(dev)));
        return false;
    }
    if (!start_pcap(device, errp))
        return false;
    if (!start_session(device, errp))
        return false;
    device->request = g_malloc(GLUE_BUFFER_MAX);
    device->exit_notifier.notify = handle_exit;
    qemu_add_exit_notifier(&device->exit_notifier);
    device->run_state_entry = qemu_add_vm_change_state_handler(handle_run_state, device);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &device->mr);
    return true;
}

static void base_realize(DeviceState *dev, Error **errp)
{
    glue_sysbus_realize(dev, errp);
}

static void base_unrealize(DeviceState *dev)
{
    GlueDevice *device = GLUE_DEVICE(dev);

    qemu_del_vm_change_state_handler(device->run_state_entry);
    qemu_remove_exit_notifier(&device->exit_notifier);
    glue_forward_end(device->forward);
}

/* A machine that wakes up (S3) has not lost its memory, and the drivers in it find the device and
 * its session as they left them; QEMU's own forgets both. */
static void base_reset(Object *obj, ResetType type)
{
    if (type != RESET_TYPE_WAKEUP)
        glue_core_reset(GLUE_DEVICE(obj));
}

static void base_instance_init(Object *obj)
{
    glue_core_init(GLUE_DEVICE(obj));
}

static void base_instance_finalize(Object *obj)
{
    GlueDevice *device = GLUE_DEVICE(obj);

    glue_forward_free(device->forward);
    glue_pcap_free(device->pcap);
    g_free(device->request);
    g_free(device->pio_buffer);
    glue_drop_blob(device);
}

static void set_wanted(Object *obj, const char *name, GlueTri *wanted, bool value, Error **errp)
{
    if (DEVICE(obj)->realized)
        qdev_prop_set_after_realize(DEVICE(obj), name, errp);
    else
        *wanted = value ? GLUE_TRI_ON : GLUE_TRI_OFF;
}

static bool get_force_secure_boot(Object *obj, Error **errp)
{
    return GLUE_DEVICE(obj)->wants.force_secure_boot == GLUE_TRI_ON;
}

static void set_force_secure_boot(Object *obj, bool value, Error **errp)
{
    set_wanted(obj, "force-secure-boot", &GLUE_DEVICE(obj)->wants.force_secure_boot, value, errp);
}

static bool get_disable_custom_mode(Object *obj, Error **errp)
{
    return GLUE_DEVICE(obj)->wants.disable_custom_mode == GLUE_TRI_ON;
}

static void set_disable_custom_mode(Object *obj, bool value, Error **errp)
{
    set_wanted(obj, "disable-custom-mode", &GLUE_DEVICE(obj)->wants.disable_custom_mode, value,
               errp);
}

static const Property glue_properties[] = {
    DEFINE_PROP_STRING("socket", GlueDevice, socket_path),
    DEFINE_PROP_STRING("jsonfile", GlueDevice, store_path),
    DEFINE_PROP_STRING("pcapfile", GlueDevice, pcap_path),
    DEFINE_PROP_SIZE("size", GlueDevice, wants.size_bytes, 0),
    DEFINE_PROP_BOOL("use-pio", GlueDevice, use_pio, false),
};

static void base_class_init(ObjectClass *klass, GlueClassData *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->desc = "UEFI variables, kept by an uefivarsd engine";
    dc->realize = base_realize;
    dc->unrealize = base_unrealize;
    dc->vmsd = &glue_vmstate;
    dc->user_creatable = true;
    RESETTABLE_CLASS(klass)->phases.hold = base_reset;
    device_class_set_props(dc, glue_properties);
    /* Not qdev properties: unset, true and false are three things. */
    object_class_property_add_bool(klass, "force-secure-boot", get_force_secure_boot,
                                   set_force_secure_boot);
    object_class_property_add_bool(klass, "disable-custom-mode", get_disable_custom_mode,
                                   set_disable_custom_mode);
    object_class_property_set_description(klass, "socket", "the engine's guest socket");
    object_class_property_set_description(klass, "size", "refuse an engine with another --size");
    object_class_property_set_description(klass, "use-pio",
                                          "firmware passes messages by a register, not by DMA");
    object_class_property_set_description(klass, "force-secure-boot",
                                          "refuse an engine that does otherwise");
    object_class_property_set_description(klass, "disable-custom-mode",
                                          "refuse an engine that does otherwise");
    object_class_property_set_description(klass, "jsonfile",
                                          "the store; its engine is found by it");
    object_class_property_set_description(klass, "pcapfile", "messages are recorded there");
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo base_info = {
    .name = TYPE_UEFI_VARS_SYSBUS,
    .parent = TYPE_SYS_BUS_DEVICE,
    .instance_size = sizeof(GlueDevice),
    .instance_init = base_instance_init,
    .instance_finalize = base_instance_finalize,
    .class_init = base_class_init,
};

static void register_types(void)
{
    if (glue_is_asked_for)
        type_register_static(&base_info);
}

type_init(register_types)
