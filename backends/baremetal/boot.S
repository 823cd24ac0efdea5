/* SPDX-License-Identifier: MIT */
/*
 * The doors: PVH (32-bit, start info in ebx), multiboot2 and multiboot1 (32-bit, magic in eax, information in ebx).
 * All come here in protected mode without paging. What is done is just enough to reach C: page tables that show the
 * first 4 GiB at 0, at IMAGE_VIRT and at DIRECT_VIRT, then long mode. paging.c builds the real tables.
 *
 * QEMU and GRUB take a multiboot1 header, when there is one, before anything else, and QEMU then wants a 32-bit ELF
 * file. So the header lies here without its magic; add_multiboot1.py makes the file that has it.
 */
#include "metal_layout.h"

#define MULTIBOOT2_MAGIC      0xe85250d6
#define MULTIBOOT2_BOOTLOADER 0x36d76289

#define MULTIBOOT1_FLAGS      3	/* modules on page boundaries, a memory map */
#define MULTIBOOT1_MAGIC      0x1badb002
#define MULTIBOOT1_BOOTLOADER 0x2badb002

#define VGA_TEXT    0xb8000
#define CR0_PG_WP   0x80010000
#define CR4_PAE     0x20
#define MSR_EFER    0xc0000080
#define EFER_LME_NXE_SCE 0x901
#define COM1        0x3f8

	.section .boot.header, "a"
	.balign 8
multiboot2_header:
	.long	MULTIBOOT2_MAGIC, 0, multiboot2_end - multiboot2_header
	.long	-(MULTIBOOT2_MAGIC + (multiboot2_end - multiboot2_header))
	.short	6, 0			/* modules on page boundaries */
	.long	8
	.short	4, 1			/* the screen may be in text mode; optional */
	.long	12, 2
	.balign	8
	.short	5, 1			/* or in any graphics mode; optional */
	.long	20, 0, 0, 0
	.balign	8
	.short	0, 0			/* end */
	.long	8
multiboot2_end:
	.globl	multiboot1_header
multiboot1_header:
	.long	0, MULTIBOOT1_FLAGS, -(MULTIBOOT1_MAGIC + MULTIBOOT1_FLAGS)

	.section .note.Xen, "a", @note
	.balign	4
	.long	4, 8, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	boot_pvh

	.section .boot.text, "ax"
	.code32
	.globl	boot_pvh, boot_multiboot
boot_pvh:
	movl	$DOOR_PVH, %ebp
	jmp	1f
boot_multiboot:
	movl	$DOOR_MULTIBOOT2, %ebp
	cmpl	$MULTIBOOT2_BOOTLOADER, %eax
	je	1f
	movl	$DOOR_MULTIBOOT1, %ebp
	cmpl	$MULTIBOOT1_BOOTLOADER, %eax
	movl	$no_loader, %esi
	jne	refuse
1:	cli
	cld
	movl	$boot_stack_top, %esp
	movl	%ebx, %edx

	/* Memory behind the image is not promised to be zero. */
	xorl	%eax, %eax
	movl	$image_bss_phys_start, %edi
	movl	$image_bss_phys_end, %ecx
	subl	%edi, %ecx
	shrl	$2, %ecx
	rep stosl
	movl	$boot_bss_start, %edi
	movl	$boot_bss_end, %ecx
	subl	%edi, %ecx
	shrl	$2, %ecx
	rep stosl
	movl	%edx, %edi
	pushl	%edi

	movl	$0x80000000, %eax
	cpuid
	movl	$no_long_mode, %esi
	cmpl	$0x80000001, %eax
	jb	refuse
	movl	$0x80000001, %eax
	cpuid
	btl	$29, %edx		/* long mode */
	jnc	refuse
	movl	$no_nx, %esi
	btl	$20, %edx
	jnc	refuse

	movl	$boot_l3 + 3, %eax
	movl	%eax, boot_l4
	movl	%eax, boot_l4 + 8 * IMAGE_SLOT
	movl	%eax, boot_l4 + 8 * DIRECT_SLOT
	movl	$boot_l2 + 3, %eax
	movl	$boot_l3, %edi
	movl	$4, %ecx
