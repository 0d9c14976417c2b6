package inet

import (
	"testing"

	"pgregory.net/rapid"
)

// model is a scoreboard that knows each byte: of the numbers from una on, whether the peer has it.
type model struct {
	una   Seq
	bytes []bool
}

func (m *model) has(from, to Seq) (n uint32) {
	for s := from; s != to; s++ {
		if m.bytes[s-m.una] {
			n++
		}
	}
	return n
}

// lost is IsLost of RFC 6675, 4, read word by word.
func (m *model) lost(seq Seq, mss uint32) bool {
	if m.bytes[seq-m.una] {
		return false
	}
	stretches, above := 0, uint32(0)
	for i := int(seq - m.una); i < len(m.bytes); i++ {
		if m.bytes[i] {
			above++
			if !m.bytes[i-1] {
				stretches++
			}
		}
	}
	return stretches >= 3 || above > 2*mss
}

// check compares. full: some may have been forgotten.
func (m *model) check(t *rapid.T, b *scoreboard, full bool) {
	last := m.una
	for i := range b.n {
		r := b.ranges[i]
		if !r.From.after(last) || !r.From.before(r.To) || r.To.after(m.una+Seq(len(m.bytes))) {
			t.Fatalf("stretch %d from %d to %d behind %d", i, r.From-m.una, r.To-m.una, last-m.una)
		}
		if m.has(r.From, r.To) != r.size() {
			t.Fatalf("the peer never said that it has all from %d to %d", r.From-m.una, r.To-m.una)
		}
		last = r.To
	}
	end := m.una + Seq(len(m.bytes))
	if got, want := b.has(m.una, end), m.has(m.una, end); got != want && !full {
		t.Fatalf("has %d bytes, want %d", got, want)
	}
}

// questions compares what it answers, when nothing was forgotten.
func (m *model) questions(t *rapid.T, b *scoreboard) {
	n := uint32(len(m.bytes))
	from := m.una + Seq(rapid.Uint32Range(0, n).Draw(t, "ask from"))
	to := from + Seq(rapid.Uint32Range(0, n-uint32(from-m.una)).Draw(t, "ask bytes"))
	if got, want := b.has(from, to), m.has(from, to); got != want {
		t.Fatalf("has %d from %d to %d, want %d", got, from-m.una, to-m.una, want)
	}
	gap := Range{from, from}
	for gap.From != to && m.bytes[gap.From-m.una] {
		gap.From++
	}
	for gap.To = gap.From; gap.To.before(to) && !m.bytes[gap.To-m.una]; {
		gap.To++
	}
	if got := b.gap(from, to); got.size() != gap.size() || gap.size() != 0 && got != gap {
		t.Fatalf("between %d and %d misses %d to %d, want %d to %d", from-m.una, to-m.una, got.From-m.una, got.To-m.una, gap.From-m.una, gap.To-m.una)
	}
	top := m.una
	for i, has := range m.bytes {
		if has {
			top = m.una + Seq(i) + 1
		}
	}
	if got := b.top(m.una); got != top {
		t.Fatalf("top %d, want %d", got-m.una, top-m.una)
	}
	mss := rapid.Uint32Range(1, 30).Draw(t, "mss")
	edge := b.lostBefore(m.una, mss)
	for i := range m.bytes {
		seq := m.una + Seq(i)
		if got, want := !m.bytes[i] && seq.before(edge), m.lost(seq, mss); got != want {
			t.Fatalf("byte %d lost: got %v, want %v", i, got, want)
		}
	}
}

// TestScoreboard: it knows what was said, and when there is no room less, but never more.
func TestScoreboard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := model{-Seq(rapid.Uint32Range(0, 300).Draw(t, "una")), make([]bool, rapid.IntRange(2, 300).Draw(t, "sent"))}
		var b scoreboard
		full := false
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n := uint32(len(m.bytes))
			if n > 2 && rapid.IntRange(0, 7).Draw(t, "acknowledge") == 0 {
				ack := rapid.Uint32Range(0, n-2).Draw(t, "bytes")
				if rapid.Bool().Draw(t, "honest") {
					for ack < n-2 && m.bytes[ack] {
						ack++
					}
				}
				m.una += Seq(ack)
				m.bytes = m.bytes[ack:]
				for i := 0; i < len(m.bytes) && m.bytes[i]; i++ { // who has it and does not acknowledge it threw it away
					m.bytes[i] = false
				}
				b.trim(m.una)
				m.check(t, &b, full)
				continue
			}
			from := rapid.Uint32Range(1, n-1).Draw(t, "from")
			r := Range{m.una + Seq(from), m.una + Seq(rapid.Uint32Range(from+1, min(n, from+20)).Draw(t, "to"))}
			known := b.has(r.From, r.To)
			room := b.n < mostSacked
			fresh := b.add(r)
			for s := r.From; s != r.To; s++ {
				m.bytes[s-m.una] = true
			}
			if room && fresh != (known != r.size()) || !room && fresh && known == r.size() {
				t.Fatalf("%d of %d bytes were known, and fresh is %v", known, r.size(), fresh)
			}
			full = full || !room
			m.check(t, &b, full)
			if !full {
				m.questions(t, &b)
			}
		}
	})
}

// When there is no room the smallest is forgotten, wherever it is, and what touches is one.
func TestScoreboardFull(t *testing.T) {
	var b scoreboard
	for i := range Seq(mostSacked) {
		if !b.add(Range{100 * i, 100*i + 50 - Seq(i%2)}) {
			t.Fatalf("stretch %d is not new", i)
		}
	}
	if b.add(Range{99_000, 99_010}) || b.n != mostSacked {
		t.Error("a stretch smaller than all others displaced one")
	}
	if !b.add(Range{250, 300}) || b.n != mostSacked-1 || b.ranges[2] != (Range{200, 349}) {
		t.Errorf("%d stretches, the third is %v", b.n, b.ranges[2])
	}
	if !b.add(Range{5010, 5060}) || !b.add(Range{6010, 6060}) || b.n != mostSacked {
		t.Errorf("%d stretches", b.n)
	}
	if b.has(100, 150) != 0 || b.has(500, 549) != 49 || b.has(6010, 6060) != 50 {
		t.Error("another one than the first of the smallest was forgotten")
	}
	if !b.add(Range{1, 7000}) || b.n != 1 || b.ranges[0] != (Range{0, 7000}) {
		t.Errorf("%d stretches, the first is %v", b.n, b.ranges[0])
	}
}

// FuzzScoreboard: three bytes are a stretch, or say how far una goes.
func FuzzScoreboard(f *testing.F) {
	f.Add([]byte{1, 1, 1, 0, 5, 3, 9, 200, 4})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var b scoreboard
		una := Seq(0xffff_ff00)
		for ; len(ops) >= 3; ops = ops[3:] {
			if ops[0] == 255 {
				una += Seq(ops[1])
				b.trim(una)
			} else {
				r := Range{una + 1 + Seq(ops[0])*8 + Seq(ops[1]), 0}
				r.To = r.From + 1 + Seq(ops[2])
				before := b.n
				if b.add(r) && before < mostSacked && b.has(r.From, r.To) != r.size() {
					t.Fatal("what was new is not known")
				}
			}
			last := una
			for i := range b.n {
				if r := b.ranges[i]; !r.From.after(last) || !r.From.before(r.To) {
					t.Fatalf("%d: %v", i, b.ranges[:b.n])
				}
				last = b.ranges[i].To
			}
			if b.n > mostSacked || b.top(una).before(last) || b.lostBefore(una, 100).after(b.top(una)) {
				t.Fatalf("%+v", b)
			}
		}
	})
}
