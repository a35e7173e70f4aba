/* SPDX-License-Identifier: GPL-2.0-or-later */

/* An object with a stamp, as QEMU's modules have one. */

void qemu_stamp_aaaa(void);
void stamped_other(void);

void qemu_stamp_aaaa(void)
{
}

void stamped_other(void)
{
}
