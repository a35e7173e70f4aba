/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The filters that seccomp-compile made of the lists in seccomp-list.c. */

#include <linux/filter.h>
#include <stddef.h>

typedef struct {
    const struct sock_filter *code;
    size_t n_instructions;
} UvSeccompProgram;

extern const UvSeccompProgram uv_seccomp_engine_program;
extern const UvSeccompProgram uv_seccomp_keeper_program;
extern const UvSeccompProgram uv_seccomp_front_program;
extern const UvSeccompProgram uv_seccomp_broker_program;
extern const UvSeccompProgram uv_seccomp_libvirt_program;
extern const UvSeccompProgram uv_seccomp_qcow2_program;

/* Binds this process and what it starts from now on. Needs no_new_privs. 0 or an errno. */
int uv_seccomp_load(const UvSeccompProgram *program);
