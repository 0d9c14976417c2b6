#include "go_asm.h"
#include "textflag.h"

#define SAY(c) \
	MOVW	$0x3f8, DX; \
	MOVB	$c, AX; \
	OUTB

// RDI = boot page, RSI = 0 on the first processor and 1 on the others. There is no stack.
TEXT ·entry(SB), NOSPLIT|NOFRAME, $0
	TESTL	SI, SI
	JNE	other
	SAY(0x31)
	MOVQ	$const_bootMagic, R9
	CMPQ	(DI), R9
	JNE	bad
	SAY(0x32)
	MOVQ	$const_directMap, BX	// the boot page again, in the linear mapping
	ADDQ	DI, BX
	CMPQ	(BX), R9
	JNE	bad
	SAY(0x33)
	MOVQ	const_offStartInfo(DI), BX
	CMPL	(BX), $0x336ec578	// hvm_start_info.magic
	JNE	bad
	SAY(0x34)
	MOVQ	const_offBundle(DI), BX
	CMPL	(BX), $0x424d4f4e	// "NOMB"
	JNE	bad
	SAY(0x35)
	MOVQ	const_offArgs(DI), BX
	CMPL	(BX), $0x6b6e6f6e	// "nonk"
	JNE	bad
	SAY(0x36)
	CMPQ	·started(SB), $0
	JNE	bad
	SAY(0x37)
	PXOR	X0, X0			// SSE is on
	MOVL	$0x1b, CX		// APIC_BASE: x2APIC mode
	RDMSR
	ORL	$0xc00, AX
	WRMSR
	MOVQ	const_offAPEntry(DI), BX
	SHRQ	$12, BX
	XORL	DX, DX
	MOVL	$0x830, CX		// ICR: INIT, then start-up, to all others
	MOVL	$0xc4500, AX
	WRMSR
	MOVL	$1000000, R8
wait:
	PAUSE
	DECL	R8
	JNE	wait
	MOVL	$0xc4600, AX
	ORL	BX, AX
	WRMSR
join:
	PAUSE
	CMPQ	·started(SB), $0
	JEQ	join
	SAY(0x39)
	MOVL	$0x10, AX
	JMP	end
other:
	SAY(0x38)
	PXOR	X0, X0
	MOVQ	$1, ·started(SB)
	JMP	stop
bad:
	MOVL	$0x20, AX
end:
	MOVL	$0xf4, DX		// isa-debug-exit
	OUTL
stop:
	HLT
	JMP	stop
