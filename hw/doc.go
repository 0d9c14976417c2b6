// Package hw is the room of the hardware: each package below it holds one device or table as its manual defines it, registers,
// descriptors, layouts and how their bits are packed. Knowledge only: no policy, no imports from outside this room, and no
// access to a machine. Drivers do that, with what they learn here, and so everything here is tested on any computer.
//
// A package whose comment says that it "runs without a Go runtime" is used by the platform's trap handlers and by other code
// that runs where no Go runtime was started. It must not allocate, nor contain a panic (the compiler must see that no index
// can be out of range), nor use maps, closures, defer or fmt, nor need an init function. A test in this folder reads the
// compiler's output and holds each such package to that; only its file names.go, which makes texts for reports, is free.
package hw
