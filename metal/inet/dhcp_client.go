package inet

// The client of DHCP (RFC 2131, 4.4). It asks for an address, looks whether somebody else has it (RFC 5227), keeps the lease and gives the
// address up when that ends. Somebody else sends, and calls Expire when Deadline has come, Input for a message of a server, Conflict when the
// address that is being looked for answered.

// Lease is a place in a network, as a server gives it.
type Lease struct {
	Address, Mask uint32
	Router        uint32 // 0: none
	Server        uint32 // who gave it
	DNS           [mostDHCPServers]uint32
	NumDNS        uint8
}

// DHCPDo says what is to be done, in this order.
type DHCPDo uint8

const (
	DHCPDrop DHCPDo = 1 << iota // Lease is not valid any more: stop using its address
	DHCPTell                    // send the message to everybody, from no address
	DHCPAsk                     // send it to the server, from the address of Lease
	DHCPLook                    // ask by ARP who has the address of Offered
	DHCPUse                     // Lease is valid, perhaps with another router than before
)

type dhcpState uint8

const (
	dhcpInit dhcpState = iota
	dhcpSelecting
	dhcpRequesting
	dhcpLooking
	dhcpBound
	dhcpRenewing
	dhcpRebinding
)

const (
	dhcpFirstWait = second // doubled with each message that nobody answers
	dhcpLastWait  = 64 * second
	dhcpLookFor   = 200 * milli
	dhcpLeastWait = 60 * second // between two requests for more time (4.4.5)
	dhcpAgain     = 10 * second // after an address that somebody had (3.1)
	dhcpRequests  = 4           // for an offer that nobody confirms

	leastLease    = 10 // seconds: a shorter one is not worth its messages
	endlessLease  = 0xffff_ffff
	mostBits      = 30
	hostileOffers = 6 // so often the wait after a refusal is doubled
)

// DHCPClient is the state of a client.
type DHCPClient struct {
	Lease   Lease // while Bound
	Offered Lease

	mac     uint64
	key     Key
	drawn   uint64 // random numbers
	state   dhcpState
	xid     uint32
	name    [mostDHCPName]byte
	nameLen uint8

	tries    uint8  // messages without an answer
	refused  uint8  // requests that were refused, or addresses that others had
	begun    uint64 // when asking began
	asked    uint64 // when the message was sent that a lease counts from
	deadline uint64 // 0: never

	seconds, renew, rebind   uint32 // of the lease that is offered
	renewAt, rebindAt, endAt uint64 // 0: never
}

// Start begins to ask, at once. name is what the client calls itself, or nothing.
func (c *DHCPClient) Start(mac uint64, key Key, name []byte, now uint64) {
	*c = DHCPClient{mac: mac, key: key, begun: now, deadline: now}
	c.nameLen = uint8(copy(c.name[:], name))
}

// Bound tells whether there is a valid lease.
func (c *DHCPClient) Bound() bool { return c.state >= dhcpBound }

// Deadline is when Expire is to be called; 0: never.
func (c *DHCPClient) Deadline() uint64 { return c.deadline }

// Looking tells whether it is looked who has the address of Offered.
func (c *DHCPClient) Looking() bool { return c.state == dhcpLooking }

func (c *DHCPClient) random() uint64 {
	c.drawn++
	return c.key.hash(c.mac, c.drawn, 0xd4c9, 0)
}

// message begins a message.
func (c *DHCPClient) message(m *DHCP, kind uint8, now uint64) {
	*m = DHCP{Type: kind, XID: c.xid, MAC: c.mac, Name: c.name, NameLen: c.nameLen, Seconds: uint16(min((now-c.begun)/second, 0xffff))}
}

// backoff is how long to wait for an answer: twice as long each time, and not the same for all clients.
func (c *DHCPClient) backoff() uint64 {
	d := min(uint64(dhcpFirstWait)<<min(c.tries, 10), dhcpLastWait)
	c.tries++
	return d - d/8 + c.random()%(d/4)
}

// Expire does what the time has come for. m gets the message to send, if there is one.
func (c *DHCPClient) Expire(m *DHCP, now uint64) DHCPDo {
	if c.deadline == 0 || now < c.deadline {
		return 0
	}
	switch c.state {
	case dhcpInit:
		return c.discover(m, now)
	case dhcpSelecting:
		c.message(m, DHCPDiscover, now)
		c.deadline = now + c.backoff()
		return DHCPTell
	case dhcpRequesting:
		if c.tries >= dhcpRequests {
			return c.discover(m, now)
		}
		return c.request(m, now)
	case dhcpLooking:
		if c.over(now) {
			return c.again(m, now)
		}
		c.bind(now)
		return DHCPUse
	}
	switch {
	case now >= c.endAt:
		return DHCPDrop | c.again(m, now)
	case now >= c.rebindAt:
		if c.state != dhcpRebinding {
			c.state, c.xid = dhcpRebinding, uint32(c.random())
		}
		return c.extend(m, DHCPTell, c.endAt, now)
	case c.state == dhcpBound:
		c.state, c.xid, c.begun = dhcpRenewing, uint32(c.random()), now
	}
	return c.extend(m, DHCPAsk, c.rebindAt, now)
}

// again begins anew, at once.
func (c *DHCPClient) again(m *DHCP, now uint64) DHCPDo {
	c.begun = now
	return c.discover(m, now)
}

func (c *DHCPClient) discover(m *DHCP, now uint64) DHCPDo {
	c.state, c.tries, c.xid = dhcpSelecting, 0, uint32(c.random())
	c.message(m, DHCPDiscover, now)
	c.deadline = now + c.backoff()
	return DHCPTell
}

