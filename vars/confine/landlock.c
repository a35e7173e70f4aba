/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "landlock.h"

#include "fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What <linux/landlock.h> of ABI 1 lacks. */
#define FS_REFER (1ULL << 13)     /* ABI 2 */
#define FS_TRUNCATE (1ULL << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define NET_ALL 3ULL              /* ABI 4: bind and connect, TCP */
#define SCOPE_ALL 3ULL            /* ABI 6: abstract unix sockets, signals */

#define FS_ABI_1 ((1ULL << 13) - 1)

struct ruleset_attributes {
    uint64_t access_fs;
    uint64_t access_net;
    uint64_t scoped;
};

int uv_landlock_abi(void)
{
    const long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi > 0 ? (int)abi : 0;
}

static struct ruleset_attributes attributes_for(int abi)
{
    struct ruleset_attributes attributes = {.access_fs = FS_ABI_1};

    if (abi >= 2)
        attributes.access_fs |= FS_REFER;
    if (abi >= 3)
        attributes.access_fs |= FS_TRUNCATE;
    if (abi >= 4)
        attributes.access_net = NET_ALL;
    if (abi >= 5)
        attributes.access_fs |= FS_IOCTL_DEV;
    if (abi >= 6)
        attributes.scoped = SCOPE_ALL;
    return attributes;
}

static size_t attributes_size(int abi)
{
    if (abi >= 6)
        return sizeof(struct ruleset_attributes);
    if (abi >= 4)
        return offsetof(struct ruleset_attributes, scoped);
    return offsetof(struct ruleset_attributes, access_net);
}

/* Of a file only what a file can have: the kernel refuses the rest. */
static uint64_t wanted(UvLandlockAccess access)
{
    switch (access) {
    case UV_LANDLOCK_FOLDER:
        return LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
               LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
               LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
               LANDLOCK_ACCESS_FS_REMOVE_DIR | FS_REFER | FS_TRUNCATE;
    case UV_LANDLOCK_RUN:
        return LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
               LANDLOCK_ACCESS_FS_EXECUTE;
    case UV_LANDLOCK_BROWSE:
        return LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    case UV_LANDLOCK_READ:
        return LANDLOCK_ACCESS_FS_READ_FILE;
    case UV_LANDLOCK_WRITE:
        return LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE |
               FS_IOCTL_DEV;
    }
    return 0;
}

static int allow(int ruleset, const UvLandlockRule *rule, uint64_t handled)
{
    struct landlock_path_beneath_attr beneath = {
        .allowed_access = wanted(rule->access) & handled,
        .parent_fd = rule->fd,
    };

    return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0
               ? 0
               : errno;
}

int uv_landlock_confine(const UvLandlockRule *rules, size_t n_rules)
{
    const int abi = uv_landlock_abi();
    if (abi == 0)
        return ENOSYS;

    const struct ruleset_attributes attributes = attributes_for(abi);
    uv_autofd int ruleset =
        (int)syscall(SYS_landlock_create_ruleset, &attributes, attributes_size(abi), 0);
    if (ruleset < 0)
        return errno;
    int failed = 0;
    for (size_t i = 0; i < n_rules && !failed; i++)
        failed = allow(ruleset, &rules[i], attributes.access_fs);
    if (!failed && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        failed = errno;
    return failed;
}

int uv_landlock_confine_program(const UvLandlockRule *rules, size_t n_rules)
{
    static const struct {
        const char *path;
        UvLandlockAccess access;
    } needed[] = {
        {"/usr", UV_LANDLOCK_RUN},
        {"/bin", UV_LANDLOCK_RUN},
        {"/lib", UV_LANDLOCK_RUN},
        {"/lib64", UV_LANDLOCK_RUN},
        {"/etc/ld.so.cache", UV_LANDLOCK_READ},
        {"/dev/urandom", UV_LANDLOCK_READ},
        {"/dev/null", UV_LANDLOCK_WRITE},
    };
    UvLandlockRule all[UV_LANDLOCK_OWN_RULES + sizeof(needed) / sizeof(*needed)];
    size_t n = 0;

    for (; n < n_rules && n < UV_LANDLOCK_OWN_RULES; n++)
        all[n] = rules[n];
    for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
        const int fd = open(needed[i].path, O_PATH | O_CLOEXEC);
        if (fd >= 0) /* not every system has each of them */
            all[n++] = (UvLandlockRule){fd, needed[i].access};
    }
    const int failed = uv_landlock_confine(all, n);
    while (n-- > n_rules)
        uv_fd_clear(&all[n].fd);
    return failed;
}
