/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Landlock as kernels of each age have it: one that is asked for more than it knows refuses all. */

#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/landlock.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEWEST 7
#define WORDS 3

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

typedef struct {
    uint64_t words[WORDS]; /* files, network, scopes */
} Attributes;

/* What a kernel of that ABI knows: how long its attributes are, and which bits of them. */
static const struct {
    size_t size;
    Attributes known;
} kernels[NEWEST + 1] = {
    [1] = {8, {{0x1fff, 0, 0}}},  [2] = {8, {{0x3fff, 0, 0}}},  [3] = {8, {{0x7fff, 0, 0}}},
    [4] = {16, {{0x7fff, 3, 0}}}, [5] = {16, {{0xffff, 3, 0}}}, [6] = {24, {{0xffff, 3, 3}}},
    [7] = {24, {{0xffff, 3, 3}}},
};

/* The kernel of a test. */
static struct {
    int abi;          /* 0: without Landlock */
    long fails;       /* this call, with EPERM */
    uint64_t handled; /* accesses to files */
    unsigned rules;
    bool restricted;
} kernel;

static long refuse(int error)
{
    errno = error;
    return -1;
}

static long create(const Attributes *attributes, size_t size, uint32_t flags)
{
    if (kernel.abi == 0)
        return refuse(ENOSYS);
    if (flags == LANDLOCK_CREATE_RULESET_VERSION)
        return kernel.abi;
    if (size > kernels[kernel.abi].size)
        return refuse(E2BIG);
    for (size_t i = 0; i < size / sizeof(uint64_t); i++)
        if (attributes->words[i] & ~kernels[kernel.abi].known.words[i])
            return refuse(EINVAL);
    g_assert_cmphex(attributes->words[0], ==, kernels[kernel.abi].known.words[0]);
    kernel.handled = attributes->words[0];
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static long add_rule(const struct landlock_path_beneath_attr *beneath)
{
    if (beneath->allowed_access & ~kernel.handled)
        return refuse(EINVAL);
    if (!beneath->allowed_access)
        return refuse(ENOMSG);
    kernel.rules++;
    return 0;
}

long __wrap_syscall(long number, ...)
{
    va_list list;
    long words[6];

    va_start(list, number);
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        words[i] = va_arg(list, long);
    va_end(list);
    if (number == kernel.fails && !(number == SYS_landlock_create_ruleset && words[2]))
        return refuse(EPERM);
    switch (number) {
    case SYS_landlock_create_ruleset:
        return create((const Attributes *)words[0], (size_t)words[1], (uint32_t)words[2]);
    case SYS_landlock_add_rule:
        return add_rule((const struct landlock_path_beneath_attr *)words[2]);
    case SYS_landlock_restrict_self:
        kernel.restricted = true;
        return 0;
    default:
        return __real_syscall(number, words[0], words[1], words[2], words[3], words[4], words[5]);
    }
}

static const UvLandlockRule rules[] = {
    {0, UV_LANDLOCK_FOLDER}, {0, UV_LANDLOCK_RUN},   {0, UV_LANDLOCK_BROWSE},
    {0, UV_LANDLOCK_READ},   {0, UV_LANDLOCK_WRITE},
};

static int confine(int abi, long fails)
{
    kernel = (typeof(kernel)){.abi = abi, .fails = fails};
    return uv_landlock_confine(rules, G_N_ELEMENTS(rules));
}

static void test_ages(void)
{
    for (int abi = 1; abi <= NEWEST; abi++) {
        g_test_message("ABI %d", abi);
        g_assert_cmpint(confine(abi, -1), ==, 0);
        g_assert_cmpuint(kernel.rules, ==, G_N_ELEMENTS(rules));
        g_assert_true(kernel.restricted);
    }
    g_assert_cmpint(confine(0, -1), ==, ENOSYS);
    g_assert_cmpint(uv_landlock_abi(), ==, 0);
    g_assert_false(kernel.restricted);
}

/* What is not allowed is no confinement either. */
static void test_refused(void)
{
    g_assert_cmpint(confine(NEWEST, SYS_landlock_create_ruleset), ==, EPERM);
    g_assert_false(kernel.restricted);
    g_assert_cmpint(confine(NEWEST, SYS_landlock_add_rule), ==, EPERM);
    g_assert_false(kernel.restricted);
    g_assert_cmpint(confine(NEWEST, SYS_landlock_restrict_self), ==, EPERM);
    g_assert_false(kernel.restricted);
}

/* A program that is started has what programs need, and no descriptor more than before. */
static void test_program(void)
{
    const int before = dup(0);

    close(before);
    kernel = (typeof(kernel)){.abi = NEWEST, .fails = -1};
    g_assert_cmpint(uv_landlock_confine_program(rules, 2), ==, 0);
    g_assert_cmpuint(kernel.rules, >, 4);
    g_assert_true(kernel.restricted);
    const int after = dup(0);
    close(after);
    g_assert_cmpint(after, ==, before);
    kernel = (typeof(kernel)){.abi = 0, .fails = -1};
    g_assert_cmpint(uv_landlock_confine_program(rules, 2), ==, ENOSYS);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/landlock/ages", test_ages);
    g_test_add_func("/landlock/refused", test_refused);
    g_test_add_func("/landlock/program", test_program);
    return g_test_run();
}
