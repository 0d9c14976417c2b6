package machine

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestArgs(t *testing.T) {
	tests := []struct {
		name string
		c    Config
		want []string // adjacent arguments that must be there
	}{
		{"tcg", Config{CPUs: 2, Memory: 1 << 30, Accel: TCG}, []string{"-accel tcg,thread=multi -cpu EPYC,+svm,+npt,+x2apic -m 1048576K -smp 2"}},
		{"kvm", Config{Accel: KVM}, []string{"-accel kvm -cpu host,+svm,+x2apic"}},
		{"icount", Config{Accel: TCG, Icount: true}, []string{"-accel tcg,thread=single -icount shift=0,sleep=off"}},
		{"always", Config{Accel: TCG, Image: "i.elf", ExtraArgs: []string{"-s"}}, []string{"-machine q35", "-no-reboot", "-device isa-debug-exit,iobase=0xf4,iosize=4",
			"-serial file:/dev/fd/3 -serial stdio", "-kernel i.elf -s"}},
		{"qmp", Config{QMP: true, Dir: "/d/"}, []string{"-qmp unix:/d/qmp.sock,server=on,wait=off"}},
	}
	for _, tt := range tests {
		got := " " + strings.Join(tt.c.args(), " ") + " "
		for _, want := range tt.want {
			if !strings.Contains(got, " "+want+" ") {
				t.Errorf("%s: got %s, want %q in it", tt.name, got, want)
			}
		}
	}
}

func TestProbeKVM(t *testing.T) {
	tests := []struct {
		name   string
		files  map[string]string
		usable bool
	}{
		{"nothing", nil, false},
		{"amd, nested", map[string]string{"dev/kvm": "", "sys/module/kvm_amd/parameters/nested": "1\n"}, true},
		{"amd, nested, older", map[string]string{"dev/kvm": "", "sys/module/kvm_amd/parameters/nested": "Y\n"}, true},
		{"amd, off", map[string]string{"dev/kvm": "", "sys/module/kvm_amd/parameters/nested": "0\n"}, false},
		{"intel", map[string]string{"dev/kvm": "", "sys/module/kvm_intel/parameters/nested": "Y\n"}, false},
		{"no device", map[string]string{"sys/module/kvm_amd/parameters/nested": "1\n"}, false},
	}
	for _, tt := range tests {
		root := t.TempDir() + "/"
		for name, text := range tt.files {
			if err := os.MkdirAll(filepath.Dir(root+name), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root+name, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if got := probeKVMIn(root).Usable(); got != tt.usable {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.usable)
		}
	}
}

func TestParseMeminfo(t *testing.T) {
	total, free := parseMeminfo("MemTotal:   1024 kB\nMemFree: 7 kB\nbroken\nMemAvailable:  512 kB\n")
	if total != 1<<20 || free != 512<<10 {
		t.Errorf("got %d, %d", total, free)
	}
}

// FuzzEvents feeds the event port with anything: decoding must end, and never in a panic or without progress.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("{\"event\":\"done\",\"code\":1}\n"))
	f.Add([]byte("{\"event\":\"output\",\"data\":\"aGkK\"}\n\n\nx"))
	f.Add([]byte("{\"event\":3}\nnull\n[]\n{}\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := newEventReader(strings.NewReader(string(in)))
		for range len(in) + 1 {
			ev, err := r.next()
			switch {
			case err == io.EOF:
				return
			case err != nil && !errors.Is(err, ErrGarbage):
				t.Fatal(err)
			case err == nil && ev.Event == "":
				t.Fatalf("an event without a name from %q", in)
			}
		}
		if _, err := r.next(); err != io.EOF {
			t.Fatalf("more events than bytes in %q", in)
		}
	})
}

func TestLongestLine(t *testing.T) {
	head, foot := `{"event":"output","data":"`, "\"}\n"
	pad := strings.Repeat("QUJD", (MaxLine-len(head)-len(foot))/4)
	r := newEventReader(strings.NewReader(head + pad + foot))
	ev, err := r.next()
	if err != nil || len(ev.Data) != len(pad)/4*3 {
		t.Errorf("got %d bytes, error %v", len(ev.Data), err)
	}
	r = newEventReader(strings.NewReader(head + pad + "QUJD" + foot))
	if _, err := r.next(); !errors.Is(err, ErrGarbage) {
		t.Errorf("got error %v for a line that is too long", err)
	}
}

func TestTail(t *testing.T) {
	var tl tail
	tl.Write([]byte("one\ntwo\n"))
	if got := string(tl.bytes()); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
	line := append(slices.Repeat([]byte("z"), 99), '\n')
	for range 5000 {
		tl.Write(line)
	}
	if got := len(tl.bytes()); got%100 != 0 || got > tailSize || got < tailSize-100 {
		t.Errorf("kept %d bytes", got)
	}
}
