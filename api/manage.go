package api

import "time"

// The management API: HTTP/1.1 on one TCP port of a machine that runs in the background, JSON in both directions. Every
// request has the header "Authorization: Bearer TOKEN"; without the right token every answer is 401 and empty. Errors are an
// Error. {name} is a container's.
//
//	GET    /v1/machine                       Machine
//	GET    /v1/containers                    []Container
//	POST   /v1/containers                    the program's ELF file with HeaderSpec and HeaderDigest; starts it; Container
//	GET    /v1/containers/{name}             Container
//	DELETE /v1/containers/{name}[?force=1]   forgets a container that has ended, with force also one that runs
//	POST   /v1/containers/{name}/kill        ends it, and answers when it has ended; Container
//	POST   /v1/containers/{name}/stop[?seconds=N]
//	       asks it to end by SIGTERM, ends it after so long (StopPatience), and answers when it has ended; Container
//	POST   /v1/containers/{name}/signal?signal=N
//	       delivers the signal with that number on Linux to its program; Container
//	POST   /v1/containers/{name}/restart[?seconds=N]
//	       ends it if it runs, as stop does, and starts it again; Container
//	GET    /v1/containers/{name}/program     its ELF file
//	GET    /v1/containers/{name}/syscalls    []Syscall: those that its program has made
//	POST   /v1/containers/{name}/memory      []Range in JSON; [][]byte: the program's memory there, shorter where it has none
//	POST   /v1/containers/{name}/profile?seconds=N&rate=N
//	       samples what its program executes, so often a second and vCPU; uint64s in little-endian order: for each sample how many
//	       words it has and the words, as abi.ControlSamples has them, and after the last one 0 and how many samples were lost
//	POST   /v1/containers/{name}/capture?snaplen=N[&count=N]
//	       copies the frames that its platform receives and sends, so many bytes of each, until so many came, until it ends or until
//	       DELETE; Frames, see AppendFrame. 409 when its platform has no TCP/IP on a network function, or somebody else captures
//	DELETE /v1/containers/{name}/capture     ends that
//	GET    /v1/containers/{name}/wait        answers when it has ended; Container
//	GET    /v1/containers/{name}/logs[?follow=1]
//	       what it printed last, as Events "output", one a line; with follow until it ends, then an Event "exit"
//	GET    /v1/events[?since=N][&follow=1]
//	       what happened after event N, one Event a line; with follow without end. "dropped" says what is not kept any more
//	POST   /v1/events                        an Event "publish" or "free" with Container and Port, for others to hear of
//	GET    /metrics                          numbers, as OpenMetrics 1.0

// Headers of a request that starts a container.
const (
	HeaderSpec   = "Nom-Container" // Spec as JSON in base64 (RFC 4648, the standard alphabet)
	HeaderDigest = "Nom-Digest"    // SHA-256 of the body in hexadecimal digits
)

// Limits of the API.
const (
	MaxSpec      = 128 << 10 // bytes of a Spec as JSON
	MaxProgram   = 512 << 20 // bytes of an ELF file
	LogSize      = 1 << 20   // bytes of output that are kept of a container
	MaxWorkloads = 32        // containers that are known at a time, those included that have ended
	MaxEvents    = 1024      // events that are kept
	MaxEvent     = 4 << 10   // bytes of an Event that is sent to the machine
)

// Spec is a container to start.
type Spec struct {
	Name    string   `json:"name"`
	Args    []string `json:"args"` // with the program's name
	Env     []string `json:"env,omitempty"`
	Memory  uint64   `json:"memory,omitempty"` // bytes; 0 = the machine decides
	VCPUs   int      `json:"vcpus,omitempty"`  // 0 = the machine decides
	Network bool     `json:"network,omitempty"`
	Stack   string   `json:"stack,omitempty"`   // of the network, as in manifest.Network
	Rate    *Rate    `json:"rate,omitempty"`    // of its network, in each direction; null = no limit
	Restart string   `json:"restart,omitempty"` // no, on-failure[:N] or always; "" = no
	Ports   []string `json:"ports,omitempty"`   // what is published, for people: the machine does nothing about it
}

