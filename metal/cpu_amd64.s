#include "textflag.h"

// AMD64 Architecture Programmer's Manual, volume 3: RDTSC, IN, OUT, VMMCALL.

// func TSC() uint64
TEXT ·TSC(SB), NOSPLIT, $0-8
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+0(FP)
	RET

// func Inb(port uint16) uint8
TEXT ·Inb(SB), NOSPLIT, $0-9
	MOVW port+0(FP), DX
	INB
	MOVB AX, ret+8(FP)
	RET

// func Inw(port uint16) uint16
TEXT ·Inw(SB), NOSPLIT, $0-10
	MOVW port+0(FP), DX
	INW
	MOVW AX, ret+8(FP)
	RET

// func Inl(port uint16) uint32
TEXT ·Inl(SB), NOSPLIT, $0-12
	MOVW port+0(FP), DX
	INL
	MOVL AX, ret+8(FP)
	RET

// func Outb(port uint16, value uint8)
TEXT ·Outb(SB), NOSPLIT, $0-3
	MOVW port+0(FP), DX
	MOVB value+2(FP), AX
	OUTB
	RET

// func Outw(port uint16, value uint16)
TEXT ·Outw(SB), NOSPLIT, $0-4
	MOVW port+0(FP), DX
	MOVW value+2(FP), AX
	OUTW
	RET

// func Outl(port uint16, value uint32)
TEXT ·Outl(SB), NOSPLIT, $0-8
	MOVW port+0(FP), DX
	MOVL value+4(FP), AX
	OUTL
	RET

// func vmmcall(nr, a, b, c, d, e, f uint64) uint64
TEXT ·vmmcall(SB), NOSPLIT, $0-64
	MOVQ nr+0(FP), AX
	MOVQ a+8(FP), DI
	MOVQ b+16(FP), SI
	MOVQ c+24(FP), DX
	MOVQ d+32(FP), R10
	MOVQ e+40(FP), R8
	MOVQ f+48(FP), R9
	BYTE $0x0f; BYTE $0x01; BYTE $0xd9 // VMMCALL
	MOVQ AX, ret+56(FP)
	RET

// func CPUID(leaf, sub uint32) (eax, ebx, ecx, edx uint32)
TEXT ·CPUID(SB),NOSPLIT,$0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, eax+8(FP)
	MOVL BX, ebx+12(FP)
	MOVL CX, ecx+16(FP)
	MOVL DX, edx+20(FP)
	RET

// func zero(p *byte, n uintptr): n is a multiple of 256. Ordinary stores: REP STOSQ takes 8 bytes at a time in an
// emulator, and is counted so.
TEXT ·zero(SB),NOSPLIT,$0-16
	MOVQ p+0(FP), DI
	MOVQ n+8(FP), CX
	VPXOR Y0, Y0, Y0
loop:
	VMOVDQU Y0, 0(DI)
	VMOVDQU Y0, 32(DI)
	VMOVDQU Y0, 64(DI)
	VMOVDQU Y0, 96(DI)
	VMOVDQU Y0, 128(DI)
	VMOVDQU Y0, 160(DI)
	VMOVDQU Y0, 192(DI)
	VMOVDQU Y0, 224(DI)
	ADDQ $256, DI
	SUBQ $256, CX
	JNE loop
	VZEROUPPER
	RET

// func raiseEvent()
TEXT ·raiseEvent(SB), NOSPLIT, $0
	MOVL $0x830, CX  // x2APIC interrupt command, AMD64 APM volume 2, section 16.5
	MOVL $0x4040, AX // assert, fixed, abi.VectorEvent
	XORL DX, DX      // to vCPU 0
	WRMSR
	RET

// func load32(address uint64) uint32
TEXT ·load32(SB),NOSPLIT,$0-12
	MOVQ address+0(FP), CX
	MOVL (CX), AX
	MOVL AX, ret+8(FP)
	RET

// func store32(address uint64, v uint32)
TEXT ·store32(SB),NOSPLIT,$0-12
	MOVQ address+0(FP), CX
	MOVL v+8(FP), AX
	MOVL AX, (CX)
	RET

// func load64(address uint64) uint64
TEXT ·load64(SB),NOSPLIT,$0-16
	MOVQ address+0(FP), CX
	MOVQ (CX), AX
	MOVQ AX, ret+8(FP)
	RET

// func store64(address uint64, v uint64)
TEXT ·store64(SB),NOSPLIT,$0-16
	MOVQ address+0(FP), CX
	MOVQ v+8(FP), AX
	MOVQ AX, (CX)
	RET
