// Package nictest is a software model of the virtual function of an Intel 82576 Ethernet controller, for tests of drivers and
// network stacks without a machine: registers, both descriptor rings, checksums, segmentation of TCP, interrupts.
//
// It follows the Intel 82576 GbE Controller Datasheet, revision 2.65, sections 7.1 to 7.3 and 8.26, and not QEMU's igb where that is
// more forgiving: transmit contexts and pseudo-header sums are used and not guessed, transmission can be late, rings can be full. It
// can also be as hostile as hardware cannot: see Device.MangleRx. It knows nothing of package nic's code, on purpose: the two were
// written from the datasheet separately and meet only in nic.Memory.
//
// It is for tests only, and must never be linked into a program that drives a device.
package nictest
