package machinetest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
)

// forwards are the ports that the stand-in listens on because it was told so. What connects there is closed.
type forwards struct {
	mu        sync.Mutex
	listeners map[string]net.Listener
}

var (
	addForward    = regexp.MustCompile(`^hostfwd_add net0 tcp:([0-9.]+:[0-9]+)-([0-9.]+:[0-9]+)$`)
	removeForward = regexp.MustCompile(`^hostfwd_remove net0 tcp:([0-9.]+:[0-9]+)$`)
)

// do executes a command of the human monitor and returns what it prints.
func (f *forwards) do(command string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := addForward.FindStringSubmatch(command); m != nil {
		l, err := net.Listen("tcp", m[1])
		if err != nil {
			return fmt.Sprintf("Could not set up host forwarding rule 'tcp:%s-%s'\r\n", m[1], m[2])
		}
		f.listeners[m[1]] = l
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		return ""
	}
	if m := removeForward.FindStringSubmatch(command); m != nil {
		if l := f.listeners[m[1]]; l != nil {
			l.Close()
			delete(f.listeners, m[1])
			return "host forwarding rule for tcp:" + m[1] + " removed\r\n"
		}
		return "host forwarding rule for tcp:" + m[1] + " not found\r\n"
	}
	return "unknown command: '" + command + "'\r\n"
}

// serveMonitor serves QMP, one caller after the other.
func serveMonitor(option string) {
	path, _, _ := strings.Cut(strings.TrimPrefix(option, "unix:"), ",")
	l, err := net.Listen("unix", path)
	must(err)
	f := &forwards{listeners: map[string]net.Listener{}}
	for {
		c, err := l.Accept()
		must(err)
		f.serve(c)
	}
}

func (f *forwards) serve(c net.Conn) {
	defer c.Close()
	fmt.Fprintln(c, `{"QMP": {"version": {}, "capabilities": []}}`)
	for in := bufio.NewScanner(c); in.Scan(); {
		var q struct {
			Execute   string `json:"execute"`
			Arguments struct {
				Line string `json:"command-line"`
			} `json:"arguments"`
		}
		must(json.Unmarshal(in.Bytes(), &q))
		var answer any = struct{}{}
		if q.Execute == "human-monitor-command" {
			answer = f.do(q.Arguments.Line)
		}
		b, err := json.Marshal(map[string]any{"return": answer})
		must(err)
		fmt.Fprintf(c, "%s\n", b)
	}
}
