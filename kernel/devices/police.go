package devices

import (
	"nom.dev/nom/abi"
	"nom.dev/nom/kernel/container"
	"nom.dev/nom/kernel/igb"
)

// Limit holds d to a limit until it is detached.
func (s *Set) Limit(d *container.Device, l abi.DeviceLimit) error {
	err := s.card.SetLimit(d.Backend.(*function).number, igb.Limit{
		Tx: igb.Rate{Bytes: bytesOf(l.SendBits), Frames: l.SendFrames}, Rx: igb.Rate{Bytes: bytesOf(l.ReceiveBits), Frames: l.ReceiveFrames},
	})
	select {
	case s.limited <- struct{}{}:
	default: // Watch will look anyway
	}
	return err
}

// Status is what d did since it was attached.
func (s *Set) Status(d *container.Device) abi.DeviceStatus {
	n := d.Backend.(*function).number
	s.blocked()
	b := s.journal.counted(n)
	c, l := s.card.Counters(n), s.card.Limit(n)
	return abi.DeviceStatus{
		Index: d.ID,
		Limit: abi.DeviceLimit{SendBits: l.Tx.Bytes * 8, SendFrames: l.Tx.Frames, ReceiveBits: l.Rx.Bytes * 8, ReceiveFrames: l.Rx.Frames},

		SentFrames: c.TxFrames, SentBytes: c.TxBytes, ReceivedFrames: c.RxFrames, ReceivedBytes: c.RxBytes,
		SendPauses: c.TxPauses, ReceivePauses: c.RxPauses, Resets: c.Resets, SwitchedOff: c.Refusals, Blocked: b.count, BlockedLast: b.last,
	}
}

// bytesOf rounds up, so that a limit never becomes none.
func bytesOf(bits uint64) uint64 { return (bits + 7) / 8 }
