package machine

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"time"
)

// monitorPatience is how long QEMU may take for one command.
const monitorPatience = 30 * time.Second

// MonitorSocket is where a machine with QMP that was started in dir serves it.
func MonitorSocket(dir string) string { return Config{Dir: dir}.qmpPath() }

// monitorAnswer is one line of QMP (QEMU, docs/interop/qmp-spec).
type monitorAnswer struct {
	Event  string          `json:"event"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Desc string `json:"desc"`
	} `json:"error"`
}

// Monitor lets QEMU execute a command line of its human monitor and returns what that printed. QEMU serves one caller after the
// other.
func Monitor(socket, command string) (string, error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return "", fmt.Errorf("QEMU's monitor: %w", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(monitorPatience))
	in := bufio.NewReaderSize(c, 64<<10)
	if _, err := in.ReadSlice('\n'); err != nil { // the greeting
		return "", fmt.Errorf("QEMU's monitor: %w", err)
	}
	if _, err := ask(c, in, map[string]any{"execute": "qmp_capabilities"}); err != nil {
		return "", err
	}
	raw, err := ask(c, in, map[string]any{"execute": "human-monitor-command", "arguments": map[string]string{"command-line": command}})
	if err != nil {
		return "", err
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", fmt.Errorf("QEMU's monitor answered %s: %w", excerpt(raw), err)
	}
	return text, nil
}

// ask sends one command and reads its answer; events in between are nobody's business.
func ask(c net.Conn, in *bufio.Reader, command any) (json.RawMessage, error) {
	b, err := json.Marshal(command)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(append(b, '\n')); err != nil {
		return nil, fmt.Errorf("QEMU's monitor: %w", err)
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("QEMU's monitor: %w", err)
		}
		var a monitorAnswer
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("QEMU's monitor said %s: %w", excerpt(line), err)
		}
		switch {
		case a.Error != nil:
			return nil, fmt.Errorf("QEMU's monitor: %s", a.Error.Desc)
		case a.Event == "":
			return a.Return, nil
		}
	}
}
