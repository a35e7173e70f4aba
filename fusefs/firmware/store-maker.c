/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "store-maker.h"

#include "firmware-private.h"

#include "sidecars.h"

#include <errno.h>
#include <gio/gio.h>
#include <unistd.h>

typedef struct {
    FsFirmware *firmware;
    DescInstantiation *what;
    FsFleet *fleet;
    char *guest_name;
    uint64_t guest_sequence;
    char *store_name;
    int folder_fd;
    uid_t uid;
    gid_t gid;
    FsContinue go_on;
    void *data;
} Making;

int fs_error_number(const GError *error)
{
    static const struct {
        GFileError code;
        int number;
    } numbers[] = {
        {G_FILE_ERROR_EXIST, EEXIST}, {G_FILE_ERROR_NOENT, ENOENT}, {G_FILE_ERROR_PERM, EPERM},
        {G_FILE_ERROR_ACCES, EACCES}, {G_FILE_ERROR_NOSPC, ENOSPC}, {G_FILE_ERROR_ROFS, EROFS},
        {G_FILE_ERROR_INVAL, EINVAL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        if (g_error_matches(error, G_FILE_ERROR, numbers[i].code))
            return numbers[i].number;
    }
    return EIO;
}

static void making_free(void *data)
{
    Making *making = data;

    desc_instantiation_free(making->what);
    close(making->folder_fd);
    g_free(making->store_name);
    g_free(making->guest_name);
    g_free(making);
}

static void making_run(GTask *task, void *source, void *data, GCancellable *cancellable)
{
    const Making *making = data;
    GError *error = NULL;
    int sidecars =
        uv_sidecars_make(making->folder_fd, making->store_name, making->uid, making->gid);
    bool made = false;

    if (sidecars < 0)
        g_set_error(&error, G_FILE_ERROR, g_file_error_from_errno(-sidecars),
                    "can't make the folder of %s's sidecars: %s", making->store_name,
                    g_strerror(-sidecars));
    else
        made = desc_instantiation_run(making->what, making->folder_fd, sidecars, making->store_name,
                                      making->uid, making->gid, &error);
    if (sidecars >= 0)
        close(sidecars);
    if (made)
        g_task_return_boolean(task, TRUE);
    else
        g_task_return_error(task, error);
}

static void making_done(GObject *source, GAsyncResult *result, void *data)
{
    const Making *making = g_task_get_task_data(G_TASK(result));
    FsGuest *guest = fs_fleet_find(making->fleet, making->guest_name, making->guest_sequence);
    g_autoptr(GError) error = NULL;
    bool made = g_task_propagate_boolean(G_TASK(result), &error);

    fs_firmware_refresh(making->firmware, guest);
    if (guest)
        fs_guest_set_warning(guest, "firmware", made ? NULL : error->message);
    if (guest && !making->go_on)
        fs_guest_prepared(guest, error);
    if (guest && made && making->go_on)
        fs_guest_store_changed(guest);
    if (making->go_on)
        making->go_on(guest, !guest ? ENOENT : made ? 0 : fs_error_number(error), making->data);
}

/* In a guest's own folder the store's name says what it is; elsewhere the guest's name decided it.
 */
static char *store_name(const DescInstantiation *what, const char *place)
{
    if (g_str_equal(place, "vars.json") || g_str_equal(place, "vars.fd"))
        return g_strdup(desc_instantiation_is_json(what) ? "vars.json" : "vars.fd");
    return g_strdup(place);
}

bool fs_making_start(FsFirmware *firmware, FsGuest *guest, DescInstantiation *what,
                     FsContinue go_on, void *data, GError **error)
{
    g_autofree char *place = NULL;
    g_autoptr(GTask) task = NULL;
    int folder_fd = fs_guest_open_folder(guest, &place);
    Making *making;

    if (folder_fd < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(-folder_fd),
                    "the folder of guest %s: %s", fs_guest_name(guest), g_strerror(-folder_fd));
        desc_instantiation_free(what);
        return false;
    }
    making = g_new0(Making, 1);
    making->firmware = firmware;
    making->what = what;
    making->fleet = fs_guest_fleet(guest);
    making->guest_name = g_strdup(fs_guest_name(guest));
    making->guest_sequence = fs_guest_sequence(guest);
    making->store_name = store_name(what, place);
    making->folder_fd = folder_fd;
    fs_guest_owner(guest, &making->uid, &making->gid);
    making->go_on = go_on;
    making->data = data;
    task = g_task_new(NULL, NULL, making_done, NULL);
    g_task_set_task_data(task, making, making_free);
    g_task_run_in_thread(task, making_run);
    return true;
}
