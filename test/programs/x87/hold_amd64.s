#include "textflag.h"

// func hold(x float64, spins int) float64
TEXT ·hold(SB), NOSPLIT, $0-24
	MOVQ  spins+8(FP), CX
	FMOVD x+0(FP), F0
spin:
	SUBQ $1, CX
	JNE  spin
	FMOVDP F0, ret+16(FP)
	RET
