#include "textflag.h"
#include "x87_amd64.h"

// Trap frames have the layout of type frame (trap.go). FS holds the kernel TLS while platform code runs, so that
// compiled code that reloads g from FS:-8 finds fakeg; "FS == kernel TLS" tells a trap from inside the platform.

#define RDFSBASE_AX BYTE $0xF3; BYTE $0x48; BYTE $0x0F; BYTE $0xAE; BYTE $0xC0
#define WRFSBASE_AX BYTE $0xF3; BYTE $0x48; BYTE $0x0F; BYTE $0xAE; BYTE $0xD0

#define PUSHREGS \
	PUSHQ AX; PUSHQ CX; PUSHQ DX; PUSHQ BX; PUSHQ BP; PUSHQ SI; PUSHQ DI; \
	PUSHQ R8; PUSHQ R9; PUSHQ R10; PUSHQ R11; PUSHQ R12; PUSHQ R13; PUSHQ R14; PUSHQ R15; \
	RDFSBASE_AX; PUSHQ AX; \
	LEAQ ·kernelTLS+8(SB), AX; WRFSBASE_AX

#define POPREGS \
	POPQ AX; WRFSBASE_AX; \
	POPQ R15; POPQ R14; POPQ R13; POPQ R12; POPQ R11; POPQ R10; POPQ R9; POPQ R8; \
	POPQ DI; POPQ SI; POPQ BP; POPQ BX; POPQ DX; POPQ CX; POPQ AX

// Calls a Go function through a func variable: a direct CALL would go to the ABI0 wrapper.
#define GOENV \
	LEAQ ·fakeg(SB), R14; \
	XORPS X15, X15; \
	XORL BP, BP

// entry is where a CPU starts in 64-bit mode with the entry page tables: DI = physical address of the boot page,
// SI = 0 on the first CPU and 1 on the others.
TEXT ·entry(SB),NOSPLIT|NOFRAME,$0
	CLI
	CLD
	TESTL SI, SI
	JNE ap
	LEAQ ·bootStack+32752(SB), SP
	CALL ·initSSE(SB)
	LEAQ ·fakeg(SB), R14
	MOVQ R14, ·kernelTLS(SB)
	CALL ·setKernelTLS(SB)
	GOENV
	MOVQ DI, AX
	MOVQ ·bootFn(SB), DX
	MOVQ (DX), CX
	SUBQ $32, SP
	CALL CX
	INT $3
ap:
	LEAQ ·apStacks(SB), AX
	MOVQ (AX)(SI*8), SP
	MOVQ SI, DI
	CALL ·initSSE(SB)
	CALL ·setKernelTLS(SB)
	GOENV
	MOVQ DI, AX
	MOVQ ·apBootFn(SB), DX
	MOVQ (DX), CX
	SUBQ $32, SP
	CALL CX
	INT $3

// FS base through the MSR: FSGSBASE is not yet known to exist. Preserves DI.
TEXT ·setKernelTLS(SB),NOSPLIT|NOFRAME,$0
	LEAQ ·kernelTLS+8(SB), AX
	MOVQ AX, DX
	SHRQ $32, DX
	MOVL $0xc0000100, CX
	WRMSR
	RET

// CR0: MP NE WP on, EM TS off; CR4: OSFXSR OSXMMEXCPT. Preserves DI.
TEXT ·initSSE(SB),NOSPLIT|NOFRAME,$0
	MOVQ CR0, AX
	ANDQ $~0x0C, AX
	ORQ $0x10022, AX
	MOVQ AX, CR0
	MOVQ CR4, AX
	ORQ $0x600, AX
	MOVQ AX, CR4
	BYTE $0xDB; BYTE $0xE3 // fninit
	RET

TEXT ·syscallEntry(SB),NOSPLIT|NOFRAME,$0
	MOVQ SP, 16(GS)
	MOVQ 8(GS), SP
	PUSHQ $0x10
	PUSHQ 16(GS)
	PUSHQ R11
	PUSHQ $8
	PUSHQ CX
	PUSHQ $0
	PUSHQ $0x100 // frame.Trap = returnFast
	PUSHREGS
	MOVQ SP, AX
	GOENV
	MOVQ ·syscallFn(SB), DX
	MOVQ (DX), CX
	SUBQ $16, SP
	CALL CX
	ADDQ $16, SP
	CMPQ 128(SP), $0x100
	JNE full
	POPREGS
	ADDQ $16, SP
	POPQ CX
	MOVQ 16(SP), SP
	STI
	JMP CX
