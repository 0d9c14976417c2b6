// Package inet is what TCP/IP is without memory and without a wire: headers, checksums and the state of a TCP connection, as pure
// functions of what came before. The platform (metal/platform) owns buffers, sockets, timers and the network function, and
// asks this package what a segment means and what is to be sent next.
//
// It follows RFC 9293 (TCP), 7323 (timestamps, window scale), 2018 and 6675 (selective acknowledgements), 5681, 6582 and 3042
// (congestion control; NewReno for peers without them), 6298 (retransmission timer), 5961 (blind attacks), 4987 (SYN cookies), 1122 (delayed
// acknowledgements, keep-alive), 1337 and 6191 (TIME-WAIT); RFC 791, 8200, 792, 4443, 768 and 826 for the headers, 4861 and 8106 for
// neighbour discovery, 5722 for fragments, 2131, 2132 and 5227 for the client of DHCP.
//
// Its code runs at trap level, where there is no Go runtime: it must never allocate, call through interfaces, defer, or use maps,
// channels or strings that are built. A test of the platform reads the calls out of the disassembly. What comes from
// the wire is hostile: every length is checked here, and nowhere else.
package inet
