/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A flat image with Linux' header: QEMU's -kernel enters with the device tree's address in x0. */
    .section .start, "ax"
    .globl _start
_start:
    b 1f
    .long 0
    .quad 0                /* text offset: 2 MiB aligned base */
    .quad image_end - _start
    .quad 0xa              /* anywhere, little endian, 4K pages */
    .quad 0, 0, 0
    .ascii "ARM\x64"
    .long 0
1:  adrp x1, stack_end
    add x1, x1, :lo12:stack_end
    mov sp, x1
    adrp x1, device_tree
    str x0, [x1, :lo12:device_tree]
    bl guest_main
2:  wfi
    b 2b

    .bss
    .align 12
    .skip 65536
stack_end:
