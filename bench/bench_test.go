package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
	if l.P50 <= 0 || l.P99 < l.P50 || l.P999 < l.P99 || l.Rate <= 0 {
		t.Errorf("got %+v", l)
	}
	// An open loop loses those too that nobody answers in time.
	l, err = openDatagrams(t.Context(), c.LocalAddr().String(), schedule{1000, 100 * time.Millisecond})
	if err != nil || l.Requests != 100 || l.Lost != 0 {
		t.Errorf("open loop: got %+v, error %v", l, err)
	}
}

func TestStreams(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer web.Close()
	address := web.Listener.Addr().String()
	w := workload{network: "tcp", once: getOnce}
	s, err := w.dial(t.Context(), address, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, x := range []struct {
		end   until
		least int
	}{{until{requests: 100}, 100}, {until{requests: 101}, 104}, {until{time: 50 * time.Millisecond}, 1}} {
		if l, err := s.load(t.Context(), x.end); err != nil || l.Requests < x.least || x.end.requests != 0 && l.Requests != x.least {
			t.Errorf("until %+v: got %+v, error %v", x.end, l, err)
		}
	}
	lost := httptest.NewServer(http.NotFoundHandler())
	defer lost.Close()
	c, err := net.Dial("tcp4", lost.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := getOnce(&client{Conn: c, b: make([]byte, 4096)}); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a page that is not there: error %v", err)
	}
}

// TestFlight follows datagrams that are answered, lost, late and answered twice.
func TestFlight(t *testing.T) {
	var f flight
	for i := range uint64(4) {
		if n := f.send(time.Duration(i) * time.Second); n != i {
			t.Fatalf("datagram %d has number %d", i, n)
		}
	}
	for _, x := range []struct {
		number uint64
		sent   time.Duration
		ok     bool
	}{{1, time.Second, true}, {1, 0, false}, {3, 3 * time.Second, true}, {4, 0, false}} {
		if sent, ok := f.answer(x.number); sent != x.sent || ok != x.ok {
			t.Errorf("answer %d: got %v, %v, want %v, %v", x.number, sent, ok, x.sent, x.ok)
		}
	}
	f.expire(2 * time.Second) // number 0 is lost; 2 is still on the way
	if f.open != 1 || f.lost != 1 {
		t.Errorf("%d on the way and %d lost, want 1 and 1", f.open, f.lost)
	}
	if _, ok := f.answer(0); ok {
		t.Error("an answer that comes too late counts")
	}
	if sent, ok := f.answer(2); sent != 2*time.Second || !ok {
		t.Errorf("answer 2: got %v, %v", sent, ok)
	}
	if n := f.send(0); n != 4 || f.open != 1 {
		t.Errorf("the next one has number %d, and %d are on the way", n, f.open)
	}
}

// TestSchedule: requests are due evenly, and as many as the rate says.
func TestSchedule(t *testing.T) {
	s := schedule{rate: 250, time: 2 * time.Second}
	if n := s.requests(); n != 500 {
		t.Errorf("%d requests, want 500", n)
	}
	for i, want := range map[int]time.Duration{0: 0, 1: 4 * time.Millisecond, 499: 1996 * time.Millisecond} {
		if got := s.due(i); got != want {
			t.Errorf("request %d is due after %v, want %v", i, got, want)
		}
	}
	var order []int
	begin := time.Now()
	few := schedule{rate: 1000, time: 5 * time.Millisecond}
	few.run(t.Context(), begin, func(i int) {
		if early := few.due(i) - time.Since(begin); early > 0 {
			t.Errorf("request %d was sent %v before it was due", i, early)
		}
		order = append(order, i)
	})
	if want := []int{0, 1, 2, 3, 4}; !slices.Equal(order, want) {
		t.Errorf("sent %v, want %v", order, want)
	}
	if _, err := (workload{network: "tcp"}).open(t.Context(), "", schedule{0.5, time.Second}); err == nil || !strings.Contains(err.Error(), "-time") {
		t.Errorf("half a request: error %v", err)
	}
}

// TestOpenStreams has a server stop for a while: the requests that were due meanwhile waited, though nobody could send them.
func TestOpenStreams(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Skip("no loopback network:", err)
	}
	defer l.Close()
	const pause = 500 * time.Millisecond
	var answers atomic.Int64
	var busy sync.Mutex // one request at a time
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, payload)
				for {
					if _, err := io.ReadFull(c, b); err != nil {
						return
					}
					busy.Lock()
					if answers.Add(1) == openConnections+10 { // each connection is tried once
						time.Sleep(pause)
					}
					busy.Unlock()
					if _, err := c.Write(b); err != nil {
						return
					}
				}
			}()
		}
	}()
	s := schedule{1000, time.Second}
	got, err := openStreams(t.Context(), l.Addr().String(), s, echoOnce)
	if err != nil || got.Requests != 1000 || got.Lost != 0 {
		t.Fatalf("got %+v, error %v", got, err)
	}
	// Half of the requests were due in the pause, many more than there are connections. A tenth of all, at least, waited for 0.3 s.
	if want := float64((pause - 200*time.Millisecond).Microseconds()); got.P99 < want {
		t.Errorf("p99 is %.0f us, want %.0f at least: a pause of the server is left out", got.P99, want)
	}
}

