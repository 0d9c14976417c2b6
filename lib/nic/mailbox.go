package nic

import (
	"errors"
	"fmt"
	"time"

	"nom.dev/nom/hw/igb"
)

// ErrRefused says that who owns the card does not let frames in that are as long as was asked for.
var ErrRefused = errors.New("nic: frames of this length are refused: the nonkernel lets in 9014 bytes at most, an MTU of 9000: lower Config.MaxFrame")

// errNoAnswer says that the mailbox is dead.
var errNoAnswer = errors.New("nic: nobody answers in the function's mailbox: the nonkernel is of another version, or the function was taken away")

// Who answers looks into the mailbox every 100 ms.
const (
	answerWithin = 10 * time.Second
	answerPoll   = time.Millisecond
)

// besideFrame is what the mailbox counts in besides: a check sequence and a VLAN tag.
const besideFrame = 4 + 4

// lengthen asks the physical function to let frames of up to n bytes in, by the function's mailbox. Nobody is waited for for
// ever.
func (f *Function) lengthen(n int) error {
	f.regs.Read32(igb.V2PMAILBOX) // what was said to others before is not for this question
	if err := f.takeMailbox(); err != nil {
		return err
	}
	f.regs.Write32(igb.VMBMEM0, igb.VF_SET_LPE)
	f.regs.Write32(igb.VMBMEM0+4, uint32(n+besideFrame))
	f.regs.Write32(igb.V2PMAILBOX, igb.V2P_REQ)
	if err := f.awaitMailbox(func(v uint32) bool { return v&igb.V2P_PFSTS != 0 }); err != nil {
		return err
	}
	reply := f.regs.Read32(igb.VMBMEM0)
	f.regs.Write32(igb.V2PMAILBOX, igb.V2P_ACK)
	switch {
	case reply&0xffff != igb.VF_SET_LPE:
		return fmt.Errorf("%w: the answer is %#x", errNoAnswer, reply)
	case reply&igb.VT_ACK == 0:
		return ErrRefused
	}
	return nil
}

// takeMailbox takes the words that both sides share.
func (f *Function) takeMailbox() error {
	return f.awaitMailbox(func(uint32) bool {
		f.regs.Write32(igb.V2PMAILBOX, igb.V2P_VFU)
		return f.regs.Read32(igb.V2PMAILBOX)&igb.V2P_VFU != 0
	})
}

// awaitMailbox waits until the mailbox is as wanted.
func (f *Function) awaitMailbox(wanted func(v uint32) bool) error {
	for begin := time.Now(); ; time.Sleep(answerPoll) {
		v := f.regs.Read32(igb.V2PMAILBOX)
		if v == ^uint32(0) {
			return fmt.Errorf("nic: the mailbox reads as ones: %w", ErrReset)
		}
		if wanted(v) {
			return nil
		}
		if time.Since(begin) > answerWithin {
			return errNoAnswer
		}
	}
}
