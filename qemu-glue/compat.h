/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What differs between QEMU 10.0 and 11: headers that moved, class_init's data, const since 10.1,
 * and how a device's state says why it failed (migrate.c). Include after qemu/osdep.h.
 */

#define GLUE_QEMU_AT_LEAST(major, minor)                                                           \
    (QEMU_VERSION_MAJOR > (major) ||                                                               \
     (QEMU_VERSION_MAJOR == (major) && QEMU_VERSION_MINOR >= (minor)))

#if !GLUE_QEMU_AT_LEAST(10, 0)
#error "the uefi-vars device exists since QEMU 10.0"
#endif

#if __has_include("hw/core/sysbus.h")
#include "hw/core/qdev-properties.h"
#include "hw/core/sysbus.h"
#else
#include "hw/qdev-properties.h"
#include "hw/sysbus.h"
#endif

#if __has_include("system/address-spaces.h")
#include "system/address-spaces.h"
#include "system/memory.h"
#else
#include "exec/address-spaces.h"
#include "exec/memory.h"
#endif

#if GLUE_QEMU_AT_LEAST(10, 1)
typedef const void GlueClassData;
#else
typedef void GlueClassData;
#endif
