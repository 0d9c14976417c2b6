// Package main is the platform: the emulated Linux on which a stock Go runtime runs on a bare x86-64 machine, for the
// nonkernel in host mode and for a program in ring 0 of a container alike.
//
// It is linked as an image of its own at abi.PlatformAddr and laid beside the program. Its own Go runtime never starts.
// Everything here is reached from a trap (SYSCALL, exception, interrupt) or from the entry point, on a platform stack,
// with R14 and FS:-8 naming a static fake g whose stack limit is 0. That allows ordinary Go functions of any depth,
// pointers and pointer stores (no garbage collector is running), and forbids everything that needs the runtime:
// allocation, maps, channels, defer, recover, string building, interface conversion of values, package initialisation.
// TestCalls disassembles the image and holds it to that list.
//
// Specifications: AMD64 Architecture Programmer's Manual vol. 2 (40332), Linux x86-64 system call ABI as Go's runtime
// uses it (runtime/sys_linux_amd64.s), System V ABI for the initial stack. Tested on QEMU 10.0 q35 (TCG).
//
// It must never hold policy of the nonkernel: it runs worlds and reports exits; who runs when is decided above it.
package main

func main() {}
