/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Renaming. A module that was built for another QEMU can still be of use there: it can load that
 * QEMU's own module, if QEMU does not drop it before. The name of a function is a text in the
 * object's string table, found by its hash table (of the System V kind: the linker is told to make
 * that one only). Both are changed where they lie in memory, which no other process shares.
 */
#include "stamp.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PREFIX "qemu_stamp_"

/* The whole name in one part of the program, or NULL. */
static const char *find_name(const char *start, size_t bytes)
{
    const char *end = start + bytes;
    const char *at;

    while ((at = memmem(start, end - start, PREFIX, strlen(PREFIX)))) {
        start = at + strlen(PREFIX);
        if (start < end && memchr(start, 0, end - start) && strspn(start, "0123456789abcdef") > 0)
            return at;
    }
    return NULL;
}

/* The first object is the program itself. */
static int look_at_program(struct dl_phdr_info *info, size_t size, void *data)
{
    const char **name = data;

    for (int i = 0; i < info->dlpi_phnum && !*name; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        if (header->p_type == PT_LOAD && header->p_flags == PF_R)
            *name = find_name((const char *)(info->dlpi_addr + header->p_vaddr), header->p_filesz);
    }
    return 1;
}

const char *glue_stamp_wanted(void)
{
    const char *name = NULL;

    dl_iterate_phdr(look_at_program, &name);
    return name;
}

typedef struct {
    char *strings;
    const ElfW(Sym) * symbols;
    uint32_t *hash; /* number of buckets, number of symbols, buckets, chain */
} Tables;

/* Some C libraries have relocated these addresses in place, others not. */
static void *address(const struct link_map *map, ElfW(Addr) pointer)
{
    return (void *)(pointer < map->l_addr ? map->l_addr + pointer : pointer);
}

static bool find_tables(const struct link_map *map, Tables *ret_tables)
{
    Tables tables = {0};

    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_STRTAB)
            tables.strings = address(map, entry->d_un.d_ptr);
        else if (entry->d_tag == DT_SYMTAB)
            tables.symbols = address(map, entry->d_un.d_ptr);
        else if (entry->d_tag == DT_HASH)
            tables.hash = address(map, entry->d_un.d_ptr);
        else if (entry->d_tag == DT_GNU_HASH)
            return false;
    }
    *ret_tables = tables;
    return tables.strings && tables.symbols && tables.hash && tables.hash[0] > 0;
}

/* As the ELF specification has it. */
static uint32_t hash_of(const char *name)
{
    uint32_t hash = 0;

    for (; *name; name++) {
        hash = (hash << 4) + (unsigned char)*name;
        hash ^= (hash & 0xf0000000u) >> 24;
        hash &= 0x0fffffffu;
    }
    return hash;
}

static bool protect(const void *start, size_t bytes, int protection)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = (uintptr_t)start / page * page;

    return mprotect((void *)first, (uintptr_t)start + bytes - first, protection) == 0;
}

/* Out of the list that it is in, whichever that is, and to the front of another. */
static void move_symbol(uint32_t *hash, uint32_t symbol, uint32_t to)
{
    uint32_t *buckets = hash + 2, *chain = buckets + hash[0];

    for (uint32_t i = 0; i < hash[0] + hash[1]; i++)
        if (buckets[i] == symbol)
            buckets[i] = chain[symbol];
    chain[symbol] = buckets[to % hash[0]];
    buckets[to % hash[0]] = symbol;
}

static bool rename_in(const Tables *tables, const char *from, const char *to)
{
    const size_t hash_bytes = (2 + (size_t)tables->hash[0] + tables->hash[1]) * sizeof(uint32_t);
    char *name = NULL;
    uint32_t symbol;

    for (symbol = 1; symbol < tables->hash[1] && !name; symbol++)
        if (strcmp(tables->strings + tables->symbols[symbol].st_name, from) == 0)
            name = tables->strings + tables->symbols[symbol].st_name;
    if (!name || !protect(name, strlen(from), PROT_READ | PROT_WRITE) ||
        !protect(tables->hash, hash_bytes, PROT_READ | PROT_WRITE))
        return false;
    move_symbol(tables->hash, symbol - 1, hash_of(to));
    memcpy(name, to, strlen(from));
    protect(name, strlen(from), PROT_READ);
    protect(tables->hash, hash_bytes, PROT_READ);
    return true;
}

bool glue_stamp_rename(const void *inside, const char *from, const char *to)
{
    struct link_map *map;
    Tables tables;
    Dl_info info;
    bool found;

    if (strlen(from) != strlen(to) || !dladdr1(inside, &info, (void **)&map, RTLD_DL_LINKMAP) ||
        !find_tables(map, &tables) || !rename_in(&tables, from, to))
        return false;
    void *self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    found = self && dlsym(self, to);
    if (self)
        dlclose(self);
    return found;
}
