/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QEMU loads a module, looks for a symbol that its own build's modules have, and drops one without
 * it; all that its user reads then is that there is no such device. So the module looks for itself,
 * when it is loaded and before QEMU does: the symbol's name is in the program's constant data.
 */
#include "qemu/osdep.h"

#include "qemu/module.h"

#include <link.h>

#define STAMP_PREFIX "qemu_stamp_"

/* The whole name in one part of the program, or NULL. */
static const char *find_stamp(const char *start, size_t bytes)
{
    const char *end = start + bytes;
    const char *at;

    while ((at = memmem(start, end - start, STAMP_PREFIX, strlen(STAMP_PREFIX)))) {
        if (memchr(at, 0, end - at) && g_ascii_isxdigit(at[strlen(STAMP_PREFIX)]))
            return at;
        start = at + strlen(STAMP_PREFIX);
    }
    return NULL;
}

/* The first object is the program itself. */
static int look_at_program(struct dl_phdr_info *info, size_t size, void *data)
{
    const char **stamp = data;

    for (int i = 0; i < info->dlpi_phnum && !*stamp; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        if (header->p_type == PT_LOAD && header->p_flags == PF_R)
            *stamp =
                find_stamp((const char *)(info->dlpi_addr + header->p_vaddr), header->p_filesz);
    }
    return 1;
}

static void __attribute__((constructor)) check_stamp(void)
{
    const char *stamp = NULL;

    dl_iterate_phdr(look_at_program, &stamp);
    if (stamp && strcmp(stamp, DSO_STAMP_FUN_STR) != 0)
        fprintf(stderr,
                "hw-uefi-vars.so of uefivarsfs was built for another QEMU than this one, which "
                "will not "
                "take it: this one has %s, the module %s. Build it again here; see "
                "uefivars-qemu(7).\n",
                stamp, DSO_STAMP_FUN_STR);
}
