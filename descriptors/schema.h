/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The words of QEMU's docs/interop/firmware.json (as of QEMU 11) and nothing else. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    DESC_DEVICE_FLASH,
    DESC_DEVICE_IGVM,
    DESC_DEVICE_KERNEL,
    DESC_DEVICE_MEMORY,
} DescDevice;

typedef enum {
    DESC_MODE_SPLIT,
    DESC_MODE_COMBINED,
    DESC_MODE_STATELESS,
} DescMode;

typedef enum {
    DESC_FORMAT_RAW,
    DESC_FORMAT_QCOW2,
} DescFormat;

/* Bits of a feature set. */
typedef enum {
    DESC_FEATURE_ACPI_S3 = 1 << 0,
    DESC_FEATURE_ACPI_S4 = 1 << 1,
    DESC_FEATURE_AMD_SEV = 1 << 2,
    DESC_FEATURE_AMD_SEV_ES = 1 << 3,
    DESC_FEATURE_AMD_SEV_SNP = 1 << 4,
    DESC_FEATURE_ENROLLED_KEYS = 1 << 5,
    DESC_FEATURE_HOST_UEFI_VARS = 1 << 6,
    DESC_FEATURE_INTEL_TDX = 1 << 7,
    DESC_FEATURE_REQUIRES_SMM = 1 << 8,
    DESC_FEATURE_SECURE_BOOT = 1 << 9,
    DESC_FEATURE_VERBOSE_DYNAMIC = 1 << 10,
    DESC_FEATURE_VERBOSE_STATIC = 1 << 11,
    DESC_FEATURE_ARM_RME = 1 << 12,
} DescFeature;
#define DESC_N_FEATURES 13u

/* Index of `word` in a NULL-terminated table, or -1. */
int desc_word_index(const char *const *table, const char *word);

extern const char *const desc_interfaces[];    /* bios, openfirmware, svsm, ... */
extern const char *const desc_architectures[]; /* QEMU's SysEmuTarget */
extern const char *const desc_devices[];       /* by DescDevice */
extern const char *const desc_modes[];         /* by DescMode */
extern const char *const desc_formats[];       /* by DescFormat */
extern const char *const desc_features[];      /* by bit number of DescFeature */
