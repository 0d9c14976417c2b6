// Package api holds the messages between a machine and the developer's computer: what the root container sends and
// the nom command reads. Today these are the events on the second serial port, one JSON object a line.
//
// Objects only gain fields. The package must never import what belongs to one side only.
package api

import (
	"encoding/json"
	"time"
)

// Version is the version of the protocol, as EventMachine gives it.
const Version = 1

// Names of the events.
const (
	EventMachine = "machine" // the root container runs: Version, CPUs, Memory, TSCHz, MainTSC (its time stamp counter at main)
	EventStart   = "start"   // a container runs
	EventOutput  = "output"  // a container printed Data on Stream
	EventExit    = "exit"    // a container ended: Code, Reason, Error, Stats
	EventRestart = "restart" // a container will be started again, for the Attempt-th time
	EventServing = "serving" // the management API answers
	EventDone    = "done"    // all containers have ended and the machine switches itself off: Code, Lost
)

// Further events that the management API tells of (GET /v1/events), all with Seq and Time.
const (
	EventStop    = "stop"        // somebody asked for the end of a container
	EventRemove  = "remove"      // a container was forgotten
	EventPublish = "publish"     // a port of the developer's computer leads to a container: Port
	EventFree    = "free"        // and does so no more
	EventBlocked = "dma-blocked" // the IOMMU has blocked what a container's network function reached for, Count times since the event before: Error is the last
	EventOff     = "network-off" // a container's network function was switched off for a while, Count times since the event before: Error says why
	EventDropped = "dropped"     // Count events that came before the next one are not kept any more
)

// Streams of EventOutput.
const (
	StreamStdout = "stdout"
	StreamStderr = "stderr"
)

// Event is one message of the root container.
type Event struct {
	Event     string          `json:"event"`
	Version   json.RawMessage `json:"version,omitempty"`
	CPUs      int             `json:"cpus,omitempty"`
	Memory    int64           `json:"memory,omitempty"`
	TSCHz     uint64          `json:"tsc_hz,omitempty"`
	MainTSC   uint64          `json:"main_tsc,omitempty"`
	Container string          `json:"container,omitempty"`
	Stream    string          `json:"stream,omitempty"`
	Data      []byte          `json:"data,omitempty"`
	Code      int             `json:"code"`
	Reason    string          `json:"reason,omitempty"`
	Error     string          `json:"error,omitempty"`
	Attempt   int             `json:"attempt,omitempty"`
	Stats     *Stats          `json:"stats,omitempty"`
	Lost      *Lost           `json:"lost,omitempty"`
	Seq       uint64          `json:"seq,omitempty"` // events of a machine are numbered from 1 on
	Time      time.Time       `json:"time,omitzero"`
	Port      string          `json:"port,omitempty"` // as in Spec.Ports
	Count     uint64          `json:"count,omitempty"`
}

// Lost is what the root container has less of after all programs have ended than before the first. Anything but zeros is
// a bug in the nonkernel or in root.
type Lost struct {
	Pages      int64 `json:"pages"`
	Slots      int   `json:"slots"`      // of cores
	Devices    int   `json:"devices"`    // such as network functions
	Containers int   `json:"containers"` // that are still there
}

// Why a container ended.
const (
	ReasonExit        = "exit"         // its program ended; Code is the exit code
	ReasonKilled      = "killed"       // an ancestor killed it
	ReasonShutdown    = "shutdown"     // triple fault
	ReasonMemory      = "memory"       // it touched memory that it was not granted
	ReasonIllegal     = "illegal"      // it did what no container may do
	ReasonParent      = "parent"       // its parent ended
	ReasonStartFailed = "start-failed" // it could not be started; Error says why
)

// Codes that stand for an end without an exit code of the program's own, as docker and shells have them.
const (
	CodeStartFailed = 126
	CodeKilled      = 128 + 9  // ReasonKilled, ReasonMemory, ReasonParent: as after SIGKILL
	CodeFault       = 128 + 11 // ReasonShutdown, ReasonIllegal: as after SIGSEGV
)

// ExitCode is the exit code that stands for an end; code is the program's own.
func ExitCode(reason string, code int) int {
	switch reason {
	case ReasonExit:
		return code
	case ReasonStartFailed:
		return CodeStartFailed
	case ReasonShutdown, ReasonIllegal:
		return CodeFault
	}
	return CodeKilled
}

// Stats is what one container used, from its first entry to its end.
type Stats struct {
	Exits              map[string]uint64 `json:"exits"` // by reason, see ExitNames
	CPUSeconds         float64           `json:"cpu_seconds"`
	MemoryBytes        int64             `json:"memory_bytes,omitempty"` // backed by frames now; of one that has ended: 0
	MemoryPeakBytes    int64             `json:"memory_peak_bytes"`
	MemoryGrantedBytes int64             `json:"memory_granted_bytes"`
	MainTSC            uint64            `json:"main_tsc"` // ticks from first entry to main; 0 = it never got there
	MainSeconds        float64           `json:"main_seconds"`
	RunSeconds         float64           `json:"run_seconds"`
	Restarts           int               `json:"restarts"`
}

// ExitNames are the names of the exit reasons, in the order of abi.ExitHypercall and those that follow.
var ExitNames = [...]string{"hypercall", "page_fault", "halt", "interrupt", "nmi", "msr", "port", "cpuid", "other"}
