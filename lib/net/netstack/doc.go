// Package netstack is a complete TCP/IP over a container's own network function: gVisor's, beside package inplace, which sees every
// frame first. It is the stack that works with everything; who wants a datagram answered in the fewest instructions listens on
// InPlace.
//
// It follows what gVisor's stack follows (RFC 9293, 7323, 2018, 8985, 9438 and others) and what package inplace does.
//
// # Who does what
//
// inplace answers questions of ARP and ICMP echo, and gives UDP datagrams to who listens on it. Datagrams for other ports go to the
// function given to HandleUDP, still in the buffer of the card; TCP, fragments, packets with options and ICMP errors go to gVisor.
// Each of the two stacks has a table of neighbours and asks for those that it wants to send to; inplace passes answers of ARP on,
// and gVisor enters only what it has asked for. So the paths of the two need no lock in common, and gVisor has its own states of
// a neighbour: it finds out when one is gone.
//
// # Goroutines
//
// Serve owns the queue. What other goroutines send goes through a bounded ring and is copied into buffers of the card by Serve, one
// doorbell a batch; what does not fit the ring is lost, as on a wire. gVisor handles TCP in one goroutine for each processor.
//
// # Tuning
//
// No Nagle, as everywhere in Go; SACK with RACK, because lost frames cost more than it does; CUBIC; buffers that start at 256 KiB and
// grow to 4 MiB; checksums by the device in both directions, which also cuts packets of TCP of up to 64 KiB into segments; of
// acknowledgements that one poll finds, gVisor gets the last of each connection, so that it has long packets to send. gVisor's
// HandleLocal is off, which saves a ninth of a datagram's instructions: an address of this stack is not reached through it from
// inside.
//
// # What it must never do
//
// It must not believe a checksum that the device has not said to be right, let the number of connections being established, of
// packets that wait to be sent, or of datagrams that wait for a neighbour's address grow without bound, or block the goroutine of
// Serve. It speaks no IPv6: a virtual function receives no multicast, which finding neighbours needs. A stranger who begins
// connections from false addresses can fill the table of those being established for as long as gVisor waits for each, two
// minutes; meanwhile new ones are ignored, and the established are not concerned.
package netstack
