/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Multiboot 1: QEMU's -kernel enters in 32-bit protected mode with flat segments. */
    .section .start, "ax"
    .align 4
    .long 0x1badb002, 0, -0x1badb002
    .globl _start
_start:
    cli
    movl $stack_end, %esp
    call guest_main
1:  hlt
    jmp 1b

    .bss
    .align 16
    .skip 65536
stack_end:
