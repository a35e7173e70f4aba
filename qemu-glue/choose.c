/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hw-uefi-vars.so: decides, when QEMU loads it, which device this machine gets. Two more modules
 * lie in its folder:
 *
 *   hw-uefi-vars-engine.so   ours, for the QEMU that it was built for
 *   hw-uefi-vars-qemu.so     QEMU's own, where it was put aside for this one; else there is none
 *
 * Ours is for a device with socket=, and for one with a jsonfile= that an engine serves. QEMU's own
 * is for all others, and for a QEMU that ours does not fit: an upgrade of QEMU must not leave
 * machines that don't start. Whichever it is, loading it tells QEMU of its types; this file tells
 * it of none, and needs nothing of QEMU.
 */
#include "by-store.h"
#include "device-option.h"
#include "offer.h"
#include "stamp.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ENGINE_MODULE "hw-uefi-vars-engine.so"
#define QEMU_MODULE "hw-uefi-vars-qemu.so"

/* What QEMU looks for in a module. */
void GLUE_STAMP(void);
void qemu_module_dummy(void);

void GLUE_STAMP(void)
{
}

void qemu_module_dummy(void)
{
}

static void complain(const char *what, const char *why)
{
    fprintf(stderr, "uefivarsfs' hw-uefi-vars.so: %s: %s\n", what, why);
}

static char *beside_us(const char *file)
{
    g_autofree char *folder = NULL;
    Dl_info self;

    if (!dladdr((const void *)complain, &self))
        return NULL;
    folder = g_path_get_dirname(self.dli_fname);
    return g_build_filename(folder, file, NULL);
}

static bool is_built_for(const char *wanted)
{
    return !wanted || strcmp(wanted, GLUE_STAMP_NAME) == 0;
}

/* Whether ours is meant; `qemus` is there to be taken else. */
static bool is_ours_wanted(const GlueDeviceOption *option, bool qemus)
{
    g_autofree char *socket_path = NULL;

    if (option->socket || !qemus)
        return true;
    if (option->store)
        socket_path = glue_by_store_find(option->store);
    return socket_path != NULL;
}

static bool load_ours(const char *wanted)
{
    g_autofree char *path = beside_us(ENGINE_MODULE);
    GlueOffer offer;
    const char *differs;
    void *module;

    if (!is_built_for(wanted)) {
        g_autofree char *why = g_strdup_printf(
            "was built for another QEMU than this one: this one has %s, the module %s. Build it "
            "again here; see uefivars-qemu(7).",
            wanted, GLUE_STAMP_NAME);

        complain(ENGINE_MODULE, why);
        return false;
    }
    module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!module) {
        complain("can't load it", dlerror());
        return false;
    }
    offer = (GlueOffer)dlsym(module, GLUE_OFFER_NAME);
    differs = offer ? offer() : "it is of another version of uefivarsfs";
    if (differs)
        complain(ENGINE_MODULE " was built with headers that are not this QEMU's", differs);
    return !differs;
}

/* Not before QEMU is sure to take this module: what another one told it of would be in its way. */
static void load_qemus(const char *path, const char *wanted)
{
    if (!is_built_for(wanted) &&
        !glue_stamp_rename((const void *)complain, GLUE_STAMP_NAME, wanted)) {
        complain(path, "can't be loaded in the place of a module that was built for another QEMU");
        return;
    }
    if (!dlopen(path, RTLD_NOW | RTLD_LOCAL))
        complain("can't load QEMU's own", dlerror());
}

static void __attribute__((constructor)) choose(void)
{
    g_autofree char *line = NULL, *qemus_path = beside_us(QEMU_MODULE);
    const bool qemus = qemus_path && access(qemus_path, F_OK) == 0;
    const char *wanted = glue_stamp_wanted();
    g_auto(GlueDeviceOption) option = {0};
    gsize bytes = 0;

    if (g_file_get_contents("/proc/self/cmdline", &line, &bytes, NULL))
        option = glue_device_option_parse(line, bytes);
    if (is_ours_wanted(&option, qemus) && load_ours(wanted))
        return;
    if (qemus)
        load_qemus(qemus_path, wanted);
}
