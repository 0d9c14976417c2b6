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
	results := []int{NoReply, Taken, 0, 1, 5, 1472, 1473, 2006, 2007, 1 << 20}
	fast := 0
	for _, f := range seeds {
		for _, r := range results {
			if compareWays(t, f, nic.Status(nictest.Check(f)), r) {
				fast++
			}
		}
	}
	if fast < 20 {
		t.Errorf("only %d answers were left to the device", fast)
	}
	rapid.Check(t, func(t *rapid.T) {
		f := bytes.Clone(rapid.SampledFrom(seeds).Draw(t, "frame"))
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			f[rapid.IntRange(0, min(len(f), 60)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		status := nic.Status(nictest.Check(f))
		if rapid.IntRange(0, 9).Draw(t, "status") == 0 {
			status = nic.Status(rapid.Uint32().Draw(t, "any status"))
		}
		compareWays(t, f, status, rapid.SampledFrom(results).Draw(t, "result"))
	})
}

// fataler is a testing.T or a rapid.T.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// compareWays gives a frame to two stacks, whose handlers both return result, and says whether the answer was left to the device.
func compareWays(t fataler, f []byte, status nic.Status, result int) bool {
	t.Helper()
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
		return false
	}
	a, b := buffers[0][:answers[0].N], buffers[1][:answers[1].N]
	if answers[0].Offload == nic.UDP {
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
	return answers[0].Offload == nic.UDP
}
