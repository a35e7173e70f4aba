/* SPDX-License-Identifier: GPL-2.0-or-later */

/* without CALL PROGRAM ARGUMENT...: runs the program as on a kernel that has no such system call.
 */

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: without CALL PROGRAM ARGUMENT...\n");
        return 2;
    }
    const struct scmp_arg_cmp set_seccomp = {
        .arg = 0, .op = SCMP_CMP_EQ, .datum_a = PR_SET_SECCOMP};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    const int call = seccomp_syscall_resolve_name(argv[1]);
    if (!filter || call == __NR_SCMP_ERROR ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), call, 0) != 0 ||
        (call == SCMP_SYS(seccomp) && /* the older way to the same */
         seccomp_rule_add_array(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1, &set_seccomp) !=
             0) ||
        seccomp_load(filter) != 0) {
        fprintf(stderr, "without: no filter for %s\n", argv[1]);
        return 2;
    }
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 2;
}
