package main

import "bytes"

// longestLine is how much of a line is held back for its end, in bytes.
const longestLine = 64 << 10

// lineBuffer divides a stream of bytes into lines.
type lineBuffer struct{ held []byte }

// write calls line for every line that data completes, with its line end. A line that is too long comes in pieces.
func (b *lineBuffer) write(data []byte, line func([]byte)) {
	for len(data) > 0 {
		n := bytes.IndexByte(data, '\n') + 1
		if n == 0 {
			b.held = append(b.held, data...)
			if len(b.held) >= longestLine {
				b.flush(line)
			}
			return
		}
		if len(b.held) == 0 {
			line(data[:n])
		} else {
			b.held = append(b.held, data[:n]...)
			b.flush(line)
		}
		data = data[n:]
	}
}

// flush calls line for what has no line end yet.
func (b *lineBuffer) flush(line func([]byte)) {
	if len(b.held) > 0 {
		line(b.held)
		b.held = b.held[:0]
	}
}
