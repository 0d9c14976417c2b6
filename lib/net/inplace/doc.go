// Package inplace is the shortest way from a received frame to its answer: Ethernet, ARP, IPv4, ICMP echo and UDP, each frame run to
// completion in the goroutine that polls the ring, each answer built in the buffer in which the question arrived. It copies
// nothing and allocates nothing. Beside it there is a complete stack for everything else; an application may use either, both, or
// write its own on package nic.
//
// It follows RFC 826 and RFC 5227 (ARP), RFC 791 and RFC 1122 (IPv4, and what a host drops), RFC 6864 (identification), RFC 792
// (ICMP), RFC 768 (UDP), RFC 1071 and RFC 1624 (checksums). IPv4 options and fragments are dropped and counted, on purpose. An
// answer goes back to the station that the question came from.
//
// It must never trust a length that a frame claims, answer what is not addressed to it alone, let a stranger's ARP grow a table, or
// keep the time: who polls says what time it is, with Tick.
package inplace
