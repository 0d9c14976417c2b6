package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestDatagrams has an echo server lose a datagram.
func TestDatagrams(t *testing.T) {
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Skip("no loopback network:", err)
	}
	defer c.Close()
	go func() {
		b := make([]byte, 100)
		for i := 0; ; i++ {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if i != 50 {
				_, _ = c.WriteTo(b[:n], from)
			}
		}
	}()
	l, err := datagrams(t.Context(), c.LocalAddr().String(), 1, until{requests: 200})
	if err != nil || l.Requests != 200 || l.Lost != 1 {
		t.Errorf("got %+v, error %v", l, err)
	}
	if l.P50 <= 0 || l.P99 < l.P50 || l.Rate <= 0 {
		t.Errorf("got %+v", l)
	}
}

func TestStreams(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer web.Close()
	address := web.Listener.Addr().String()
	if l, err := streams(t.Context(), address, 4, until{requests: 100}, getOnce); err != nil || l.Requests != 100 {
		t.Errorf("got %+v, error %v", l, err)
	}
	if l, err := streams(t.Context(), address, 2, until{time: 50 * time.Millisecond}, getOnce); err != nil || l.Requests == 0 {
		t.Errorf("got %+v, error %v", l, err)
	}
	lost := httptest.NewServer(http.NotFoundHandler())
	defer lost.Close()
	c, err := net.Dial("tcp4", lost.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := getOnce(c, make([]byte, 4096)); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a page that is not there: error %v", err)
	}
}

// TestArchive compares with what cpio -o -H newc writes.
func TestArchive(t *testing.T) {
	var b bytes.Buffer
	archive(&b, "ab", 0o100755, []byte("xyz"))
	want := "070701" + "00000000" + "000081ed" + "00000000" + "00000000" + "00000001" + "00000000" + "00000003" +
		strings.Repeat("00000000", 4) + "00000003" + "00000000" + "ab\x00\x00\x00\x00" + "xyz\x00"
	if got := b.String(); got[:110] != want[:110] || len(got)%4 != 0 || !strings.HasSuffix(got, "xyz\x00") || !strings.HasPrefix(got[110:], "ab\x00") {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestSummary(t *testing.T) {
	if l := summary(nil, time.Second, 3); l.Requests != 0 || l.Lost != 3 {
		t.Errorf("of nothing: %+v", l)
	}
	l := summary([]time.Duration{4000, 2000, 1000, 3000}, time.Millisecond, 0)
	if l.Requests != 4 || l.Rate != 4000 || l.P50 != 3 || l.P99 != 4 {
		t.Errorf("got %+v", l)
	}
}
