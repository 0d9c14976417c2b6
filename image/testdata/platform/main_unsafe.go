// Command platform stands in for the platform when the tests of package image boot an image. Its entry point checks
// what it was started with, starts a second processor, and says how far it came on the first serial port. Its Go
// code never runs.
package main

import (
	"unsafe"

	"nom.dev/nom/abi"
)

// What the entry point looks for, for the assembler.
const (
	bootMagic = abi.BootMagic
	directMap = -(1 << 47) // abi.DirectMap, as the assembler takes it

	// SAFETY: Offsetof is a constant expression; no pointer is made.
	offStartInfo = unsafe.Offsetof(abi.BootPage{}.StartInfo)
	offBundle    = unsafe.Offsetof(abi.BootPage{}.Bundle)
	offAPEntry   = unsafe.Offsetof(abi.BootPage{}.APEntry)
	offArgs      = unsafe.Offsetof(abi.BootPage{}.Args)
)

// started is set by the second processor. It lies in zero memory, which must be there and be zero.
var started uint64

// entry is where the platform starts.
func entry()

func main() { entry(); println(started) }
