#include "textflag.h"
#include "x87_amd64.h"

TEXT ·clgi(SB),NOSPLIT,$0
	BYTE $0x0F; BYTE $0x01; BYTE $0xDD
	RET
TEXT ·stgi(SB),NOSPLIT,$0
	BYTE $0x0F; BYTE $0x01; BYTE $0xDC
	RET

// vmrun(vmcb, hostvmcb, gprs, fpu): one world switch. GIF must be 0; returns with GIF 0 and IF 0.
// gprs: RBX RCX RDX RSI RDI RBP R8..R15; RAX, RSP, RIP and RFLAGS are in the VMCB. IF is 1 at VMRUN because, with
// V_INTR_MASKING, the host's IF gates physical interrupts while the guest runs.
TEXT ·vmrun(SB),NOSPLIT|NOFRAME,$0-32
	MOVQ 8(SP), R8   // vmcb
	MOVQ 16(SP), R11 // host vmcb
	MOVQ 24(SP), R10 // gprs
	MOVQ 32(SP), R9  // fpu area
	STI
	MOVQ R11, AX
	BYTE $0x0F; BYTE $0x01; BYTE $0xDB // vmsave rax
	PUSHQ BP
	PUSHQ R14
	PUSHQ R11
	PUSHQ R10
	PUSHQ R9
	PUSHQ R8
	MOVL $7, AX
	XORL DX, DX
	BYTE $0x49; BYTE $0x0F; BYTE $0xAE; BYTE $0x29 // xrstor64 [r9]
	MOVQ R8, AX
	MOVQ R10, R15
	MOVQ 0(R15), BX
	MOVQ 8(R15), CX
	MOVQ 16(R15), DX
	MOVQ 24(R15), SI
	MOVQ 32(R15), DI
	MOVQ 40(R15), BP
	MOVQ 48(R15), R8
	MOVQ 56(R15), R9
	MOVQ 64(R15), R10
	MOVQ 72(R15), R11
	MOVQ 80(R15), R12
	MOVQ 88(R15), R13
	MOVQ 96(R15), R14
	MOVQ 104(R15), R15
	BYTE $0x0F; BYTE $0x01; BYTE $0xDA // vmload rax
	BYTE $0x0F; BYTE $0x01; BYTE $0xD8 // vmrun rax
	BYTE $0x0F; BYTE $0x01; BYTE $0xDB // vmsave rax
	PUSHQ R15
	MOVQ 24(SP), R15
	MOVQ BX, 0(R15)
	MOVQ CX, 8(R15)
	MOVQ DX, 16(R15)
	MOVQ SI, 24(R15)
	MOVQ DI, 32(R15)
	MOVQ BP, 40(R15)
	MOVQ R8, 48(R15)
	MOVQ R9, 56(R15)
	MOVQ R10, 64(R15)
	MOVQ R11, 72(R15)
	MOVQ R12, 80(R15)
	MOVQ R13, 88(R15)
	MOVQ R14, 96(R15)
	POPQ AX
	MOVQ AX, 104(R15)
	POPQ R8
	POPQ R9
	POPQ R10
	POPQ R11
	POPQ R14
	POPQ BP
	CLI
	MOVL $7, AX
	XORL DX, DX
	BYTE $0x49; BYTE $0x0F; BYTE $0xAE; BYTE $0x21 // xsave64 [r9]
	FORGETX87(0, R9)
	LDMXCSR ·hostMXCSR(SB) // the guest may have unmasked exceptions
	MOVQ R11, AX
	BYTE $0x0F; BYTE $0x01; BYTE $0xDA // vmload rax
	RET
