package inet

import "math/bits"

// Key makes sequence numbers that nobody outside can guess (RFC 6528), and SYN cookies (RFC 4987).
type Key [2]uint64

// hash is SipHash-1-3 of four words.
func (k *Key) hash(a, b, c, d uint64) uint64 {
	v0, v1 := k[0]^0x736f6d6570736575, k[1]^0x646f72616e646f6d
	v2, v3 := k[0]^0x6c7967656e657261, k[1]^0x7465646279746573
	for i, m := range [...]uint64{a, b, c, d, 32 << 56} {
		v3 ^= m
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= m
		if i == 4 {
			v2 ^= 0xff
		}
	}
	for range 3 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

func sipRound(v0, v1, v2, v3 uint64) (uint64, uint64, uint64, uint64) {
	v0 += v1
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v3
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 += v3
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 += v1
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}

// Tuple names a connection: the peer's address, two numbers, and both ports; the own address is the host's.
type Tuple struct {
	Hi, Lo, OwnLo uint64
	Ports         uint32
}

// ISS is where a connection's sequence numbers begin.
func (k *Key) ISS(t *Tuple, now uint64) Seq {
	return Seq(uint32(k.hash(t.Hi, t.Lo, t.OwnLo, uint64(t.Ports))) + uint32(now/4000))
}

// cookieMSS are the sizes that a cookie can remember.
var cookieMSS = [4]uint32{DefaultMSS, 1220, 1440, 1460}

const cookieAge = 64 * second

// Cookie is a sequence number for the answer to s, a SYN, that is kept nowhere: what comes back is checked by FromCookie. A
// connection made so has no options.
func (k *Key) Cookie(t *Tuple, s *Segment, now uint64) Seq {
	m := uint32(0)
	for i := uint32(1); i < 4; i++ {
		if uint32(s.MSS) >= cookieMSS[i] {
			m = i
		}
	}
	age := now / cookieAge
	return k.cookie(t, s.Seq, age, m)
}

// cookie: 28 bits that cannot be guessed, two of the time, two of the size.
func (k *Key) cookie(t *Tuple, peer Seq, age uint64, m uint32) Seq {
	h := k.hash(t.Hi, t.Lo, t.OwnLo^uint64(peer), uint64(t.Ports)|(age<<2|uint64(m))<<32)
	return Seq(uint32(h)&^15 | uint32(age&3)<<2 | m)
}

// FromCookie begins the connection that s, an acknowledgement, completes if it answers a cookie of the last two minutes.
func (c *Conn) FromCookie(k *Key, t *Tuple, s *Segment, mss uint32, now uint64) bool {
	iss := s.Ack - 1
	age := now / cookieAge
	if d := (uint32(age) - uint32(iss)>>2) & 3; d > 1 || uint64(d) > age {
		return false
	} else {
		age -= uint64(d)
	}
	m := uint32(iss) & 3
	if s.Flags&(SYN|ACK|RST) != ACK || iss != k.cookie(t, s.Seq-1, age, m) {
		return false
	}
	c.begin(iss, mss)
	syn := Segment{Seq: s.Seq - 1, Window: s.Window, MSS: uint16(cookieMSS[m])}
	c.state = SynReceived
	c.takeSYN(&syn, now)
	c.nxt, c.max = iss+1, iss+1
	c.rcvAdv = c.rcvNxt + mostWindow
	return true
}
