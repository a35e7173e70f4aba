/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * seccomp-compile ARCHITECTURE OUTPUT: makes BPF programs, as C, of the lists in seccomp-list.c.
 * Runs when the project is built. ARCHITECTURE is a name that libseccomp knows, or "native".
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "seccomp-list.h"

#define INSTRUCTIONS_MAX 4096

static void die(const char *what)
{
    fprintf(stderr, "seccomp-compile: %s\n", what);
    exit(1);
}

static int allow_fcntl(scmp_filter_ctx filter, int number, const UvFcntlCommand *commands)
{
    int result = 0;

    for (const UvFcntlCommand *c = commands; c->name && result == 0; c++)
        result = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, c->command));
    return result;
}

/* libseccomp takes this machine's numbers, for filters of other machines, too; what one does not
 * have is skipped. A process is no thread: its clone fails; clone3's arguments can't be seen, so it
 * is not there, and the library uses clone. */
static int allow(scmp_filter_ctx filter, const char *name, const UvFcntlCommand *commands)
{
    const int number = seccomp_syscall_resolve_name(name);

    if (number == __NR_SCMP_ERROR)
        return 0;
    if (strcmp(name, "fcntl") == 0)
        return allow_fcntl(filter, number, commands);
    if (strcmp(name, "clone") == 0)
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
                                SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (strcmp(name, "clone3") == 0)
        return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0);
    if (strcmp(name, "fchmod") == 0)
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
                                SCMP_A1(SCMP_CMP_MASKED_EQ, (uint32_t)~UV_SECCOMP_MODE_MASK, 0));
    if (strcmp(name, "mmap") == 0 || strcmp(name, "mprotect") == 0)
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
                                SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

static scmp_filter_ctx new_filter(uint32_t architecture, uint32_t otherwise)
{
    scmp_filter_ctx filter = seccomp_init(otherwise);

    if (!filter)
        die("no filter");
    if (architecture != seccomp_arch_native() &&
        (seccomp_arch_add(filter, architecture) != 0 ||
         seccomp_arch_remove(filter, SCMP_ARCH_NATIVE) != 0))
        die("no filter for this architecture");
    /* A tree of comparisons: the kernel tries each number there is when the program is loaded. */
    if (seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) != 0)
        die("no filter that is a tree");
    return filter;
}

static scmp_filter_ctx make_allowing(uint32_t architecture, const char *const *allowed,
                                     const UvFcntlCommand *commands)
{
    scmp_filter_ctx filter = new_filter(architecture, SCMP_ACT_ERRNO(EPERM));

    for (size_t i = 0; allowed[i]; i++) {
        if (allow(filter, allowed[i], commands) != 0)
            die(allowed[i]);
    }
    return filter;
}

static scmp_filter_ctx make_denying(uint32_t architecture, const char *const *denied)
{
    static const uint32_t commands[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG, F_NOTIFY};
    scmp_filter_ctx filter = new_filter(architecture, SCMP_ACT_ALLOW);

    for (size_t i = 0; denied[i]; i++) {
        const int number = seccomp_syscall_resolve_name(denied[i]);
        if (number != __NR_SCMP_ERROR &&
            seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0) != 0)
            die(denied[i]);
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(fcntl), 1,
                             SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, commands[i])) != 0)
            die("fcntl");
    }
    return filter;
}

/* libseccomp writes to descriptors only. */
static size_t export(scmp_filter_ctx filter, struct sock_filter *program)
{
    FILE *scratch = tmpfile();
    ssize_t n = -1;

    if (scratch && seccomp_export_bpf(filter, fileno(scratch)) == 0)
        n = pread(fileno(scratch), program, INSTRUCTIONS_MAX * sizeof(*program), 0);
    if (n <= 0 || n == (ssize_t)(INSTRUCTIONS_MAX * sizeof(*program)))
        die("the filter can't be written, or is too long");
    fclose(scratch);
    return n / sizeof(*program);
}

static void write_program(FILE *out, const char *role, scmp_filter_ctx filter)
{
    static struct sock_filter program[INSTRUCTIONS_MAX];
    const size_t n = export(filter, program);

    fprintf(out, "static const struct sock_filter %s_code[] = {\n", role);
    for (size_t i = 0; i < n; i++)
        fprintf(out, "    {0x%x, %u, %u, 0x%x},\n", program[i].code, program[i].jt, program[i].jf,
                program[i].k);
    fprintf(out, "};\nconst UvSeccompProgram uv_seccomp_%s_program = {%s_code, %zu};\n\n", role,
            role, n);
    seccomp_release(filter);
}

int main(int argc, char **argv)
{
    const bool native = argc == 3 && strcmp(argv[1], "native") == 0;
    const uint32_t architecture = native      ? seccomp_arch_native()
                                  : argc == 3 ? seccomp_arch_resolve_name(argv[1])
                                              : 0;
    FILE *out = architecture ? fopen(argv[2], "w") : NULL;

    if (!out)
        die("usage: seccomp-compile ARCHITECTURE|native OUTPUT");
    fprintf(out, "/* Made by seccomp-compile. */\n#include \"seccomp-load.h\"\n\n");
    write_program(out, "engine", make_allowing(architecture, uv_seccomp_engine, uv_seccomp_fcntl));
    write_program(out, "keeper", make_allowing(architecture, uv_seccomp_keeper, uv_seccomp_fcntl));
    write_program(out, "front",
                  make_allowing(architecture, uv_seccomp_front, uv_seccomp_fcntl_front));
    write_program(out, "libvirt",
                  make_allowing(architecture, uv_seccomp_libvirt, uv_seccomp_fcntl));
    write_program(out, "qcow2", make_denying(architecture, uv_seccomp_qcow2_denied));
    write_program(out, "broker", make_denying(architecture, uv_seccomp_broker_denied));
    return fclose(out) == 0 ? 0 : 1;
}
