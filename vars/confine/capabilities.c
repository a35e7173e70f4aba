/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int uv_capabilities_bound(void)
{
    int in_set;

    /* EINVAL ends the set: the kernel knows no more. */
    for (int capability = 0; (in_set = prctl(PR_CAPBSET_READ, capability, 0, 0, 0)) >= 0;
         capability++) {
        if (in_set && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            return errno;
    }
    return 0;
}

int uv_capabilities_drop(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) == 0 ? 0 : errno;
}