2:	movl	%eax, (%edi)
	addl	$4096, %eax
	addl	$8, %edi
	loop	2b
	movl	$0x83, %eax		/* present, writable, 2 MiB */
	movl	$boot_l2, %edi
	movl	$2048, %ecx
3:	movl	%eax, (%edi)
	addl	$0x200000, %eax
	addl	$8, %edi
	loop	3b

	movl	%cr4, %eax
	orl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$boot_l4, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME_NXE_SCE, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$CR0_PG_WP, %eax
	movl	%eax, %cr0
	popl	%edi
	movl	%ebp, %esi
	lgdt	boot_gdt_pointer
	ljmp	$8, $boot_long

	/* esi: a line for whoever has a serial port, or a screen in text mode. */
refuse:
	movl	$VGA_TEXT, %edi
6:	lodsb
	testb	%al, %al
	jz	5f
	movb	%al, %bl
	movb	$0x07, %ah
	stosw
	movw	$COM1 + 5, %dx
	movl	$100000, %ecx
4:	inb	%dx, %al
	testb	$0x20, %al
	loopz	4b
	movw	$COM1, %dx
	movb	%bl, %al
	outb	%al, %dx
	jmp	6b
5:	cli
	hlt
	jmp	5b

	/*
	 * Another processor starts here, in real mode at a copy of these lines on a page below 1 MiB (smp.c), as
	 * memory under the loader's control is not for sure. What follows is the first one's way, shorter.
	 */
	.code16
	.globl	boot_ap_start, boot_ap_end
boot_ap_start:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	boot_ap_gdt - boot_ap_start
	movl	$0x11, %eax		/* caches on, protection on */
	movl	%eax, %cr0
	ljmpl	$0x10, $boot_ap32
boot_ap_gdt:
	.short	31
	.long	boot_gdt
boot_ap_end:
	.code32
boot_ap32:
	movw	$0x18, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$boot_l4, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME_NXE_SCE, %eax
	wrmsr
	movl	$CR0_PG_WP | 0x33, %eax	/* NE, ET, MP, PE */
	movl	%eax, %cr0
	ljmp	$8, $boot_ap_long

	.code64
boot_ap_long:
	xorl	%eax, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%eax, %fs
	movl	%eax, %gs
	movabsq	$metal_ap_stack, %rax
	jmp	*%rax

boot_long:
	xorl	%eax, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%eax, %fs
	movl	%eax, %gs
	movabsq	$metal_start_stack, %rax
	jmp	*%rax

	.section .boot.data, "aw"
	.balign	8
boot_gdt:
	.quad	0
	.quad	0x00af9b000000ffff
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
boot_gdt_pointer:
	.short	31
	.long	boot_gdt
no_loader:
	.asciz	"(xenopus) not started by a multiboot loader\r\n"
no_long_mode:
	.asciz	"(xenopus) this CPU has no 64-bit mode\r\n"
no_nx:
	.asciz	"(xenopus) this CPU has no no-execute bit\r\n"

	.section .boot.bss, "aw", @nobits
	.balign	4096
boot_l4:	.skip	4096
boot_l3:	.skip	4096
boot_l2:	.skip	4 * 4096
	.skip	256
boot_stack_top:

	.text
metal_start_stack:
	leaq	cpu0_stack_top(%rip), %rsp
	xorl	%ebp, %ebp
	call	metal_start
	ud2

	/* ap_tables, ap_stack: of the one that is being started. */
metal_ap_stack:
	movq	ap_tables(%rip), %rax
	movq	%rax, %cr3
	movq	ap_stack(%rip), %rsp
	xorl	%ebp, %ebp
	call	metal_ap_start
	ud2

	/* Stacks, each behind a page that is never mapped. */
	.section .stacks, "aw", @nobits
	.balign	4096
	.macro	stack name, pages
	.globl	\name\()_guard, \name\()_top
\name\()_guard:
	.skip	4096
	.skip	4096 * \pages
\name\()_top:
	.endm
	stack	cpu0_stack, 8
	.globl	trap_stacks_start, trap_stacks_end
trap_stacks_start:
	stack	cpu0_trap_stack, 2
	stack	cpu0_nmi_stack, 1
	stack	cpu0_df_stack, 2
	stack	cpu0_mc_stack, 2
	stack	cpu0_db_stack, 2
trap_stacks_end:

	.section .note.GNU-stack, "", @progbits