// request asks for what was offered.
func (c *DHCPClient) request(m *DHCP, now uint64) DHCPDo {
	c.message(m, DHCPRequest, now)
	m.Requested, m.Server = c.Offered.Address, c.Offered.Server
	c.asked, c.deadline = now, now+c.backoff()
	return DHCPTell
}

// extend asks for more time for the lease, and will again when half of the time until then is over.
func (c *DHCPClient) extend(m *DHCP, how DHCPDo, then, now uint64) DHCPDo {
	c.message(m, DHCPRequest, now)
	m.Client = c.Lease.Address
	c.asked = now
	c.deadline = min(now+max((then-now)/2, dhcpLeastWait), then)
	return how
}

// over tells whether the time that is offered has ended. It counts from the request.
func (c *DHCPClient) over(now uint64) bool {
	return c.seconds != endlessLease && now >= c.asked+uint64(c.seconds)*second
}

// bind takes what is offered.
func (c *DHCPClient) bind(now uint64) {
	c.Lease, c.state, c.refused = c.Offered, dhcpBound, 0
	if c.seconds == endlessLease {
		c.renewAt, c.rebindAt, c.endAt, c.deadline = 0, 0, 0, 0
		return
	}
	c.renewAt = c.asked + uint64(c.renew)*second
	c.rebindAt = c.asked + uint64(c.rebind)*second
	c.endAt = c.asked + uint64(c.seconds)*second
	c.deadline = max(c.renewAt, now+1)
}

// Input is a message of a server. m gets the message to send, if there is one; it may be the one that came.
func (c *DHCPClient) Input(m *DHCP, now uint64) DHCPDo {
	if !m.Reply || m.XID != c.xid || m.MAC != c.mac || m.Server == 0 {
		return 0
	}
	switch c.state {
	case dhcpSelecting:
		if m.Type == DHCPOffer && c.take(m) {
			c.state, c.tries = dhcpRequesting, 0
			return c.request(m, now)
		}
	case dhcpRequesting:
		if m.Server != c.Offered.Server {
			return 0
		}
		switch {
		case m.Type == DHCPNak:
			c.refuse(dhcpFirstWait, now)
		case m.Type == DHCPAck && m.Your == c.Offered.Address && c.take(m) && !c.over(now):
			c.state, c.deadline = dhcpLooking, now+dhcpLookFor
			return DHCPLook
		}
	case dhcpRenewing, dhcpRebinding:
		if c.state == dhcpRenewing && m.Server != c.Lease.Server {
			return 0
		}
		switch {
		case m.Type == DHCPNak:
			c.refuse(dhcpFirstWait, now)
			return DHCPDrop
		case m.Type == DHCPAck && m.Your == c.Lease.Address && c.take(m) && !c.over(now):
			c.bind(now)
			return DHCPUse
		}
	}
	return 0
}

// refuse begins anew in a while: later each time, for whoever refuses may do so for ever.
func (c *DHCPClient) refuse(wait, now uint64) {
	c.state, c.deadline = dhcpInit, now+wait<<min(c.refused, hostileOffers)
	c.refused = min(c.refused+1, hostileOffers)
	c.xid, c.begun = uint32(c.random()), now
}

// Conflict is called when somebody else has the address that is looked for: the server is told, and it begins anew.
func (c *DHCPClient) Conflict(m *DHCP, now uint64) DHCPDo {
	if c.state != dhcpLooking {
		return 0
	}
	c.message(m, DHCPDecline, now)
	m.Seconds = 0
	m.Requested, m.Server = c.Offered.Address, c.Offered.Server
	c.refuse(dhcpAgain, now)
	return DHCPTell
}

// take reads what a server gives into Offered. False: nobody can use that.
func (c *DHCPClient) take(m *DHCP) bool {
	l := Lease{Address: m.Your, Mask: m.Mask, Router: m.Router, Server: m.Server}
	if l.Mask == 0 {
		l.Mask = classMask(l.Address)
	}
	host := l.Address &^ l.Mask
	if !usable(l.Address) || ^l.Mask&(^l.Mask+1) != 0 || ^l.Mask < 1<<(32-mostBits)-1 || host == 0 || host == ^l.Mask || m.Lease < leastLease {
		return false
	}
	if (l.Router^l.Address)&l.Mask != 0 || l.Router == l.Address || l.Router&^l.Mask == 0 || l.Router&^l.Mask == ^l.Mask {
		l.Router = 0
	}
	for i := range min(m.NumDNS, mostDHCPServers) {
		if usable(m.DNS[i]) {
			l.DNS[l.NumDNS] = m.DNS[i]
			l.NumDNS++
		}
	}
	c.Offered, c.seconds, c.renew, c.rebind = l, m.Lease, m.Renew, m.Rebind
	if c.rebind == 0 || c.rebind >= c.seconds {
		c.rebind = uint32(uint64(c.seconds) * 7 / 8)
	}
	if c.renew == 0 || c.renew >= c.rebind {
		c.renew = min(c.seconds/2, c.rebind-1)
	}
	return true
}

// usable tells whether a is the address of one computer: not of this one, of none, of many.
func usable(a uint32) bool {
	first := a >> 24
	return first != 0 && first != 127 && first < 224
}

// classMask is the mask that goes with an address without one.
func classMask(a uint32) uint32 {
	switch {
	case a>>31 == 0:
		return 0xff00_0000
	case a>>30 == 2:
		return 0xffff_0000
	}
	return 0xffff_ff00
}
