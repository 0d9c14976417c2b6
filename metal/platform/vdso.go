package main

// vdso is the smallest ELF image that runtime/vdso_linux.go accepts: it names one symbol, __vdso_clock_gettime. Without it
// every look at the clock would be a trap.
var vdso [512]byte

const vdsoSymbol = "__vdso_clock_gettime"

func initVDSO() {
	const (
		phdr    = 64
		phdr2   = 120
		dynamic = 192
		hash    = 288
		verdef  = 320
		strtab  = 352
		symtab  = 384
	)
	b := addressOf(&vdso)
	store64(b+0x20, phdr)
	*at[uint16](b + 0x38) = 2
	store32(b+phdr, 1) // PT_LOAD
	store64(b+phdr+40, 512)
	store32(b+phdr2, 2) // PT_DYNAMIC
	store64(b+phdr2+8, dynamic)
	d := b + dynamic
	store64(d, 5) // DT_STRTAB
	store64(d+8, strtab)
	store64(d+16, 6) // DT_SYMTAB
	store64(d+24, symtab)
	store64(d+32, 4) // DT_HASH: one bucket, two symbols
	store64(d+40, hash)
	store64(d+48, 0x6fff_fffc) // DT_VERDEF: dereferenced even without versions
	store64(d+56, verdef)
	store32(b+hash, 1)
	store32(b+hash+4, 2)
	store32(b+hash+8, 1)
	*at[uint16](b + verdef) = 1
	*at[uint16](b + verdef + 2) = 1 // VER_FLG_BASE
	copy(vdso[strtab+1:], vdsoSymbol)
	_, _, _, _, clock, _ := labels()
	sym := b + symtab + 24
	store32(sym, 1)
	*at[byte](sym + 4) = 0x12 // STB_GLOBAL, STT_FUNC
	*at[uint16](sym + 6) = 1
	store64(sym+8, clock-b)
	store64(sym+16, 64)
}
