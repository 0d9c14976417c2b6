// FORGETX87 clears bit 0 of XSTATE_BV in the XSAVE area at area(reg) when the x87 unit is in its initial state, as it is in
// nearly every Go program: FCW 37Fh, FSW 0, all registers empty. XRSTOR then initializes the unit and reads nothing.
// Processors do so by themselves (Intel SDM vol. 1, section 13.6). QEMU does not, and its XRSTOR of x87 state writes to the
// flags of CPU 0 from whatever CPU it runs on, without a lock: a world switch of CPU 0 at that moment comes back with nested
// paging on, or with GIF as it was before (docs/hardware.md). It uses CX and DX.
#define FORGETX87(area, reg) \
	MOVQ  area(reg), CX; \
	SHLQ  $24, CX; \
	MOVQ  $0x37f000000, DX; \
	CMPQ  CX, DX; \
	SETNE DX; \
	ADDB  $0xfe, DX; \
	ANDB  DX, (area+512)(reg)
