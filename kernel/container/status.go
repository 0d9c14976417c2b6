package container

import "nom.dev/nom/abi"

// Status describes c as CallStatus does.
func (k *Kernel) Status(c *Container) abi.Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status(c)
}

func (k *Kernel) status(c *Container) abi.Status {
	s := abi.Status{
		ID:         c.ID,
		State:      c.State(),
		Pages:      c.granted,
		Attached:   c.attached,
		PeakPages:  c.peak,
		LentPages:  c.lent,
		VCPUs:      uint32(len(c.VCPUs)),
		Children:   uint32(len(c.children)),
		CreatedTSC: c.Created,
		StartTSC:   c.entered.Load(),
		MainTSC:    c.mainTSC,
		Given:      c.given,
		Overhead:   c.overhead,
		Limit:      c.limit,
	}
	if s.State == abi.StateEnded {
		s.End, s.Code, s.Info, s.EndTSC = c.end, c.code, c.info, c.endTSC
	}
	for _, v := range c.VCPUs {
		s.CPUTime += v.CPUTime.Load()
		for i := range s.Exits {
			s.Exits[i] += v.Exits[i].Load()
		}
	}
	return s
}

// callStatus is status(id, buf).
func (k *Kernel) callStatus(c *Container, id, gpa uint64) abi.Errno {
	of, err := c, abi.Errno(0)
	if id != 0 {
		of, err = c.child(id)
	}
	if err != 0 {
		return err
	}
	s := k.status(of)
	var raw [statusSize]byte
	encodeStatus(&raw, &s)
	return k.copyOut(c, gpa, raw[:])
}
