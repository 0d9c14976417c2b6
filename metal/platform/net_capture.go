package main

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/hw/igb"
	"nom.dev/nom/metal/inet"
)

// Copies of the frames that the function receives and sends, for as long as the parent asks for them (abi.ControlCapture). They
// wait in a buffer until it fetches them. A frame that finds no room there is counted: the network never waits for who looks on.

// capture is guarded by kernelLock; it begins and ends on vCPU 0 only.
var capture struct {
	snap   uint64 // bytes that are kept of a frame; 0 = nobody asks
	size   uint64 // of the buffer, a power of two
	frames [captureFrames]uint64
	head   uint64 // bytes that were written and read
	tail   uint64
	lost   uint64
}

const (
	captureFrames = 128 // of the page pool, as long as somebody asks; fewer when it has not so many
	captureLeast  = 8
	captureHead   = abi.CapturedHead
)

// startCapture begins, or ends with 0 bytes.
func startCapture(snap uint64) uint64 {
	if snap == 0 {
		endCapture()
		return 0
	}
	if !net.up {
		return errno(eNOENT)
	}
	if nicTaken() {
		return errno(eBUSY)
	}
	if capture.snap == 0 && !takeCaptureFrames() {
		return errno(eNOMEM)
	}
	kernelLock.lock()
	capture.head, capture.tail, capture.lost = 0, 0, 0
	capture.snap = min(snap, abi.CapturedMost)
	kernelLock.unlock()
	return 0
}

// nicTaken tells whether a driver of the program's own has set the function up for itself, or is about to.
func nicTaken() bool { return nicRead(uint64(igb.VFRxQueue(0))+igb.RDBAL) != uint32(nic.memory) }

// takeCaptureFrames gives the buffer its memory: as much as there is to spare.
func takeCaptureFrames() bool {
	memLock.lock()
	n := uint64(captureFrames)
	for n >= captureLeast && pool.nfree <= pool.reserved+commitSlack+n {
		n /= 2
	}
	for i := uint64(0); n >= captureLeast && i < n; i++ {
		capture.frames[i] = pool.frame()
	}
	memLock.unlock()
	capture.size = n * pageSize
	return n >= captureLeast
}

func endCapture() {
	if capture.snap == 0 {
		return
	}
	kernelLock.lock()
	capture.snap = 0
	kernelLock.unlock()
	memLock.lock()
	for i := uint64(0); i < capture.size/pageSize; i++ {
		pool.put(capture.frames[i])
	}
	memLock.unlock()
}

// captureAt is where a place in the buffer lies.
func captureAt(n uint64) uint64 {
	n %= capture.size
	return direct(capture.frames[n/pageSize]) + n%pageSize
}

// captureFrame keeps the beginning of a frame. It returns where, and how much of it.
func captureFrame(b []byte) (place, kept uint64) {
	kept = min(uint64(len(b)), capture.snap)
	need := captureHead + (kept+7)&^7
	if capture.head+need-capture.tail > capture.size {
		capture.lost++
		return 0, 0
	}
	store64(captureAt(capture.head), wallBase+nanotime())
	store64(captureAt(capture.head+8), uint64(len(b))|kept<<32)
	place = capture.head + captureHead
	for done := uint64(0); done < kept; {
		at := place + done
		k := min(kept-done, pageSize-at%pageSize)
		copy(bytesAt(captureAt(at), k), b[done:done+k])
		done += k
	}
	capture.head += need
	return place, kept
}

// captureSent keeps a frame that is about to be posted, with the checksums that the device will fill in.
func captureSent(b []byte, command uint64) {
	place, kept := captureFrame(b)
	if command&sendSix != 0 && len(b) >= frameHead6 {
		captureSum(place, kept, frameHead6+sumInTCP, inet.Checksum(0, b[frameHead6:]))
		return
	}
	if kept == 0 || command&igb.TxIP == 0 || len(b) < frameHead {
		return
	}
	captureSum(place, kept, inet.EthernetLen+10, inet.Checksum(0, b[inet.EthernetLen:frameHead]))
	if command&igb.TxL4 == 0 {
		return
	}
	sum := inet.Checksum(0, b[frameHead:])
	switch {
	case b[inet.EthernetLen+9] == inet.ProtoTCP:
		captureSum(place, kept, frameHead+sumInTCP, sum)
	case sum == 0:
		captureSum(place, kept, frameHead+sumInUDP, 0xffff) // 0 would say that there is none
	default:
		captureSum(place, kept, frameHead+sumInUDP, sum)
	}
}

// captureSum writes a checksum into the copy of a frame, as far as that was kept.
func captureSum(place, kept, offset uint64, sum uint16) {
	if offset < kept {
		*at[uint8](captureAt(place + offset)) = uint8(sum >> 8)
	}
	if offset+1 < kept {
		*at[uint8](captureAt(place + offset + 1)) = uint8(sum)
	}
}

// takeCaptured writes whole frames to data and forgets them.
func takeCaptured(data *[abi.ControlData]byte) (size, result uint64) {
	if capture.snap == 0 {
		return 0, errno(eINVAL)
	}
	out := addressOf(data)
	kernelLock.lock()
	store64(out, capture.lost)
	capture.lost = 0
	size = 8
	for capture.tail != capture.head {
		need := captureHead + (load64(captureAt(capture.tail+8))>>32+7)&^7
		if size+need > abi.ControlData {
			store64(out, load64(out)|abi.ControlMore)
			break
		}
		for end := capture.tail + need; capture.tail != end; capture.tail += 8 {
			store64(out+size, load64(captureAt(capture.tail)))
			size += 8
		}
	}
	kernelLock.unlock()
	return size, 0
}
