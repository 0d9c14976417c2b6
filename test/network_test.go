package test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"nom.dev/nom/abi/manifest"
	"nom.dev/nom/api"
)

// place puts a guest into QEMU's user network.
func (g *guest) place(address string) *guest {
	g.NIC = true
	g.Network = &manifest.Network{Address: netip.MustParsePrefix(address), Gateway: netip.MustParseAddr("10.0.2.2")}
	return g
}

// byDHCP has a guest ask QEMU's user network for an address: the first one that asks gets 10.0.2.15.
func (g *guest) byDHCP() *guest {
	g.NIC = true
	g.Network = &manifest.Network{DHCP: true}
	return g
}

// TestUplink: unchanged programs in two containers, each with a network function of its own. One serves HTTP to this computer;
// the other is a client of this computer, over TCP and UDP, as soon as it starts. Both through the platform's own TCP/IP, where the client
// has its address by DHCP, and through gVisor's.
func TestUplink(t *testing.T) {
	for _, stack := range []string{"", manifest.StackGVisor} {
		t.Run("stack="+stack, func(t *testing.T) { testUplink(t, stack) })
	}
}

func testUplink(t *testing.T, stack string) {
	page := strings.Repeat("nom ", 1<<18)
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) }))
	defer outside.Close()
	datagrams := answerDatagrams(t, "127.0.0.1:0")
	closed := freeTCPPort(t)
	fetch := run("test/programs/fetch", "http://10.0.2.2:"+portOf(outside.Listener.Addr()), "10.0.2.2:"+portOf(datagrams.LocalAddr()),
		fmt.Sprintf("10.0.2.2:%d", closed)).byDHCP()
	web := run("apps/web").place("10.0.2.30/24")
	own := "10.0.2.15/24"
	if stack != "" {
		fetch.place("10.0.2.16/24")
		fetch.Network.Stack, web.Network.Stack = stack, stack
		own = "10.0.2.16/32" // nobody tells the sockets how large the network is
	}
	port := freeTCPPort(t)
	fetched := make(chan struct{})
	hw := hardware{cpus: 2, memory: gib, watch: func(ev api.Event) {
		if ev.Event == api.EventExit && ev.Container == "fetch" {
			close(fetched) // once: nothing starts it again
		}
	}}
	s := serve(t, hw, fmt.Sprintf("user,hostfwd=tcp:127.0.0.1:%d-10.0.2.30:8080", port), nil, web, fetch)
	err := browse(s.ctx, fmt.Sprintf("http://127.0.0.1:%d/", port), 8, 50)
	if err == nil {
		select {
		case <-fetched:
		case <-s.ctx.Done():
			err = errors.New("the client did not end")
		}
	}
	s.answered(err)
	want := fmt.Sprintf("got %d bytes, error <nil>\nanswered \"answer\"\nnobody answers where nobody listens\nown address %s\n", len(page), own)
	if got := s.containers["fetch"].stdout; got != want {
		t.Errorf("fetch printed\n%s\nwant\n%s%s", got, want, s.said())
	}
	said := s.containers["fetch"].stderr
	if stack == "" && said != "nom: the container has an address by DHCP: 10.0.2.15/24\n" {
		t.Errorf("before and while it found the network at its start, it said\n%s", said)
	}
}

// web6 is the address of the first network function's container in QEMU's user network: of its Ethernet address, see
// igb.PF.DefaultFilter.
const web6 = "fec0::5054:ff:fe12:2456"

// bulk6 is that of the fourth.
const bulk6 = "fec0::5054:ff:fe12:7456"

// TestIPv6: an unchanged program reaches this computer over IPv6, from the address that it made of a router's prefix. Another
// reaches a server in the container beside it, which listens for both families. Two more send each other much, in segments that the card cuts.
func TestIPv6(t *testing.T) {
	listener, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("this computer has no ::1: %v", err)
	}
	page := strings.Repeat("six ", 1<<16)
	outside := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) })}}
	outside.Start()
	defer outside.Close()
	datagrams := answerDatagrams(t, "[::1]:0")
	answers := "[fec0::2]:" + portOf(datagrams.LocalAddr())
	web := run("apps/web").place("10.0.2.15/24")
	fetch := run("test/programs/fetch", "http://[fec0::2]:"+portOf(listener.Addr()), answers,
		fmt.Sprintf("[fec0::2]:%d", freeTCPPort(t))).place("10.0.2.16/24")
	beside := run("test/programs/fetch", "http://["+web6+"]:8080", answers, "["+web6+"]:9").named("beside").place("10.0.2.17/24")
	bulk := run("test/programs/bulk").place("10.0.2.18/24")
	copies := run("test/programs/bulk", "["+bulk6+"]:9", "5000000").named("copies").place("10.0.2.19/24")
	fetched := make(chan string, 5)
	hw := hardware{cpus: 3, memory: gib, watch: func(ev api.Event) {
		if ev.Event == api.EventExit {
			fetched <- ev.Container
		}
	}}
	s := serve(t, hw, "user", nil, web, fetch, beside, bulk, copies)
	for range 3 {
		select {
		case <-fetched:
		case <-s.ctx.Done():
			err = errors.New("a client did not end")
		}
	}
	s.answered(err)
	want := fmt.Sprintf("got %d bytes, error <nil>\nanswered \"answer\"\nnobody answers where nobody listens\nown address fec0::", len(page))
	got := s.containers["fetch"].stdout
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "/64\n") {
		t.Errorf("fetch printed\n%s\nwant\n%s...%s", got, want, s.said())
	}
	want = "bytes, error <nil>\nanswered \"answer\"\nnobody answers where nobody listens\nown address fec0::"
	if got := s.containers["beside"].stdout; !strings.Contains(got, want) {
		t.Errorf("beside printed\n%s\nwant\n...%s...%s", got, want, s.said())
	}
	if got := s.containers["copies"].stdout; !strings.HasSuffix(got, "equal: true\n") {
		t.Errorf("copies printed\n%s%s", got, s.said())
	}
	t.Log(s.containers["copies"].stdout)
}

// browse asks for a page from several connections at a time, each so many times.
func browse(ctx context.Context, url string, connections, times int) error {
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	if err := awaitPage(ctx, &client, url); err != nil {
		return err
	}
	errs := make(chan error, connections)
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for range times {
				if err := getPage(ctx, &client, url); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// awaitPage asks until the server is there.
func awaitPage(ctx context.Context, client *http.Client, url string) error {
	for {
		err := getPage(ctx, client, url)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func getPage(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r, err := client.Do(request)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && !strings.HasPrefix(string(body), "hello, 10.0.2.2:") {
		err = fmt.Errorf("%s answered %q", url, body)
	}
	return err
}

// answerDatagrams answers at a UDP address of this computer until the test ends.
func answerDatagrams(t *testing.T, address string) net.PacketConn {
	t.Helper()
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if string(b[:n]) == "question" {
				_, _ = c.WriteTo([]byte("answer"), from)
			}
		}
	}()
	return c
}

func portOf(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}
