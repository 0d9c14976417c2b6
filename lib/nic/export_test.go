package nic

import "fmt"

// Verify finds out whether each buffer is in exactly one place. For tests.
func (q *Queue) Verify() error {
	places := make([]string, len(q.kept))
	put := func(at uint32, where string) error {
		n := at / q.size
		if at%q.size != 0 || int(n) >= len(places) {
			return fmt.Errorf("%s holds %#x, which is no buffer", where, at)
		}
		if places[n] != "" {
			return fmt.Errorf("buffer %d is in %s and in %s", n, places[n], where)
		}
		places[n] = where
		return nil
	}
	for i := range q.rxBuffer {
		if err := put(q.rxBuffer[i], fmt.Sprintf("receive slot %d", i)); err != nil {
			return err
		}
		if err := put(q.txBuffer[i], fmt.Sprintf("transmit slot %d", i)); err != nil {
			return err
		}
		if q.rx[i].lo != q.address+uint64(q.rxBuffer[i]) && q.rx[i].hi&1 == 0 {
			return fmt.Errorf("receive slot %d has address %#x, want %#x", i, q.rx[i].lo, q.address+uint64(q.rxBuffer[i]))
		}
	}
	for i, at := range q.spare {
		if err := put(at, fmt.Sprintf("spare place %d", i)); err != nil {
			return err
		}
	}
	for n, kept := range q.kept {
		if kept {
			if err := put(uint32(n)*q.size, "the caller's hands"); err != nil {
				return err
			}
		}
	}
	for n, where := range places {
		if where == "" {
			return fmt.Errorf("buffer %d is nowhere", n)
		}
	}
	return nil
}
