/* SPDX-License-Identifier: Apache-2.0 */
/* The shim's image as data of the replayer. */
	.section .rodata
	.balign 16
	.globl shim_image, shim_image_end
shim_image:
	.incbin "preload/shim.bin"
shim_image_end:
	.section .note.GNU-stack, "", @progbits
