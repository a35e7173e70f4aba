/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What somebody put beside a store, of that very store: an input is the parts behind the head,
 * which is right. All of it is taken, or nothing.
 */

#include "fuzz.h"

#include "fake-source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t head[8 + 2 + 2 * sizeof(FsIdentity)] = {'u', 'v', 'e', 'x',
                                                                 'p', 'r', 't', 3};
    FsFleet *fleet = fake_fleet();
    FsGuest *guest = fs_fleet_next(fleet, 0);
    FsLive *live = guest_live(guest);
    g_auto(UvWriter) out = uv_writer(sizeof(head) + size);

    uv_write_bytes(&out, head, sizeof(head));
    uv_write_bytes(&out, data, size);
    live->texts[FS_TEXT_HINT].bytes = uv_writer_steal(&out);
    guest_recall(guest);
    fake_check_replica(live->replica);
    CHECK(live->named || fs_replica_count(live->replica) == 0);
    GBytes *status = fs_guest_known_status(guest);
    CHECK(!status || g_bytes_get_size(status) > 0);

    fs_replica_clear(live->replica);
    replica_warm(guest);
    guest_views_clear(guest);
    live->named = false;
    g_clear_pointer(&live->status, g_bytes_unref);
    live->export_bytes = 0;
    fleet_dispatch(fleet);
    return 0;
}