full:
	CMPQ 128(SP), $0x102 // returnFPU: Err holds the address of an XSAVE area
	JNE iret
	MOVQ 136(SP), CX
	MOVL $7, AX
	XORL DX, DX
	BYTE $0x48; BYTE $0x0F; BYTE $0xAE; BYTE $0x29 // xrstor64 [rcx]
iret:
	POPREGS
	ADDQ $16, SP
	IRETQ

// Every IDT stub pushes an error code where the CPU did not, then its vector, and jumps here.
TEXT ·trapCommon(SB),NOSPLIT|NOFRAME,$0
	PUSHREGS
	CLD
	MOVQ SP, AX
	SUBQ $(1088+64), SP
	ANDQ $~63, SP
	MOVQ AX, 32(SP)
	MOVQ AX, R12
	XORL CX, CX
	MOVQ CX, (64+512)(SP) // the XSAVE header must be zero before the first XSAVE into an area
	MOVQ CX, (64+520)(SP)
	MOVQ CX, (64+528)(SP)
	MOVQ CX, (64+536)(SP)
	MOVQ CX, (64+544)(SP)
	MOVQ CX, (64+552)(SP)
	MOVQ CX, (64+560)(SP)
	MOVQ CX, (64+568)(SP)
	MOVL $7, AX
	XORL DX, DX
	BYTE $0x48; BYTE $0x0F; BYTE $0xAE; BYTE $0x64; BYTE $0x24; BYTE $0x40 // xsave64 [rsp+64]
	FORGETX87(64, SP)
	MOVQ R12, AX
	LEAQ 64(SP), BX
	GOENV
	MOVQ ·trapFn(SB), DX
	MOVQ (DX), CX
	CALL CX
	MOVL $7, AX
	XORL DX, DX
	BYTE $0x48; BYTE $0x0F; BYTE $0xAE; BYTE $0x6C; BYTE $0x24; BYTE $0x40 // xrstor64 [rsp+64]
	MOVQ 32(SP), SP
	POPREGS
	ADDQ $16, SP
	IRETQ

// A thread's first run: switchStack returns here with SP at its frame.
TEXT ·threadStart(SB),NOSPLIT|NOFRAME,$0
	GOENV
	MOVQ ·threadStartFn(SB), DX
	MOVQ (DX), CX
	SUBQ $16, SP
	CALL CX
	ADDQ $16, SP
	POPREGS
	ADDQ $16, SP
	IRETQ

// switchStack(save *uint64, to uint64)
TEXT ·switchStack(SB),NOSPLIT|NOFRAME,$0-16
	MOVQ save+8(SP), AX
	MOVQ to+16(SP), CX
	PUSHQ BP
	MOVQ SP, (AX)
	MOVQ CX, SP
	POPQ BP
	RET

// startThread(sp uint64): never returns
TEXT ·startThread(SB),NOSPLIT|NOFRAME,$0-8
	MOVQ sp+8(SP), SP
	JMP ·threadStart(SB)

// The idle thread of every CPU.
TEXT ·idleLoop(SB),NOSPLIT|NOFRAME,$0
again:
	STI
	HLT
	JMP again

// vdsoClock: int clock_gettime(DI clock, SI *timespec), C ABI, called by the Go runtime on g0.
TEXT ·vdsoClock(SB),NOSPLIT|NOFRAME,$0
	RDTSC
	SHLQ $32, DX
	ORQ DX, AX
	SUBQ ·clockBase(SB), AX
	MULQ ·clockMult(SB)
	SHRQ $32, AX
	SHLQ $32, DX
	ORQ DX, AX
	TESTL DI, DI
	JNE mono
	ADDQ ·wallBase(SB), AX
mono:
	MOVQ $1000000000, CX
	XORL DX, DX
	DIVQ CX
	MOVQ AX, 0(SI)
	MOVQ DX, 8(SI)
	XORL AX, AX
	RET
