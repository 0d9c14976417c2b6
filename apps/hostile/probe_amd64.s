#include "textflag.h"

// AMD64 Architecture Programmer's Manual, volumes 2 and 3.

// func probeCall(code uint64, r *registers) (vector uint64)
TEXT ·probeCall(SB), NOSPLIT|NOFRAME, $0-24
	PUSHQ BP
	PUSHFQ
	CLI
	MOVQ  24(SP), R13 // code
	MOVQ  32(SP), R12 // registers
	MOVQ  R12, ·probeSaved+16(SB)
	MOVQ  SP, ·probeSaved+0(SB)
	BYTE  $0xf3; BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0xc0 // RDFSBASE AX
	MOVQ  AX, ·probeSaved+8(SB)
	LEAQ  ·probeOld+6(SB), AX
	BYTE  $0x0f; BYTE $0x01; BYTE $0x08 // SIDT (AX)
	LEAQ  ·probeNew+6(SB), AX
	BYTE  $0x0f; BYTE $0x01; BYTE $0x18 // LIDT (AX)
	LEAQ  ·probeStack+8128(SB), SP
	MOVQ  0(R12), AX
	MOVQ  8(R12), CX
	MOVQ  16(R12), DX
	MOVQ  24(R12), BX
	MOVQ  32(R12), SI
	MOVQ  40(R12), DI
	CALL  R13
	MOVQ  ·probeSaved+16(SB), R12
	MOVQ  AX, 0(R12)
	MOVQ  DX, 16(R12)
	MOVL  $0xff, AX
	JMP   probeResume<>(SB)

// The stubs come here with the vector in AX, on the probe's stack, with interrupts off.
TEXT probeResume<>(SB), NOSPLIT|NOFRAME, $0
	CLD
	MOVQ ·probeSaved+0(SB), SP
	LEAQ ·probeOld+6(SB), CX
	BYTE $0x0f; BYTE $0x01; BYTE $0x19 // LIDT (CX)
	MOVQ ·probeSaved+8(SB), CX
	BYTE $0xf3; BYTE $0x48; BYTE $0x0f; BYTE $0xae; BYTE $0xd1 // WRFSBASE CX
	MOVQ AX, 40(SP)
	MOVQ 0(SP), CX // flags
	BYTE $0x48; BYTE $0x8b; BYTE $0x6c; BYTE $0x24; BYTE $0x08 // MOVQ 8(SP), BP: vet does not see that probeCall saved it
	ADDQ $16, SP
	PUSHQ CX
	POPFQ
	RET

// func probeResumeAddress() uint64
TEXT ·probeResumeAddress(SB), NOSPLIT, $0-8
	LEAQ probeResume<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func readCR3() uint64
TEXT ·readCR3(SB), NOSPLIT, $0-8
	MOVQ CR3, AX
	MOVQ AX, ret+0(FP)
	RET

// func writeCR3(v uint64)
TEXT ·writeCR3(SB), NOSPLIT, $0-8
	MOVQ v+0(FP), AX
	MOVQ AX, CR3
	RET

// func invlpg(address uint64)
TEXT ·invlpg(SB), NOSPLIT, $0-8
	MOVQ   address+0(FP), AX
	INVLPG (AX)
	RET

// func wrmsrOff(msr uint32, value uint64)
TEXT ·wrmsrOff(SB), NOSPLIT, $0-16
	MOVL msr+0(FP), CX
	MOVQ value+8(FP), AX
	MOVQ AX, DX
	SHRQ $32, DX
	CLI
	WRMSR
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

// func spinOff()
TEXT ·spinOff(SB), NOSPLIT, $0
	CLI
spin:
	JMP spin

// func haltOff()
TEXT ·haltOff(SB), NOSPLIT, $0
halt:
	CLI
	HLT
	JMP halt

// func tripleFault()
TEXT ·tripleFault(SB), NOSPLIT, $16
	MOVQ $0, 0(SP)
	MOVQ $0, 8(SP)
	CLI
	MOVQ SP, AX
	BYTE $0x0f; BYTE $0x01; BYTE $0x18 // LIDT (AX)
	INT  $3
	RET

// func cli()
TEXT ·cli(SB), NOSPLIT, $0
	CLI
	RET
