/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "schema.h"

const char *const desc_interfaces[] = {"bios", "openfirmware", "svsm", "uboot", "uefi", NULL};

const char *const desc_architectures[] = {
    "aarch64",    "alpha",        "arm",     "avr",    "hppa",     "i386",   "loongarch64", "m68k",
    "microblaze", "microblazeel", "mips",    "mips64", "mips64el", "mipsel", "or1k",        "ppc",
    "ppc64",      "riscv32",      "riscv64", "rx",     "s390x",    "sh4",    "sh4eb",       "sparc",
    "sparc64",    "tricore",      "x86_64",  "xtensa", "xtensaeb", NULL};

const char *const desc_devices[] = {"flash", "igvm", "kernel", "memory", NULL};

const char *const desc_modes[] = {"split", "combined", "stateless", NULL};

const char *const desc_formats[] = {"raw", "qcow2", NULL};

const char *const desc_features[] = {"acpi-s3",         "acpi-s4",
                                     "amd-sev",         "amd-sev-es",
                                     "amd-sev-snp",     "enrolled-keys",
                                     "host-uefi-vars",  "intel-tdx",
                                     "requires-smm",    "secure-boot",
                                     "verbose-dynamic", "verbose-static",
                                     "arm-rme",         NULL};

G_STATIC_ASSERT(G_N_ELEMENTS(desc_features) == DESC_N_FEATURES + 1);
G_STATIC_ASSERT(DESC_FEATURE_ARM_RME == 1 << (DESC_N_FEATURES - 1));

int desc_word_index(const char *const *table, const char *word)
{
    for (int i = 0; table[i]; i++) {
        if (g_str_equal(table[i], word))
            return i;
    }
    return -1;
}
