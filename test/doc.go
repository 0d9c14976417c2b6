// Package test holds what only the whole system can show: tests that boot machines in QEMU with several programs each,
// and tests of the whole source tree. SPECIFICATION.md's promised numbers stand in spec.go, each with the test that
// holds it.
//
// Machines are dear, so each is shared by as many checks as it can serve, and none is booted by "go test -short". The
// programs in programs/ are guests that no user needs. The package must never reach into the nonkernel or the platform:
// it sees what a user of package machine sees.
package test
