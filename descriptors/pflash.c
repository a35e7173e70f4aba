/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Where QEMU's x86 machines map the flash chips (pc_system_flash_map): unit 0 ends at 4 GiB, each
 * further one ends where the one before begins; sectors of 4 KiB.
 */

#include "desc.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR_BYTES 4096u
#define FLASH_TOP (UINT64_C(1) << 32)

/* Of the disk that the guest sees: a qcow2 header's size field (big endian, offset 24), else the
 * file's. */
static bool virtual_size(const char *path, uint64_t *ret_size)
{
    uint8_t header[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ssize_t got;

    if (fd < 0)
        return false;
    got = pread(fd, header, sizeof(header), 0);
    if (fstat(fd, &st) < 0)
        got = -1;
    close(fd);
    if (got < 0)
        return false;
    *ret_size = (uint64_t)st.st_size;
    if (got == sizeof(header) && memcmp(header, "QFI\xfb", 4) == 0) {
        memcpy(ret_size, header + 24, sizeof(*ret_size));
        *ret_size = GUINT64_FROM_BE(*ret_size);
    }
    return true;
}

/* Appends a unit below `*top` and moves it; false if the file can't be mapped there. */
static bool add_unit(GString *text, unsigned unit, const char *path, const char *stand_in,
                     uint64_t *top)
{
    uint64_t size;

    if (!virtual_size(path, &size) && !(stand_in && virtual_size(stand_in, &size)))
        return false;
    if (size == 0 || size % SECTOR_BYTES || size > *top)
        return false;
    *top -= size;
    g_string_append_printf(text,
                           "unit=%u num-blocks=%" G_GUINT64_FORMAT
                           " sector-length=%u phys-addr=0x%" G_GINT64_MODIFIER "x file=%s\n",
                           unit, size / SECTOR_BYTES, SECTOR_BYTES, *top, path);
    return true;
}

char *desc_pflash(const DescChoice *choice, const DescPlace *place)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const Desc *desc = choice->desc;
    bool combined = desc->mode == DESC_MODE_COMBINED;
    uint64_t top = FLASH_TOP;

    if (desc->device != DESC_DEVICE_FLASH || !desc_is_x86(choice))
        return NULL;
    if (!add_unit(text, 0, combined ? desc_place_store(place) : desc->executable.filename,
                  desc->executable.filename, &top))
        return NULL;
    if (desc->mode == DESC_MODE_SPLIT &&
        !add_unit(text, 1, desc_place_store(place), desc_choice_template(choice), &top))
        return NULL;
    return g_string_free(g_steal_pointer(&text), FALSE);
}
