package main

import (
	"bytes"
	"strings"
	"sync"

	"github.com/tidwall/redcon"
)

// store is what clients have set.
type store struct {
	most int // bytes that it may hold

	mu     sync.RWMutex
	values map[string][]byte
	held   int // bytes of keys and values
}

// commands are what the server knows, each with the least and the most arguments that it takes, its name included.
var commands = map[string]struct {
	least, most int
	do          func(*store, redcon.Conn, [][]byte)
}{
	"ping":    {1, 2, (*store).ping},
	"get":     {2, 2, (*store).get},
	"set":     {3, 3, (*store).set},
	"del":     {2, 1 << 20, (*store).del},
	"dbsize":  {1, 1, (*store).size},
	"command": {1, 1 << 20, func(_ *store, c redcon.Conn, _ [][]byte) { c.WriteArray(0) }}, // redis-cli asks when it starts
}

// serve answers one command, with the words that Redis has for errors.
func (s *store) serve(c redcon.Conn, cmd redcon.Command) {
	name := strings.ToLower(string(cmd.Args[0]))
	if name == "quit" {
		c.WriteString("OK")
		_ = c.Close()
		return
	}
	known, ok := commands[name]
	switch {
	case !ok:
		c.WriteError("ERR unknown command '" + printable(cmd.Args[0]) + "'")
	case len(cmd.Args) < known.least || len(cmd.Args) > known.most:
		c.WriteError("ERR wrong number of arguments for '" + name + "' command")
	default:
		known.do(s, c, cmd.Args)
	}
}

// printable is the begin of what a client sent, without what would end the line of an error.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, string(b[:min(len(b), 64)]))
}

func (s *store) ping(c redcon.Conn, args [][]byte) {
	if len(args) == 2 {
		c.WriteBulk(args[1])
		return
	}
	c.WriteString("PONG")
}

func (s *store) get(c redcon.Conn, args [][]byte) {
	s.mu.RLock()
	value, ok := s.values[string(args[1])]
	s.mu.RUnlock()
	if !ok {
		c.WriteNull()
		return
	}
	c.WriteBulk(value) // nobody changes a value that was set, only the map
}

func (s *store) set(c redcon.Conn, args [][]byte) {
	key, value := args[1], args[2]
	s.mu.Lock()
	old, ok := s.values[string(key)]
	more := len(value) - len(old)
	if !ok {
		more += len(key)
	}
	full := more > 0 && s.held+more > s.most
	if !full {
		s.held += more
		s.values[string(key)] = bytes.Clone(value) // what the client sent lies in a buffer that is used again
	}
	s.mu.Unlock()
	if full {
		c.WriteError("OOM command not allowed when used memory > 'maxmemory'.")
		return
	}
	c.WriteString("OK")
}

func (s *store) del(c redcon.Conn, args [][]byte) {
	n := 0
	s.mu.Lock()
	for _, key := range args[1:] {
		if value, ok := s.values[string(key)]; ok {
			s.held -= len(key) + len(value)
			delete(s.values, string(key))
			n++
		}
	}
	s.mu.Unlock()
	c.WriteInt(n)
}

func (s *store) size(c redcon.Conn, _ [][]byte) {
	s.mu.RLock()
	n := len(s.values)
	s.mu.RUnlock()
	c.WriteInt(n)
}
