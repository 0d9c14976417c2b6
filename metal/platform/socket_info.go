package main

import "nom.dev/nom/metal/inet"

// TCP_INFO (struct tcp_info): of a connection with somebody outside what metal/inet knows of it; of one in the container there is the state.

const (
	tcpInfoSize = 232 // what Linux 4.20 had

	infoTimestamps, infoSACK, infoScaled = 1, 2, 4 // in tcpi_options

	noThreshold = 0x7fff_ffff // tcpi_snd_ssthresh of a connection that lost nothing
)

// info fills b, of tcpInfoSize bytes.
func (s *socket) info(b []byte) {
	clear(b)
	b[0] = s.tcpState()
	if s.conn == 0 {
		return
	}
	var i inet.Info
	connectionAt(s.conn).Info(nanotime(), &i)
	b[2], b[3] = i.Retries, i.Probes
	if i.Timestamps {
		b[5] |= infoTimestamps
	}
	if i.SACK {
		b[5] |= infoSACK
	}
	if i.Scaled {
		b[5] |= infoScaled
		b[6] = i.SendScale & 15
	}
	word := func(at int, v uint64) { store32(addressOf(&b[at]), uint32(min(v, 0xffff_ffff))) }
	mss := uint64(max(i.SendMSS, 1))
	word(8, i.RTO/1000)
	word(16, mss)
	word(20, uint64(i.OwnMSS))
	segments := func(at int, n uint32) { word(at, (uint64(n)+mss-1)/mss) }
	segments(24, i.InFlight)
	segments(28, i.SACKed)
	segments(32, i.Lost)
	segments(36, i.Again)
	word(44, i.SinceSent/1_000_000)
	word(52, i.SinceHeard/1_000_000)
	word(56, i.SinceHeard/1_000_000)
	word(60, mtu)
	word(68, i.RTT/1000)
	word(72, i.RTTVar/1000)
	word(76, noThreshold)
	if i.SSThresh < 1<<30 {
		word(76, uint64(i.SSThresh)/mss)
	}
	word(80, max(uint64(i.Cwnd)/mss, 1))
	word(84, uint64(i.OwnMSS))
	word(100, uint64(i.EverAgain))
}
