/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * To be preloaded: makes the n-th call of one function of the C library fail that a program itself
 * makes (not the libraries it uses). UV_FAIL="NAME:N:ERRNO:FILE"; FILE's first byte becomes 1 when
 * the call was reached. A forked process goes on counting where its parent was. All of these
 * functions take at most seven words, and give back one.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

typedef long (*Call)(long, long, long, long, long, long, long);

static struct {
    char name[32];
    int at, error, seen;
    char *reached; /* NULL: nothing is to fail */
    uintptr_t from, to;
} fault;

/* The first object is the program. */
static int note_program(struct dl_phdr_info *info, size_t size, void *data)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];

        if (header->p_type == PT_LOAD && header->p_flags & PF_X) {
            fault.from = info->dlpi_addr + header->p_vaddr;
            fault.to = fault.from + header->p_memsz;
        }
    }
    return 1;
}

__attribute__((constructor)) static void prepare(void)
{
    const char *text = getenv("UV_FAIL");
    char path[512];
    FILE *file;

    if (!text ||
        sscanf(text, "%31[^:]:%d:%d:%511s", fault.name, &fault.at, &fault.error, path) != 4)
        return;
    dl_iterate_phdr(note_program, NULL);
    file = fopen(path, "r+");
    if (!file)
        return;
    fault.reached = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
    fclose(file);
    if (fault.reached == MAP_FAILED)
        fault.reached = NULL;
}

/* `name` without what a 64-bit off_t makes of it. */
static bool fails(const char *name, size_t size, const void *caller, long b, long c)
{
    const uintptr_t at = (uintptr_t)caller;

    /* No kernel refuses to take back a lease that it has given. */
    if (memcmp(name, "fcntl", 5) == 0 && b == F_SETLEASE && c == F_UNLCK)
        return false;
    /* Nor to forget a descriptor that it watches. */
    if (strcmp(name, "epoll_ctl") == 0 && b == EPOLL_CTL_DEL)
        return false;
    if (!fault.reached || at < fault.from || at >= fault.to)
        return false;
    if (strlen(fault.name) != size || memcmp(fault.name, name, size) != 0)
        return false;
    if (++fault.seen != fault.at)
        return false;
    *fault.reached = 1;
    errno = fault.error;
    return true;
}

/* Under a name of our own, so that no declaration of a header is contradicted. */
#define DEFINE(symbol, name)                                                                       \
    long failing_##symbol(long a, long b, long c, long d, long e, long f,                          \
                          long g) __asm__(#symbol);                                                \
    long failing_##symbol(long a, long b, long c, long d, long e, long f, long g)                  \
    {                                                                                              \
        static Call real;                                                                          \
                                                                                                   \
        if (fails(name, sizeof(name) - 1, __builtin_return_address(0), b, c))                      \
            return -1;                                                                             \
        if (!real)                                                                                 \
            real = (Call)dlsym(RTLD_NEXT, #symbol);                                                \
        return real(a, b, c, d, e, f, g);                                                          \
    }
#define CALL(name) DEFINE(name, #name)
#define CALL_64(name) DEFINE(name, #name) DEFINE(name##64, #name)

CALL(accept4)
CALL(bind)
CALL(chmod)
CALL(connect)
CALL(dup)
CALL(dup2)
CALL(epoll_create1)
CALL(epoll_ctl)
CALL(epoll_wait)
CALL_64(fallocate)
CALL(fchmod)
CALL(fchown)
CALL(fchownat)
CALL_64(fcntl)
CALL(fdatasync)
CALL(fgetxattr)
CALL(flistxattr)
CALL(flock)
CALL(fork)
CALL_64(fstat)
CALL_64(fstatat)
CALL(fsync)
CALL_64(ftruncate)
CALL(getrandom)
CALL_64(getrlimit)
CALL(getsockopt)
CALL(listen)
CALL_64(lseek)
CALL_64(lstat)
CALL(memfd_create)
CALL(mkdirat)
CALL_64(open)
CALL_64(openat)
CALL(pipe2)
CALL(poll)
CALL(ppoll)
CALL(prctl)
CALL_64(pread)
CALL_64(pwrite)
CALL(read)
CALL(recv)
CALL(recvmsg)
CALL(rename)
CALL(renameat)
CALL(renameat2)
CALL(send)
CALL(sendmsg)
CALL(setgroups)
CALL(setresgid)
CALL(setresuid)
CALL_64(setrlimit)
CALL(setsockopt)
CALL(signalfd)
CALL(socket)
CALL(socketpair)
CALL_64(stat)
CALL(statx)
CALL(syscall)
CALL(umount2)
CALL(unlink)
CALL(unlinkat)
CALL(waitpid)
CALL(write)
CALL(writev)
