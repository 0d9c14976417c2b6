package inplace

// The table of neighbours: 64 sets of 4. It never grows. A stranger can displace at most what shares a set, and an answer that
// nobody asked for enters nobody new.
const (
	sets = 64
	ways = 4
)

// Ages, in seconds.
const (
	freshFor  = 300 // a neighbour is asked again after that
	askEvery  = 1
	waitReply = 3 // an answer that is later was not asked for
)

// neighbour is one entry. mac is 0 while the answer is awaited.
type neighbour struct {
	mac   uint64
	addr  uint32
	since uint32 // when it was learned or asked for
}

type neighbours [sets][ways]neighbour

// set is where an address belongs. Neighbours differ in the last byte, which is the highest as it lies in memory.
func (n *neighbours) set(addr uint32) *[ways]neighbour {
	return &n[(addr>>24^addr>>16*7)%sets]
}

func (n *neighbours) entry(addr uint32) *neighbour {
	set := n.set(addr)
	for i := range set {
		if set[i].addr == addr {
			return &set[i]
		}
	}
	return nil
}

// find is a neighbour's Ethernet address, 0 when it is not known.
func (n *neighbours) find(addr, now uint32) uint64 {
	if e := n.entry(addr); e != nil && now-e.since <= freshFor {
		return e.mac
	}
	return 0
}

// known says whether a neighbour's Ethernet address was learned once.
func (n *neighbours) known(addr uint32) bool {
	e := n.entry(addr)
	return e != nil && addr != 0 && e.mac != 0
}

// learn enters a neighbour, and says whether another had to go.
func (n *neighbours) learn(addr uint32, mac uint64, now uint32) bool {
	e, displaced := n.place(addr, now)
	*e = neighbour{mac, addr, now}
	return displaced
}

// place is where an address is or may be entered: its own place, an empty one, or that of the oldest.
func (n *neighbours) place(addr, now uint32) (e *neighbour, displaced bool) {
	if e := n.entry(addr); e != nil {
		return e, false
	}
	set := n.set(addr)
	oldest := &set[0]
	for i := range set {
		e := &set[i]
		if e.addr == 0 {
			return e, false
		}
		if now-e.since > now-oldest.since {
			oldest = e
		}
	}
	return oldest, true
}

// asking says whether a question may be sent now, and notes that it is.
func (n *neighbours) asking(addr, now uint32) bool {
	e, _ := n.place(addr, now)
	if e.addr == addr && e.mac == 0 && now-e.since < askEvery {
		return false
	}
	*e = neighbour{0, addr, now}
	return true
}

// answered enters an answer, if it was asked for or the neighbour is known.
func (n *neighbours) answered(addr uint32, mac uint64, now uint32) bool {
	e := n.entry(addr)
	if e == nil || e.mac == 0 && now-e.since > waitReply {
		return false
	}
	*e = neighbour{mac, addr, now}
	return true
}