// TestRedis speaks with a server that keeps one value.
func TestRedis(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		b := make([]byte, 4096)
		for _, reply := range []string{"+OK\r\n", "$64\r\n" + string(value) + "\r\n", "-ERR no\r\n"} {
			n, _ := theirs.Read(b)
			if !strings.HasPrefix(string(b[:n]), "*") {
				reply = "?"
			}
			_, _ = theirs.Write([]byte(reply))
		}
	}()
	c := &client{Conn: named{ours}, b: make([]byte, 4096)}
	for range 2 {
		if err := redisOnce(c); err != nil {
			t.Error(err)
		}
	}
	if err := redisOnce(c); err == nil || !strings.Contains(err.Error(), "ERR no") {
		t.Errorf("the server refused: error %v", err)
	}
}

// named is a connection with an address of TCP.
type named struct{ net.Conn }

func (named) LocalAddr() net.Addr { return &net.TCPAddr{Port: 1234} }

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
	if l.Requests != 4 || l.Rate != 4000 || l.P50 != 2 || l.P99 != 4 || l.P999 != 4 {
		t.Errorf("got %+v", l)
	}
}

func TestPercentile(t *testing.T) {
	var took []time.Duration
	for i := range 2000 {
		took = append(took, time.Duration(i+1)*time.Microsecond)
	}
	for perMille, want := range map[int]float64{0: 1, 500: 1000, 990: 1980, 999: 1998, 1000: 2000} {
		if got := percentile(took, perMille); got != want {
			t.Errorf("%d of a thousand: got %v us, want %v", perMille, got, want)
		}
	}
	for _, perMille := range []int{0, 500, 999} {
		if got := percentile(took[:1], perMille); got != 1 {
			t.Errorf("%d of a thousand of one time: got %v us, want 1", perMille, got)
		}
	}
}

// TestTable prints what was measured, and leaves empty what was not.
func TestTable(t *testing.T) {
	var r results
	raised, taken := 0.5, 0.25
	*r.row("nom", sockets, 1, 0) = row{System: "nom", Workload: sockets, Outstanding: 1, Instructions: 12345, Exits: map[string]float64{}, Raised: &raised,
		Taken: &taken, FirstReply: 1.5, load: load{Requests: 9, Lost: 2, Rate: 1234, P50: 123, P99: 4567, P999: 12345}}
	r.row("nom", sockets, 0, 700).load = load{Requests: 9, Rate: 700}
	r.row("linux", sockets, 1, 0).load = load{Requests: 9, Rate: 70}
	file := t.TempDir() + "/results.json"
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var again results
	if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again.Rows, r.Rows) {
		t.Errorf("error %v, written and read:\n%s", err, text)
	}
	var out strings.Builder
	again.print(&out)
	got := regexp.MustCompile(` +`).ReplaceAllString(out.String(), " ")
	for _, want := range []string{
		"| " + sockets + " | 1 | 1 234 (2 lost) | 0.12 / 4.6 / 12 | 12 345 | 0.50 / 0.25 | 0 | 70 | 0.00 / 0.00 / 0.00 | | |\n",
		"| | open, 700/s | 700 | 0.00 / 0.00 / 0.00 | | | | | | | |\n",
		"First reply of " + sockets + " after power-on, nom: 1.5 s\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("want %q in\n%s", want, got)
		}
	}
}

func TestExitsSaid(t *testing.T) {
	said := "echo| echo: answers 10\necho| echo: exits by halt 3\necho| echo: exits by page_fault 1\necho| echo: exits by msr 0\necho| echo: allocations 7\n"
	exits := exitsSaid(said)
	if want := map[string]uint64{"halt": 3, "page_fault": 1, "msr": 0}; !reflect.DeepEqual(exits, want) {
		t.Errorf("got %v, want %v", exits, want)
	}
	if got, want := each(exits, 10), map[string]float64{"halt": 0.3, "page_fault": 0.1}; !reflect.DeepEqual(got, want) {
		t.Errorf("for each of 10 requests: got %v, want %v", got, want)
	}
	if exits := exitsSaid("echo| echo: port 7\n"); exits != nil {
		t.Errorf("a program that said nothing of exits had %v", exits)
	}
}