// Rate is the most that may go in a second; 0 = no limit.
type Rate struct {
	Bits   uint64 `json:"bits,omitempty"`
	Frames uint64 `json:"frames,omitempty"`
}

// MaxRate is the largest Rate.
const MaxRate = 1 << 40

// Traffic is what went through a container's network function since it got it, as the device counts it, and what the TCP/IP of its
// platform dropped, as that says.
type Traffic struct {
	SentFrames     uint64 `json:"sent_frames"`
	SentBytes      uint64 `json:"sent_bytes"`
	ReceivedFrames uint64 `json:"received_frames"`
	ReceivedBytes  uint64 `json:"received_bytes"`
	SendPauses     uint64 `json:"send_pauses"`    // times that it had sent more than its Rate
	ReceivePauses  uint64 `json:"receive_pauses"` // likewise
	Blocked        uint64 `json:"blocked"`        // times that the IOMMU was seen to block what it reached for: at least so often
	SwitchedOff    uint64 `json:"switched_off"`   // times that it was switched off for a while because its program had reset it too often

	Dropped map[string]uint64 `json:"dropped,omitempty"` // by cause, see DropNames; null with another network stack
}

// DropNames are the names of the causes for which something is dropped, in the order of abi.DropDevice and those that follow: the device
// reported an error; headers that make no sense; a wrong checksum; for another address; nobody listens there; what it is for has no
// room; the ring of what is to be sent has none; nobody says where it is to be sent.
var DropNames = [...]string{"device", "malformed", "checksum", "foreign", "no_socket", "full", "send_full", "no_neighbour"}

// Add adds what another function, or another run, did.
func (t *Traffic) Add(o *Traffic) {
	t.SentFrames += o.SentFrames
	t.SentBytes += o.SentBytes
	t.ReceivedFrames += o.ReceivedFrames
	t.ReceivedBytes += o.ReceivedBytes
	t.SendPauses += o.SendPauses
	t.ReceivePauses += o.ReceivePauses
	t.Blocked += o.Blocked
	t.SwitchedOff += o.SwitchedOff
	if t.Dropped == nil {
		t.Dropped = map[string]uint64{}
	}
	for _, cause := range DropNames {
		t.Dropped[cause] += o.Dropped[cause]
	}
}

// States of a Container.
const (
	StateStarting   = "starting"
	StateRunning    = "running"
	StateRestarting = "restarting" // it has ended and will be started again
	StateExited     = "exited"
)

// Container is what is known of a container.
type Container struct {
	Name     string    `json:"name"`
	State    string    `json:"state"`
	Args     []string  `json:"args"`
	Digest   string    `json:"digest"`            // of its program, SHA-256
	Address  string    `json:"address,omitempty"` // in the machine's network
	Ports    []string  `json:"ports,omitempty"`
	Env      []string  `json:"env,omitempty"`
	Restart  string    `json:"restart,omitempty"`
	Memory   int64     `json:"memory"` // bytes that it gets
	VCPUs    int       `json:"vcpus"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	Restarts int       `json:"restarts,omitempty"`
	Code     int       `json:"code"`             // when it has ended
	Reason   string    `json:"reason,omitempty"` // likewise
	Error    string    `json:"error,omitempty"`
	Stats    *Stats    `json:"stats,omitempty"` // until now, or of the whole run
	Rate     *Rate     `json:"rate,omitempty"`
	Traffic  *Traffic  `json:"traffic,omitempty"` // of this run, or the last
}

// Machine is what is known of a machine.
type Machine struct {
	Version    int   `json:"version"` // of the API
	CPUs       int   `json:"cpus"`
	Memory     int64 `json:"memory"`      // bytes that containers can get in all
	MemoryFree int64 `json:"memory_free"` // of these
	Containers int   `json:"containers"`
}

// Error is the body of an answer that is no success.
type Error struct {
	Error string `json:"error"`
}
