/* SPDX-License-Identifier: GPL-2.0-or-later */

/* In a build with -Dcounting=true: the first object of a module that works in a constructor.
 * Clang's library is the last one, and would begin to count behind it. Who links the objects again
 * has none. */

void __llvm_profile_initialize(void) __attribute__((weak));

static void __attribute__((constructor)) count_from_here(void)
{
    if (__llvm_profile_initialize)
        __llvm_profile_initialize();
}
