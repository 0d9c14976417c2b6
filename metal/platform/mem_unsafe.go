package main

import (
	"unsafe"

	"nom.dev/nom/abi"
)

// at views the memory at virtual address a as a T.
//
// SAFETY: platform code owns all memory of its machine or container; a caller passes either an address it got from the
// frame pool or the direct map, or an address of the program that prefault or the page tables vouch for. No garbage
// collector runs here, so an address may be held as an integer.
func at[T any](a uint64) *T { return (*T)(unsafe.Add(nil, a)) }

// addressOf is the inverse of at.
//
// SAFETY: objects of the platform never move: they are static or live in frames.
func addressOf[T any](p *T) uint64 { return uint64(uintptr(unsafe.Pointer(p))) }

// bytesAt views n bytes at virtual address a.
//
// SAFETY: as at.
func bytesAt(a, n uint64) []byte { return unsafe.Slice(at[byte](a), n) }

// textOf views a string's bytes.
//
// SAFETY: the result is only read.
func stringAt(a, n uint64) string { return unsafe.String(at[byte](a), n) }

func load64(a uint64) uint64     { return *at[uint64](a) }
func load32(a uint64) uint32     { return *at[uint32](a) }
func store64(a, v uint64)        { *at[uint64](a) = v }
func store32(a uint64, v uint32) { *at[uint32](a) = v }

// direct is the virtual address at which physical address pa is always mapped.
func direct(pa uint64) uint64 { return abi.DirectMap + pa }

// sizes of structures that live in frames
const (
	threadSize = uint64(unsafe.Sizeof(thread{}))
	frameSize  = uint64(unsafe.Sizeof(frame{}))
)
