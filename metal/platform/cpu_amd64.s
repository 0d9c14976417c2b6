#include "textflag.h"

// Single instructions that Go cannot express. Names and operands as in cpu.go.

TEXT ·outb(SB),NOSPLIT,$0-16
	MOVQ port+0(FP), DX
	MOVQ v+8(FP), AX
	OUTB
	RET
TEXT ·outw(SB),NOSPLIT,$0-16
	MOVQ port+0(FP), DX
	MOVQ v+8(FP), AX
	OUTW
	RET
TEXT ·outl(SB),NOSPLIT,$0-16
	MOVQ port+0(FP), DX
	MOVQ v+8(FP), AX
	OUTL
	RET
TEXT ·inb(SB),NOSPLIT,$0-16
	MOVQ port+0(FP), DX
	XORL AX, AX
	INB
	MOVQ AX, ret+8(FP)
	RET
TEXT ·inl(SB),NOSPLIT,$0-16
	MOVQ port+0(FP), DX
	XORL AX, AX
	INL
	MOVQ AX, ret+8(FP)
	RET
TEXT ·rdmsr(SB),NOSPLIT,$0-16
	MOVQ n+0(FP), CX
	RDMSR
	SHLQ $32, DX
	ORQ DX, AX
	MOVQ AX, ret+8(FP)
	RET
TEXT ·wrmsr(SB),NOSPLIT,$0-16
	MOVQ n+0(FP), CX
	MOVQ v+8(FP), AX
	MOVQ AX, DX
	SHRQ $32, DX
	WRMSR
	RET
TEXT ·rdtsc(SB),NOSPLIT,$0-8
	RDTSC
	SHLQ $32, DX
	ORQ DX, AX
	MOVQ AX, ret+0(FP)
	RET
TEXT ·setCR3(SB),NOSPLIT,$0-8
	MOVQ v+0(FP), AX
	MOVQ AX, CR3
	RET
TEXT ·getCR2(SB),NOSPLIT,$0-8
	MOVQ CR2, AX
	MOVQ AX, ret+0(FP)
	RET
TEXT ·getCR4(SB),NOSPLIT,$0-8
	MOVQ CR4, AX
	MOVQ AX, ret+0(FP)
	RET
TEXT ·setCR4(SB),NOSPLIT,$0-8
	MOVQ v+0(FP), AX
	MOVQ AX, CR4
	RET
// setXCR0(v)
TEXT ·setXCR0(SB),NOSPLIT,$0-8
	MOVQ v+0(FP), AX
	XORL DX, DX
	XORL CX, CX
	BYTE $0x0F; BYTE $0x01; BYTE $0xD1 // xsetbv
	RET
TEXT ·invlpg(SB),NOSPLIT,$0-8
	MOVQ v+0(FP), AX
	INVLPG (AX)
	RET
TEXT ·rdrand(SB),NOSPLIT,$0-8
	BYTE $0x48; BYTE $0x0F; BYTE $0xC7; BYTE $0xF0 // rdrand rax; on failure RAX = 0
	MOVQ AX, ret+0(FP)
	RET
TEXT ·halt(SB),NOSPLIT,$0
	CLI
	HLT
	RET
TEXT ·pause(SB),NOSPLIT,$0
	PAUSE
	RET
TEXT ·thisCPU(SB),NOSPLIT,$0-8
	MOVQ 0(GS), AX
	MOVQ AX, ret+0(FP)
	RET
// loadTables(gdtr, idtr, tss)
TEXT ·loadTables(SB),NOSPLIT,$0-24
	MOVQ gdtr+0(FP), AX
	BYTE $0x0F; BYTE $0x01; BYTE $0x10 // lgdt [rax]
	MOVQ idtr+8(FP), AX
	BYTE $0x0F; BYTE $0x01; BYTE $0x18 // lidt [rax]
	MOVL $0x10, AX
	BYTE $0x8E; BYTE $0xD8 // mov ds, ax
	BYTE $0x8E; BYTE $0xC0 // mov es, ax
	BYTE $0x8E; BYTE $0xD0 // mov ss, ax
	MOVQ tss+16(FP), AX
	BYTE $0x0F; BYTE $0x00; BYTE $0xD8 // ltr ax
	LEAQ reload(SB), AX // CS from the new GDT
	PUSHQ $8
	PUSHQ AX
	BYTE $0x48; BYTE $0xCB // retfq
TEXT reload(SB),NOSPLIT|NOFRAME,$0
	RET
// cpuid(leaf, sub) (a, b, c, d)
TEXT ·cpuid(SB),NOSPLIT,$0-24
	MOVL leaf+0(FP), AX
	MOVL sub+4(FP), CX
	CPUID
	MOVL AX, a+8(FP)
	MOVL BX, b+12(FP)
	MOVL CX, c+16(FP)
	MOVL DX, d+20(FP)
	RET
// vmmcall(n, a1, a2, a3, a4, a5, a6) ret
TEXT ·vmmcall(SB),NOSPLIT,$0-64
	MOVQ n+0(FP), AX
	MOVQ a1+8(FP), DI
	MOVQ a2+16(FP), SI
	MOVQ a3+24(FP), DX
	MOVQ a4+32(FP), R10
	MOVQ a5+40(FP), R8
	MOVQ a6+48(FP), R9
	BYTE $0x0F; BYTE $0x01; BYTE $0xD9 // vmmcall
	MOVQ AX, ret+56(FP)
	RET
TEXT ·nanotime(SB),NOSPLIT,$0-8
	RDTSC
	SHLQ $32, DX
	ORQ DX, AX
	SUBQ ·clockBase(SB), AX
	MULQ ·clockMult(SB)
	SHRQ $32, AX
	SHLQ $32, DX
	ORQ DX, AX
	MOVQ AX, ret+0(FP)
	RET
// labels() addresses of code that only assembly can name
TEXT ·labels(SB),NOSPLIT,$0-48
	LEAQ ·syscallEntry(SB), AX
	MOVQ AX, syscall+0(FP)
	LEAQ ·trapStubs(SB), AX
	MOVQ AX, stubs+8(FP)
	LEAQ ·threadStart(SB), AX
	MOVQ AX, thread+16(FP)
	LEAQ ·idleLoop(SB), AX
	MOVQ AX, idle+24(FP)
	LEAQ ·vdsoClock(SB), AX
	MOVQ AX, clock+32(FP)
	LEAQ ·entry(SB), AX
	MOVQ AX, entry+40(FP)
	RET
// writeRegister(address, v)
TEXT ·writeRegister(SB),NOSPLIT,$0-12
	MOVQ address+0(FP), AX
	MOVL v+8(FP), CX
	MOVL CX, (AX)
	RET
