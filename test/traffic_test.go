package test

import (
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"

	"nom.dev/nom/api"
)

// metric is a number of nom machine metrics, by its name and labels; -1 when it is not there.
func (b *background) metric(sample string) float64 {
	b.t.Helper()
	out, _ := b.run("machine", "metrics")
	for line := range strings.Lines(out) {
		if value, ok := strings.CutPrefix(line, sample+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				b.t.Errorf("%q: %v", line, err)
			}
			return n
		}
	}
	return -1
}

// stats is what nom stats says of a container.
func (b *background) stats(name string) *api.Traffic {
	b.t.Helper()
	out, _ := b.run("stats", "--format", "json", name)
	var line struct{ Network *api.Traffic }
	if err := json.Unmarshal([]byte(out), &line); err != nil || line.Network == nil {
		b.t.Errorf("nom stats %s: %v", name, err)
		return &api.Traffic{}
	}
	return line.Network
}

// traffic looks at what is counted of the container seen while it serves pages, and somebody knocks at a port that leads nowhere.
func (b *background) traffic(url string, closed int) {
	b.t.Helper()
	const pages = 20
	before := b.stats("seen")
	if err := browse(b.ctx, url, 1, pages); err != nil {
		b.t.Error(err)
	}
	for after := b.stats("seen"); after.Dropped["no_socket"] == before.Dropped["no_socket"]; after = b.stats("seen") {
		if b.ctx.Err() != nil {
			b.t.Fatalf("knocking at a port that leads nowhere is not counted: %v", after.Dropped)
		}
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", closed))
		if err == nil { // QEMU takes the connection in any case
			_, _ = c.Read(make([]byte, 1))
			c.Close()
		}
	}
	after := b.stats("seen")
	// A page is more than 100 bytes in each direction, in one frame at least.
	if r, s := after.ReceivedFrames-before.ReceivedFrames, after.SentFrames-before.SentFrames; r < pages || s < pages || r > 100*pages || s > 100*pages {
		b.t.Errorf("for %d pages %d frames were received and %d sent", pages, r, s)
	}
	if r, s := after.ReceivedBytes-before.ReceivedBytes, after.SentBytes-before.SentBytes; r < 100*pages || s < 100*pages {
		b.t.Errorf("for %d pages %d bytes were received and %d sent", pages, r, s)
	}
	b.want([]string{"NET I/O", "DROPPED", "no_socket "}, "stats", "seen")
	b.want(nil, "kill", "seen")
	for sample, least := range map[string]uint64{
		`nom_app_network_receive_bytes_total{app="seen"}`:              after.ReceivedBytes,
		`nom_app_network_transmit_frames_total{app="seen"}`:            after.SentFrames,
		`nom_app_network_drops_total{app="seen",cause="no_socket"}`:    after.Dropped["no_socket"],
		`nom_app_network_transmit_bytes_total{app="seen"}`:             after.SentBytes,
		`nom_app_network_drops_total{app="seen",cause="no_neighbour"}`: 0,
	} {
		if got := b.metric(sample); got < float64(least) {
			b.t.Errorf("%s is %v when it has ended, and was %d", sample, got, least)
		}
	}
	b.want(nil, "rm", "seen")
}

// ownStack has a program drive its network function itself, behind a published port; without --stack own it says what to do.
func (b *background) ownStack() {
	b.t.Helper()
	port := freePort(b.t)
	publish := fmt.Sprintf("127.0.0.1:%d:7/udp", port)
	cmd := exec.CommandContext(b.ctx, b.nom, "run", "--rm", "--name", "taken", "-p", publish, "./apps/echo")
	cmd.Dir, cmd.Env = tree, b.env()
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "start the program with --stack own") {
		b.t.Errorf("without --stack own: code %d, printed %q", cmd.ProcessState.ExitCode(), out)
	}
	b.want(nil, "run", "-d", "--name", "own", "--stack", "own", "-p", publish, "./apps/echo")
	if err := ask(b.ctx, port, 20); err != nil {
		b.t.Error(err)
	}
	b.want([]string{"on the native interface"}, "logs", "own")
	if n := b.stats("own"); n.SentFrames < 20 || n.ReceivedFrames < 20 || n.Dropped != nil {
		b.t.Errorf("nom stats: %+v", n)
	}
	b.want(nil, "kill", "own")
}

// longPackets has a server with gVisor's stack send much, and counts what it gives its network function to send: the card counts a packet
// that it cuts into segments once. A mebibyte makes 719 segments.
func (b *background) longPackets(name string, port int) {
	b.t.Helper()
	c, err := dialBulk(b.ctx, port)
	if err != nil {
		b.t.Errorf("connecting to %s: %v", name, err)
		return
	}
	defer c.Close()
	const mebibytes, most = 8, 200
	before := b.stats(name)
	if err := c.transfer('g', mebibytes<<20, true); err != nil {
		b.t.Errorf("getting from %s: %v", name, err)
	}
	after := b.stats(name)
	packets, bytes := (after.SentFrames-before.SentFrames)/mebibytes, after.SentBytes-before.SentBytes
	b.t.Logf("%s gave its function %d packets for each MiB to send, and %d bytes in all", name, packets, bytes)
	if bytes < mebibytes<<20 || packets > most {
		b.t.Errorf("for %d MiB the function of %s sent %d bytes and %d packets a MiB, want at most %d", mebibytes, name, bytes, packets, most)
	}
}

// misuse looks for what is told of containers that misuse their network functions. Of one that reaches for what is not its own, what the
// IOMMU blocks is counted while it goes on and when it has ended.
func (b *background) misuse() {
	b.t.Helper()
	b.want(nil, "run", "-d", "--name", "reaches", "--network", "./test/programs/hostilenic", "--", "reach")
	b.await("dma-blocked reaches ", "events")
	b.want([]string{" times: the last was a read from 0x"}, "events")
	const faults = `nom_iommu_faults_total{app="reaches"}`
	n := b.metric(faults)
	b.want(nil, "kill", "reaches")
	if after := b.metric(faults); n < 1 || after < n {
		b.t.Errorf("%s was %v and is %v at the end", faults, n, after)
	}
	if n := b.metric(`nom_iommu_faults_total{app="plain"}`); n != 0 {
		b.t.Errorf("of one that does not reach for anything %v were blocked", n)
	}
	b.want(nil, "run", "-d", "--name", "resets", "--network", "--stack", "own", "./test/programs/hostilenic", "--", "reset")
	b.await("network-off resets ", "events")
	b.want(nil, "kill", "resets")
}
