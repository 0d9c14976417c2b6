// Package gateway connects the sockets of an unchanged program with a network. The program uses package net as on any computer.
// The platform beneath it has no network: it hands to this package, in the same program, what goes to addresses of others, and
// takes from it what comes from there (metal/platform/socket_gateway.go says how). A Transport, such as a network stack on a
// network card, is the outside.
//
// Connections are relayed, not forwarded: there are two, one between the program and this package without segments and timers,
// and one of the Transport. The end of data, resets and errors go from one to the other as in TCP (RFC 9293): a half that ends
// leaves the other half open, and a reset is a reset. Datagrams are UDP over IPv4 (RFC 768, RFC 791).
//
// It must never let the outside reach what listens on loopback, or speak with an address of the container; wait in a thread; or
// allocate for a datagram. It keeps no more than the configured number of connections.
package gateway
