package machine_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nom.dev/nom/api"
	"nom.dev/nom/machine"
)

// realQEMU skips the test when there is no QEMU, and fails it in CI.
func realQEMU(t *testing.T) {
	t.Helper()
	if q := machine.Probe(t.Context()).QEMU; q.Err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(q.Err)
		}
		t.Skip(q.Err)
	}
}

// TestQEMU boots a machine of a few instructions on the real QEMU: it prints on both serial ports and stops itself.
func TestQEMU(t *testing.T) {
	realQEMU(t)
	for _, icount := range []bool{false, true} {
		image := writeImage(t, "hello console\n", `{"event":"machine","cpus":3}`+"\n"+`{"event":"done","code":21}`+"\n", 21)
		var console bytes.Buffer
		var got []api.Event
		c := machine.Config{Image: image, CPUs: 2, Memory: 128 << 20, Accel: machine.TCG, Icount: icount, Console: &console}
		code, err := machine.Run(t.Context(), c, func(ev api.Event) { got = append(got, ev) })
		if err != nil || code != 21 {
			t.Fatalf("icount %v: code %d, error %v", icount, code, err)
		}
		if len(got) != 2 || got[0].CPUs != 3 {
			t.Errorf("icount %v: events %+v", icount, got)
		}
		if got := console.String(); got != "hello console\n" {
			t.Errorf("icount %v: console %q", icount, got)
		}
	}
}

// TestQEMUStops checks how the real QEMU's ends are understood.
func TestQEMUStops(t *testing.T) {
	realQEMU(t)
	run := func(c machine.Config) *machine.Failure {
		t.Helper()
		c.Accel = machine.TCG
		_, err := machine.Run(t.Context(), c, func(api.Event) {})
		var f *machine.Failure
		if !errors.As(err, &f) {
			t.Fatalf("got %v, want a failure", err)
		}
		return f
	}
	image := writeImage(t, strings.Repeat(strings.Repeat("c", 99)+"\n", 1000), "", 5)
	f := run(machine.Config{Image: image})
	if code, ok := f.Exit.DebugCode(); !ok || code != 5 {
		t.Errorf("debug exit: got %+v", f.Exit)
	}
	if f := run(machine.Config{Image: writeImage(t, "", "", 0)}); !strings.Contains(f.Error(), "code 0") {
		t.Errorf("debug exit with 0: got %q", f)
	}
	if n := len(f.Console); n < 60<<10 {
		t.Errorf("console: kept %d bytes", n)
	}
	f = run(machine.Config{Image: image, ExtraArgs: []string{"-device", "no-such-device"}})
	if !strings.Contains(f.Error(), "no-such-device") {
		t.Errorf("a device that does not exist: got %q", f)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("not an image"), 0o666); err != nil {
		t.Fatal(err)
	}
	if f = run(machine.Config{Image: bad}); f.Exit.Message == "" {
		t.Errorf("not an image: got %q", f)
	}
}

// loadAddr is where the image of writeImage lies.
const loadAddr = 0x100000

// writeImage writes a bootable ELF file (PVH) that prints a text on each serial port and writes code to the debug-exit
// port.
func writeImage(t *testing.T, console, events string, code byte) string {
	t.Helper()
	le := binary.LittleEndian
	const codeSize, headSize = 96, 52 + 2*32 + 20
	text1 := uint32(loadAddr + codeSize)
	text2 := text1 + uint32(len(console)) + 1
	puts := func(b []byte, text uint32, port uint16) []byte {
		b = le.AppendUint32(append(b, 0xbe), text)                                // mov esi, text
		b = le.AppendUint16(append(b, 0x66, 0xba), port)                          // mov dx, port
		b = append(b, 0x83, 0xc2, 5, 0xec, 0xa8, 0x20, 0x74, 0xfb, 0x83, 0xea, 5) // wait: edx += 5; in; test 0x20; jz; edx -= 5
		return append(b, 0xac, 0x84, 0xc0, 0x74, 3, 0xee, 0xeb, 0xed)             // lodsb; test; jz on; out dx, al; jmp wait
	}
	body := puts([]byte{0xfc}, text1, 0x3f8) // cld
	body = puts(body, text2, 0x2f8)
	body = append(body, 0xb8, code, 0, 0, 0, 0x66, 0xba, 0xf4, 0, 0xef, 0xf4) // mov eax, code; mov dx, 0xf4; out dx, eax; hlt
	body = append(body, make([]byte, codeSize-len(body))...)
	body = append(body, console+"\x00"+events+"\x00"...)

	b := append([]byte("\x7fELF\x01\x01\x01"), make([]byte, 9)...)
	for _, v := range []uint16{2, 3} { // ET_EXEC, EM_386
		b = le.AppendUint16(b, v)
	}
	for _, v := range []uint32{1, loadAddr, 52, 0, 0} { // version, entry, program headers, sections, flags
		b = le.AppendUint32(b, v)
	}
	for _, v := range []uint16{52, 32, 2, 40, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	size := uint32(len(body))
	for _, v := range []uint32{
		1, headSize, loadAddr, loadAddr, size, size, 7, 4, // PT_LOAD
		4, 52 + 2*32, 0, 0, 20, 20, 4, 4, // PT_NOTE
		4, 4, 18, // the note: sizes, XEN_ELFNOTE_PHYS32_ENTRY
	} {
		b = le.AppendUint32(b, v)
	}
	b = le.AppendUint32(append(b, "Xen\x00"...), loadAddr)
	file := filepath.Join(t.TempDir(), "image.elf")
	if err := os.WriteFile(file, append(b, body...), 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}
