package inplace

import (
	"bytes"
	"net/netip"
	"testing"

	"nom.dev/nom/lib/nic"
	"nom.dev/nom/lib/nic/nictest"
	"pgregory.net/rapid"
)

// TestFastIsNoOther: Input answers as the longer way would, with the same bytes and the same counters, whatever the frame. Only the
// checksums are left to the device, which the model of it fills in here.
func TestFastIsNoOther(t *testing.T) {
	seeds := [][]byte{
		request([]byte("hello")), request(nil), request(make([]byte, 1472)), ping([]byte("abc"), 8), arpFrame(1, peerMAC, peerAddr, ourAddr),
		edit(func(f []byte) { f[20] = 0x40 }), edit(func(f []byte) { f[15] = 0xb8 }), edit(func(f []byte) { f[34], f[35] = 0, 0 }),
	}
	fast := 0
	rapid.Check(t, func(t *rapid.T) {
		f := bytes.Clone(rapid.SampledFrom(seeds).Draw(t, "frame"))
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			f[rapid.IntRange(0, min(len(f), 60)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		status := nic.Status(nictest.Check(f))
		if rapid.IntRange(0, 9).Draw(t, "status") == 0 {
			status = nic.Status(rapid.Uint32().Draw(t, "any status"))
		}
		result := rapid.SampledFrom([]int{NoReply, Taken, 0, 1, 5, 1472, 1473, 2006, 2007, 1 << 20}).Draw(t, "result")
		var stacks [2]*Stack
		var buffers [2][]byte
		var answers [2]Answer
		for i := range stacks {
			s, err := New(Config{MAC: ourMAC, Address: netip.PrefixFrom(ourAddr, 24), Offload: true, MaxSize: 2000})
			if err != nil {
				t.Fatal(err)
			}
			_ = s.Listen(7, func(_ Endpoint, b []byte) int {
				if result > 0 && result <= cap(b) {
					copy(b[:result], bytes.Repeat([]byte("answer"), 400))
				}
				return result
			})
			stacks[i], buffers[i] = s, inBuffer(f)
			if i == 0 {
				answers[i] = s.Input(buffers[i], status)
			} else {
				answers[i] = s.anyFrame(buffers[i], status)
			}
		}
		if answers[0] != answers[1] || stacks[0].Counters != stacks[1].Counters {
			t.Fatalf("frame % x, status %#x: fast %+v %+v, else %+v %+v", f, status, answers[0], stacks[0].Counters, answers[1], stacks[1].Counters)
		}
		if answers[0].N <= 0 {
			return
		}
		a, b := buffers[0][:answers[0].N], buffers[1][:answers[1].N]
		if answers[0].Offload == nic.UDP {
			fast++
			if !nictest.InsertChecksums(a) || !nictest.InsertChecksums(b) {
				t.Fatal("the device would not send it")
			}
			if wordSum(a[14:34]) != 0 || wordSum(pseudoHeader(a[14:34], len(a)-34), a[34:]) != 0 {
				t.Fatalf("checksums of % x are wrong", a)
			}
		}
		if !bytes.Equal(a, b) {
			t.Fatalf("frame % x: fast % x, else % x", f, a, b)
		}
	})
	if fast == 0 {
		t.Error("no frame took the short way")
	}
}
