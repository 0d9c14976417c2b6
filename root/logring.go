package main

import (
	"sync"

	"nom.dev/nom/api"
)

// logChunk is how long a piece of a log gets.
const logChunk = 32 << 10

// logRing keeps the last api.LogSize bytes that a container printed. Readers follow it at their own pace; one that is too slow
// misses what was dropped meanwhile.
type logRing struct {
	mu      sync.Mutex
	pieces  []logPiece
	start   uint64        // offset of the first piece
	end     uint64        // offset behind the last
	changed chan struct{} // closed at the next write
}

// logPiece is a stretch of one stream. Bytes are only ever added to it, so readers may keep what they got.
type logPiece struct {
	stream string
	data   []byte
}

// write keeps a copy of data.
func (l *logRing) write(stream string, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end += uint64(len(data))
	for len(data) > 0 {
		n := len(l.pieces)
		if n == 0 || l.pieces[n-1].stream != stream || len(l.pieces[n-1].data) == logChunk {
			l.pieces = append(l.pieces, logPiece{stream: stream})
			n++
		}
		p := &l.pieces[n-1]
		take := min(len(data), logChunk-len(p.data))
		p.data = append(p.data, data[:take]...)
		data = data[take:]
	}
	for l.size() > api.LogSize {
		l.start += uint64(len(l.pieces[0].data))
		l.pieces[0] = logPiece{}
		l.pieces = l.pieces[1:]
	}
	l.wake()
}

// size is what the log takes: a piece of one byte costs more than that.
func (l *logRing) size() int { return int(l.end-l.start) + 64*len(l.pieces) }

// wake tells those who wait that something is new, if only that the container has ended.
func (l *logRing) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// read returns what is kept from an offset on, the offset behind it, and what is closed when there is more.
func (l *logRing) read(from uint64) (pieces []logPiece, next uint64, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	at := l.start
	for _, p := range l.pieces {
		end := at + uint64(len(p.data))
		if end > from {
			pieces = append(pieces, logPiece{p.stream, p.data[max(from, at)-at:]})
		}
		at = end
	}
	return pieces, l.end, l.changed
}
