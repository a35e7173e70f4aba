/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The choices that were resolved, each kept with the identities of what it was resolved from: the
 * descriptor set, config.json, the pin and the store. They are compared at most once in LOOK_US for
 * a guest, so that what one `ls -l` asks is answered from one look; fs_firmware_refresh() makes the
 * next question look again.
 */

#include "config-file.h"
#include "firmware-private.h"

#include "beneath.h"
#include "fd.h"
#include "sidecars.h"

#include <fcntl.h>
#include <string.h>

#define LOOK_US (1000 * 1000)
/* More guests than anybody lists at a time; then all are forgotten. */
#define KEPT_MAX 256

static FsIdentity identity_of(const struct stat *st)
{
    return (FsIdentity){st->st_dev, st->st_ino, (uint64_t)st->st_size,
                        (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
                        (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec};
}

static FsIdentity identity_at(int folder, const char *name)
{
    struct stat st;

    return folder >= 0 && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? identity_of(&st)
                                                                               : (FsIdentity){0};
}

/* What the guest has now, in as few system calls as that takes. */
static FsBasis look(const FsGuest *guest)
{
    FsBasis basis = {0};
    g_autofree char *store = NULL, *pin = NULL;
    uv_autofd int folder = fs_guest_open_folder(guest, &store), sidecars = -1;
    struct stat st;

    if (!fs_fleet_is_file(fs_guest_fleet(guest)) &&
        fs_config_stat(fs_guest_fleet(guest), guest, &st))
        basis.config = identity_of(&st);
    basis.store = identity_at(folder, store);
    if (!basis.store.inode)
        return basis;
    sidecars = uv_sidecars_open(folder, store);
    pin = uv_sidecar_name(store, "pin");
    basis.pin = identity_at(sidecars, pin);
    return basis;
}

/* Unknown where there is none, or it is no regular file. */
static DescImage look_at_store(const FsGuest *guest)
{
    g_autofree char *name = NULL;
    DescImage image = {0};
    uv_autofd int folder = -1, fd = -1;

    folder = fs_guest_open_folder(guest, &name);
    if (folder >= 0)
        fd = fs_beneath_open(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0 || !desc_image_read(fd, &image))
        image.kind = DESC_IMAGE_UNKNOWN;
    return image;
}

static void kept_free(void *data)
{
    FsKept *kept = data;

    g_free(kept->store_path);
    desc_choice_free(kept->choice);
    g_free(kept);
}

void fs_kept_clear(FsFirmware *firmware)
{
    g_clear_pointer(&firmware->kept, g_hash_table_unref);
}

/* Resolved from what is there now, which is at least as new as `basis`. */
static FsKept *resolve(FsFirmware *firmware, const FsGuest *guest, const FsBasis *basis)
{
    FsKept *kept = g_new0(FsKept, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(DescWish) wish = fs_firmware_read_wish(guest, &error);
    g_autofree char *pin = fs_guest_read_pin(guest);
    const Desc *desc;

    kept->sequence = fs_guest_sequence(guest);
    kept->basis = *basis;
    if (basis->store.inode)
        kept->store = look_at_store(guest);
    kept->choice = wish ? desc_resolve(firmware->set, wish, pin, &kept->store)
                        : desc_choice_of_mistake(error->message);
    kept->store_path = fs_guest_store_path(guest);
    desc = desc_choice_desc(kept->choice);
    kept->mtime_ns = MAX(basis->config.mtime_ns, desc ? desc_mtime_ns(desc) : 0);
    return kept;
}

static FsKept *put(FsFirmware *firmware, FsKept *kept /* takes ownership */)
{
    if (firmware->kept && g_hash_table_size(firmware->kept) >= KEPT_MAX)
        fs_kept_clear(firmware);
    if (!firmware->kept)
        firmware->kept = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, kept_free);
    g_hash_table_replace(firmware->kept, &kept->sequence, kept);
    return kept;
}

static FsKept *find(const FsFirmware *firmware, const FsGuest *guest)
{
    const uint64_t sequence = fs_guest_sequence(guest);

    return firmware->kept ? g_hash_table_lookup(firmware->kept, &sequence) : NULL;
}

const FsKept *fs_firmware_choice(FsFirmware *firmware, const FsGuest *guest)
{
    const int64_t now = g_get_monotonic_time();
    FsKept *kept;
    FsBasis basis;

    fs_firmware_descriptors(firmware); /* first: a new set forgets all */
    kept = find(firmware, guest);
    if (kept && now - kept->looked_at < LOOK_US)
        return kept;
    basis = look(guest);
    if (!kept || memcmp(&kept->basis, &basis, sizeof(basis)) != 0)
        kept = put(firmware, resolve(firmware, guest, &basis));
    kept->looked_at = now;
    return kept;
}

int64_t fs_firmware_mtime_ns(FsFirmware *firmware, const FsGuest *guest)
{
    const FsKept *kept = find(firmware, guest);

    return (kept ? kept : fs_firmware_choice(firmware, guest))->mtime_ns;
}

void fs_firmware_refresh(FsFirmware *firmware, const FsGuest *guest)
{
    FsKept *kept = guest ? find(firmware, guest) : NULL;

    firmware->looked_at = 0;
    if (kept)
        kept->looked_at = 0;
}
