package svm

import (
	"sync/atomic"
	"unsafe"

	"nom.dev/nom/hw/svm"
	"nom.dev/nom/metal/call"
)

// vmcbAt views a page as a VMCB.
//
// SAFETY: page is a whole page of host memory that stays the backend's until its container has ended.
func vmcbAt(page []byte) *svm.VMCB { return (*svm.VMCB)(unsafe.Pointer(unsafe.SliceData(page))) }

// addressOf is where b lies. SAFETY: host memory does not move.
func addressOf(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

func pending(w *call.World) bool {
	for i := range w.Pending {
		if atomic.LoadUint64(&w.Pending[i]) != 0 {
			return true
		}
	}
	return false
}

// Raise makes vector pending, at any time. The 32 lowest are exceptions: some come with an error code on the stack and some
// without, so none may reach a local APIC, from where the nonkernel might get it.
func (w *World) Raise(vector uint8) {
	if vector < firstInterrupt {
		return
	}
	atomic.OrUint64(&w.Call.Pending[vector>>6], 1<<(vector&63))
}
