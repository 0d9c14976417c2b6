// Package nic drives the network function that belongs to a container: a virtual function of an Intel 82576 Ethernet
// controller, with its descriptor rings in the container's own memory and its registers in the container's address space.
// Nothing stands between: receiving and transmitting make no system call, no hypercall, no exit, no copy and no allocation.
//
// It follows the Intel 82576 GbE Controller Datasheet, revision 2.65: section 7.1 (receive), 7.2 (transmit), 7.3 (interrupts)
// and 8.26 (registers of virtual functions). It was tested on the software model in package nictest, which implements the
// datasheet where QEMU's igb is simpler.
//
// # Use
//
// One goroutine owns a Queue and calls, in a loop, Receive, then exactly one of Reply, Keep and Drop for the frame, and Flush at
// the end of a batch. Poll does so for a batch, for whoever implements Stack, and Run is the loop around it, which sleeps until an
// interrupt when there is nothing to do. Buffer and Send transmit what is not an answer, and Kick tells Run from another goroutine
// that there is such a thing. A network stack of one's own
// needs nothing else.
//
// Part and SendTCP transmit a packet of TCP of up to 64 KiB, over IPv4 or IPv6, which the device cuts into segments.
//
// # Buffers
//
// Each slot of the receive ring, each slot of the transmit ring and each place of the stack of spare buffers always holds exactly
// one buffer, and a buffer only ever moves by changing places with another: Reply swaps the received frame with the buffer of
// the next slot to be transmitted, Keep swaps it with a spare one. So none can be lost or be in two places, and there is no list
// to search.
//
// # What it must never do
//
// It must not trust the device: a function may be reset under its driver, and what it writes into descriptors is checked
// before it is used, so that the worst that can happen is a lost frame that is counted. It must not touch configuration space or
// the table of MSI-X entries, which stay with the nonkernel.
package nic
